"""The whole report, one file that needs nothing else."""

import dataclasses
from collections.abc import Mapping, Sequence

from pruning.documents import DocumentId
from pruning.keep_bits import Selection
from pruning.report.damage_section import DAMAGE_FIELD, damage_section
from pruning.report.documents_section import documents_section
from pruning.report.head_section import head_section
from pruning.report.histograms import Histogram, count_scores, find_groups, find_ranges
from pruning.report.markup import Html, element, join
from pruning.report.pictures import Band
from pruning.report.samples import (
    Draw,
    ReadText,
    Sample,
    ShownText,
    cut_draws,
    draw,
    read_shown,
    tail_draws,
)
from pruning.report.score_section import score_section
from pruning.report.selection_section import selection_section
from pruning.report.style import STYLE
from pruning.score_store import ScoreStore
from pruning.selecting import manifest_digest

COLOURS = 6
GROUP_FIELD = "domain"

# Nothing is loaded from anywhere and nothing runs, whatever a document holds.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Look:
    """What was counted and drawn of one store.

    Attributes:
      store: that was looked at, with the expressions that selections rank by.
      field, groups: it is grouped by; None and one group without such a field.
      histograms: by column.
      kept: of the documents kept, by number of the selection.
      bands: by column.
      draws, drawn: documents to show.
    """

    store: ScoreStore
    field: str | None
    groups: Sequence[str]
    histograms: Mapping[str, Histogram]
    kept: Mapping[int, Histogram]
    bands: Mapping[str, Sequence[Band]]
    draws: Sequence[Draw]
    drawn: Sequence[Sequence[Sample]]


def build_report(
    stores: Sequence[ScoreStore],
    selections: Sequence[Selection] = (),
    read_text: ReadText | None = None,
    *,
    documents_each: int = 3,
    seed: int = 0,
) -> str:
    """A report as HTML.

    Args:
      stores: of one source; they may be incomplete.
      selections: of the same source.
      read_text: (file, row) to the stored bytes; without it no texts are shown.
      documents_each: how many documents to show of every kind.
      seed: of the documents shown.

    Raises:
      ValueError: no store, or the stores and selections are not of the same files.
    """
    _check_same_files(stores, selections)
    looks = [_look(store, selections, documents_each, seed) for store in stores]
    samples = [sample for look in looks for drawn in look.drawn for sample in drawn]
    texts = read_shown(samples, read_text)
    sections = [
        (
            "scored",
            "What was scored",
            [_titled(look, looks, head_section(look.store)) for look in looks],
        ),
        ("scores", "Scores", [_titled(look, looks, _scores(look)) for look in looks]),
        ("selections", "Selections", _selections(selections, looks)),
        ("damage", "Damaged documents", _damage(looks)),
        (
            "documents",
            "Documents",
            [_titled(look, looks, _documents(look, texts)) for look in looks],
        ),
    ]
    return _page(_title(stores), [section for section in sections if any(section[2])])


def _look(
    store: ScoreStore, selections: Sequence[Selection], documents_each: int, seed: int
) -> _Look:
    made_here = {n: s for n, s in enumerate(selections) if _is_made_from(s, store)}
    by_column = {n: selection.info["score"] for n, selection in made_here.items()}
    store = store.with_scores(by_column.values())
    columns = store.score_columns
    field = GROUP_FIELD if GROUP_FIELD in store.fields else None
    groups = find_groups(store, field)
    histograms, of_kept = count_scores(
        store,
        find_ranges(store, list(columns)),
        field=field,
        groups=groups,
        kept=[(by_column[n], selection) for n, selection in made_here.items()],
    )
    cut = {n: s for n, s in made_here.items() if s.thresholds is not None}
    # A column that any end of may be kept says nothing of the documents at its ends.
    readable = [next(iter(columns)), *by_column.values()]
    readable = [c for c in dict.fromkeys(readable) if columns[c]["keeps"] != "any"]
    draws = [d for c in readable for d in tail_draws(c, histograms[c], documents_each)]
    draws += [d for n, s in cut.items() for d in cut_draws(by_column[n], s)]
    fields = [f for f in (GROUP_FIELD, DAMAGE_FIELD) if f in store.fields]
    return _Look(
        store=store,
        field=field,
        groups=groups,
        histograms=histograms,
        kept=dict(zip(made_here, of_kept, strict=True)),
        bands={c: [_band(n, s) for n, s in cut.items() if by_column[n] == c] for c in columns},
        draws=draws,
        drawn=draw(store, draws, fields=fields, each=documents_each, seed=seed),
    )


