"""Documents to read, with their scores."""

from collections.abc import Mapping, Sequence

from pruning.documents import DocumentId
from pruning.report.draws import Draw
from pruning.report.markup import Html, element, join, number
from pruning.report.samples import Sample, ShownText
from pruning.sources.damage import INTACT
from pruning.wording import plural

Texts = Mapping[DocumentId, ShownText]


def documents_section(
    draws: Sequence[Draw], drawn: Sequence[Sequence[Sample]], texts: Texts
) -> Html:
    """The samples of every draw that found any, under its title."""
    parts: list[Html] = []
    heading = None
    for wanted, samples in zip(draws, drawn, strict=True):
        if not samples:
            continue
        name = wanted.selection.folder.name if wanted.selection else None
        title = f"At the cut of {name}" if name else wanted.column
        if title != heading:
            heading = title
            parts.append(element("h3", title))
        parts.append(element("h4", wanted.title))
        parts += [_document(sample, texts[sample.id], wanted.column) for sample in samples]
    return join(parts)


def disagreement_section(
    found: Sequence[tuple[str, str, Sequence[Sample]]], texts: Texts, sampled: str
) -> Html | None:
    """Documents that one score ranks high and another low.

    Args:
      found: the score that is high, the one that is low, and the documents.
      texts: of them.
      sampled: which documents they were looked for among, in words.
    """
    if not any(samples for *_, samples in found):
        return None
    how = (
        "The documents whose ranks in two scores lie furthest apart: reading them says what one score "
        f"sees and the other does not. Looked for among {sampled}."
    )
    parts = [element("h3", "Most disagreed upon"), element("p", how, class_="how")]
    for high, low, samples in found:
        if samples:
            parts.append(element("h4", f"High in {high}, low in {low}"))
            parts += [_document(sample, texts[sample.id], high) for sample in samples]
    return join(parts)


def search_section(
    samples: Sequence[Sample], texts: Texts, columns: Sequence[str], sampled: str
) -> Html | None:
    """Documents of the sample with a box to search them; shown without a script, too."""
    if not samples:
        return None
    controls = element(
        "div",
        element(
            "label",
            "Search ",
            element(
                "input", type="search", id="search-text", placeholder="words, a domain, a file"
            ),
        ),
        element(
            "label",
            "Order by ",
            element(
                "select",
                element("option", "chance", value=""),
                (element("option", c, value=str(i)) for i, c in enumerate(columns)),
                id="search-order",
            ),
        ),
        element("span", plural(len(samples), "document"), id="search-found", role="status"),
        class_="controls",
        hidden="",
    )
    articles = (
        _document(sample, texts[sample.id], columns[0] if columns else "", columns)
        for sample in samples
    )
    how = (
        f"{plural(len(samples), 'document')} drawn by chance from {sampled}: type to see those that "
        "hold all your words, and order them by a score, lowest first."
    )
    return join(
        [
            element("h3", "Search the sample"),
            element("p", how, class_="how"),
            controls,
            element("div", articles, id="search-documents"),
        ]
    )


def _document(sample: Sample, shown: ShownText, main: str, ordered_by: Sequence[str] = ()) -> Html:
    scores = {main: sample.score, **sample.scores} if main else sample.scores
    marks = {
        f"data_s{i}": f"{sample.scores.get(name, float('nan')):.9g}"
        for i, name in enumerate(ordered_by)
    }
    about = [
        element("span", f"{name} ", element("b", number(value))) for name, value in scores.items()
    ]
    said = (element("span", value) for value in sample.fields if value not in ("", INTACT))
    if shown.problem:
        text = element("div", shown.problem, class_="more")
    else:
        more = f" … and {plural(shown.more, 'more character')}" if shown.more else None
        text = element(
            "div",
            shown.text,
            element("span", more, class_="more") if more else None,
            class_="text",
            dir="auto",
        )
    header = element("header", about, said, element("span", str(sample.id), class_="id"))
    return element("article", header, text, **marks)
