"""Documents to read, with their scores."""

from collections.abc import Mapping, Sequence

from pruning.documents import DocumentId
from pruning.report.damage_section import INTACT
from pruning.report.markup import Html, element, join, number
from pruning.report.samples import Draw, Sample, ShownText


def documents_section(
    draws: Sequence[Draw],
    drawn: Sequence[Sequence[Sample]],
    texts: Mapping[DocumentId, ShownText],
) -> Html:
    """The samples of every draw that found any, under its title."""
    parts: list[Html] = []
    of_selection = None
    for wanted, samples in zip(draws, drawn, strict=True):
        if not samples:
            continue
        if wanted.selection is not None and wanted.selection is not of_selection:
            of_selection = wanted.selection
            parts.append(element("h3", f"At the cut of {of_selection.folder.name}"))
        parts.append(element("h4", wanted.title))
        parts += [_document(sample, texts[sample.id]) for sample in samples]
    return join(parts)


def _document(sample: Sample, shown: ShownText) -> Html:
    said = [value for value in sample.fields if value not in ("", INTACT)]
    about = [element("b", number(sample.score)), *map(_span, said)]
    if shown.problem:
        text = element("div", shown.problem, class_="more")
    else:
        more = f" … and {shown.more:,} more characters" if shown.more else None
        text = element(
            "div",
            shown.text,
            element("span", more, class_="more") if more else None,
            class_="text",
            dir="auto",
        )
    return element("article", element("header", about, _span(str(sample.id))), text)


def _span(text: str) -> Html:
    return element("span", text)
