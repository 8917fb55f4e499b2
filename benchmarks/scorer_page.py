"""The table of scorers as Markdown, and the agreement between scores as a picture."""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from planted import Planted, Side, standard_error

# Light enough for dark letters, on a ground that is light in dark mode too.
_COLOURS = LinearSegmentedColormap.from_list(
    "tau", ["#f0a868", "#fbf9f4", "#7fb3e0"]
).with_extremes(bad="#dddddd")
_GROUND, _INK = "#fbf9f4", "#202020"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """One line of the table.

    Attributes:
        name: As in expressions.
        dropped: The side that is judged.
        chances: By kind of what was planted.
        scored: Documents with a number.
    """

    name: str
    dropped: Side
    chances: Mapping[str, float]
    scored: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeedRow:
    """How fast one store was made.

    Attributes:
        store: Its name.
        scorers: That share it, with settings.
        models: With their numbers of parameters.
        documents_per_second: Of the loop.
        learning_seconds: Before it; 0 if nothing is learnt.
    """

    store: str
    scorers: str
    models: str
    documents_per_second: float
    learning_seconds: float


def chance_table(rows: Sequence[ScoreRow], planted: Planted) -> str:
    """A line a score: the chance for every kind."""
    head = ["score", "drops", "documents", *(kind.replace("_", " ") for kind in planted.kinds)]
    counts = ["*documents*", "", f"{len(planted.intact_N):,}"]
    counts += [f"{int(is_kind_N.sum()):,}" for is_kind_N in planted.kinds.values()]
    body = [
        [f"`{r.name}`", r.dropped, f"{r.scored:,}", *(_cell(r.chances[k]) for k in planted.kinds)]
        for r in rows
    ]
    return _table([head, counts, *body], left=2)


def speed_table(rows: Sequence[SpeedRow]) -> str:
    """A line a store."""
    body = [
        [
            f"`{row.store}`",
            row.scorers,
            row.models or "–",
            _rate(row.documents_per_second),
            f"{row.learning_seconds:.1f}" if row.learning_seconds else "–",
        ]
        for row in rows
    ]
    head = ["store", "scorers", "models", "documents/s", "seconds to learn"]
    return _table([head, *body], left=3)


def most_alike(names: Sequence[str], tau_CC: np.ndarray, number: int = 8) -> str:
    """The pairs of scores of different stores with the largest tau, either sign."""
    pairs = [
        (i, j)
        for i in range(len(names))
        for j in range(i)
        if _store(names[i]) != _store(names[j]) and not np.isnan(tau_CC[i, j])
    ]
    pairs.sort(key=lambda pair: -abs(tau_CC[pair]))
    lines = (f"`{names[j]}` and `{names[i]}` {tau_CC[i, j]:+.2f}" for i, j in pairs[:number])
    return "; ".join(lines)


def draw_agreement(names: Sequence[str], tau_CC: np.ndarray, path: pathlib.Path) -> None:
    """Writes the picture of `agreement`."""
    size = 2.2 + 0.38 * len(names)
    figure = Figure(figsize=(size, size), facecolor=_GROUND, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(tau_CC, cmap=_COLOURS, vmin=-1, vmax=1)
    places = range(len(names))
    axes.set_xticks(places, names, rotation=90, fontsize=8, color=_INK)
    axes.set_yticks(places, names, fontsize=8, color=_INK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for i, j in np.argwhere(~np.isnan(tau_CC)):
        text = f"{100 * tau_CC[i, j]:.0f}".replace("-0", "0")
        axes.text(j, i, text, ha="center", va="center", fontsize=7, color=_INK)
    axes.set_title(
        "Kendall's tau between scores, times 100, on intact documents", fontsize=10, color=_INK
    )
    bar = figure.colorbar(image, shrink=0.4, pad=0.01)
    bar.ax.tick_params(labelsize=8, colors=_INK)
    bar.outline.set_visible(False)  # type: ignore[operator]
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, bbox_inches="tight")


def noise(planted: Planted) -> Iterator[str]:
    """Twice the standard error of each kind's chance."""
    for kind in planted.kinds:
        yield f"{kind.replace('_', ' ')} {2 * standard_error(planted, kind):.2f}"


def _store(name: str) -> str:
    return name.partition(".")[0]


def _cell(chance: float) -> str:
    return "–" if np.isnan(chance) else f"{chance:.2f}"


def _rate(rate: float) -> str:
    return "–" if np.isnan(rate) else f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def _table(lines: Sequence[Sequence[str]], left: int) -> str:
    """Markdown; the first line is the head, and that many columns are of words."""
    head, *body = lines
    rule = ["---" if i < left else "---:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *body])
