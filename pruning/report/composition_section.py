"""What the corpus is made of, before and after."""

from collections.abc import Sequence

import numpy as np

from pruning.keep_bits import Selection
from pruning.report.composition import Composition, Counts
from pruning.report.markup import Html, element, join, percent, table
from pruning.report.pictures import share_bar
from pruning.report.totals_section import COLOURS, chip
from pruning.wording import plural


def composition_section(counts: Counts, selections: Sequence[Selection]) -> Html:
    """Shares of each group before and after, one picture a category."""
    legend = element(
        "p",
        element("span", "before", class_="chip before-chip"),
        (chip(selection, s) for s, selection in enumerate(selections)),
        class_="legend",
    )
    return join(_composition(made, legend) for made in counts.compositions)


def _composition(made: Composition, legend: Html) -> Html | None:
    shown = [g for g in range(len(made.category.names)) if made.documents[:, g].any()]
    if len(shown) < 2:
        return None
    measures = [("documents", made.documents)]
    if made.tokens.any():
        measures.append(("tokens", made.tokens))
    rows = [
        [
            element("span", made.category.names[g], element("small", _rates(made.documents[:, g]))),
            *(join(_bars(counts_RG, g)) for _, counts_RG in measures),
        ]
        for g in shown
    ]
    by = made.category.title
    after = len(made.documents) > 1
    how = "Each bar is a group's share of the whole" + (
        ", grey before and coloured after: where a coloured bar is longer than the grey one, pruning favours that "
        "group."
        if after
        else "."
    )
    return join(
        [
            element("h3", f"Composition by {by}"),
            element("p", how, class_="how"),
            legend if after else None,
            table([by, *(f"Share of {m}" for m, _ in measures)], rows, class_="composition"),
        ]
    )


def _rates(documents_R: np.ndarray) -> str:
    kept = [percent(n, documents_R[0]) for n in documents_R[1:]]
    return f"keeps {kept[0]}" if len(kept) == 1 else plural(int(documents_R[0]), "document")


def _bars(counts_RG: np.ndarray, group: int) -> list[Html]:
    whole_R = np.maximum(counts_RG.sum(axis=1), 1)
    longest = (counts_RG / whole_R[:, None]).max()
    bars = []
    for row, (n, whole) in enumerate(zip(counts_RG[:, group], whole_R, strict=True)):
        class_ = f"after c{(row - 1) % COLOURS}" if row else "before"
        bars.append(share_bar(n / whole / longest, f"{percent(n, whole)} · {n:,}", class_))
    return bars