def _is_made_from(selection: Selection, store: ScoreStore) -> bool:
    found = manifest_digest(store)
    return any(other["manifest"] == found for other in selection.info["stores"])


def _band(number: int, selection: Selection) -> Band:
    assert selection.thresholds is not None
    low, high = selection.thresholds
    return Band(selection.folder.name, number % COLOURS, low, high)


def _scores(look: _Look) -> Html:
    return join(
        score_section(
            column,
            look.histograms[name],
            field=look.field,
            groups=look.groups,
            bands=look.bands[name],
        )
        for name, column in look.store.score_columns.items()
    )


def _selections(selections: Sequence[Selection], looks: Sequence[_Look]) -> list[Html]:
    parts = []
    for number, selection in enumerate(selections):
        look = next((look for look in looks if number in look.kept), None)
        histogram = None if look is None else look.histograms[selection.info["score"]]
        kept = None if look is None else look.kept[number]
        parts.append(selection_section(selection, number % COLOURS, histogram, kept))
    return parts


def _damage(looks: Sequence[_Look]) -> list[Html]:
    labelled = [look for look in looks if DAMAGE_FIELD in look.store.fields]
    found = [(look, damage_section(look.store)) for look in labelled]
    return [_titled(look, looks, section) for look, section in found if section]


def _documents(look: _Look, texts: Mapping[DocumentId, ShownText]) -> Html:
    return documents_section(look.draws, look.drawn, texts)


def _titled(look: _Look, looks: Sequence[_Look], content: Html) -> Html:
    """Says which of several stores something is about."""
    if not content or len(looks) == 1:
        return content
    return join([element("p", look.store.folder.name, class_="store"), content])


def _title(stores: Sequence[ScoreStore]) -> str:
    return "Scores of " + ", ".join(dict.fromkeys(s.manifest["source"]["spec"] for s in stores))


def _page(title: str, sections: Sequence[tuple[str, str, Sequence[Html]]]) -> str:
    head = [
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", title),
        element("style", Html(STYLE)),
    ]
    links = (element("a", name, href=f"#{anchor}") for anchor, name, _ in sections)
    body = [
        element("header", element("h1", title), element("nav", links)),
        *(
            element("section", element("h2", name), parts, id=anchor)
            for anchor, name, parts in sections
        ),
    ]
    return "<!doctype html>\n" + element(
        "html", element("head", head), element("body", body), lang="en"
    )


def _check_same_files(stores: Sequence[ScoreStore], selections: Sequence[Selection]) -> None:
    if not stores:
        raise ValueError("A report needs at least one score store; got none.")
    wanted = _sizes(stores[0])
    others: list[ScoreStore | Selection] = [*stores[1:], *selections]
    for other in others:
        found = _sizes(other)
        for path in sorted({*wanted, *found}):
            if wanted.get(path) != found.get(path):
                raise ValueError(
                    f"{other.folder} is not of the same files as {stores[0].folder}: {path} has "
                    f"(bytes, records) {found.get(path)} there and {wanted.get(path)} here. "
                    "Make a report for each source."
                )


def _sizes(folder: ScoreStore | Selection) -> dict[str, tuple[int, int]]:
    return {path: (file.size, file.num_rows) for path, file in folder.files.items()}
