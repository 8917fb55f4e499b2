"""Which documents to show: at the ends, at quantiles, and on both sides of a cut."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from pruning.keep_bits import Selection
from pruning.report.histograms import BINS, Histogram, quantile
from pruning.report.markup import number

_TAIL_SHARE = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class Draw:
    """Which documents may be drawn, and which of them come first.

    Attributes:
      title: as a person reads it.
      column: their score.
      low, high: both included.
      near: those nearest to this score come first; else the first by hash(id, seed).
      selection, kept: only what it keeps (or drops), if one is given.
    """

    title: str
    column: str
    low: float = -math.inf
    high: float = math.inf
    near: float | None = None
    selection: Selection | None = None
    kept: bool = True


def tail_draws(column: str, histogram: Histogram, at_least: int) -> list[Draw]:
    """The lowest and the highest hundredth of a column, to whole bins."""
    n = histogram.range.n
    if not n:
        return []
    share = max(_TAIL_SHARE, at_least / n)
    up_to = np.cumsum(histogram.total)
    last = min(int(np.searchsorted(up_to, share * n)), BINS + 1)
    from_top = np.cumsum(histogram.total[::-1])
    first = BINS + 1 - min(int(np.searchsorted(from_top, share * n)), BINS + 1)
    low, high = histogram.edge(last), histogram.edge(first - 1)
    return [
        Draw(title=f"Among the lowest: {column} up to {number(low)}", column=column, high=low),
        Draw(title=f"Among the highest: {column} from {number(high)}", column=column, low=high),
    ]


def quantile_draws(column: str, histogram: Histogram, at: Sequence[float]) -> list[Draw]:
    """The documents nearest to some quantiles of a column."""
    draws = []
    for share in at if histogram.range.n else ():
        near = quantile(histogram.total, histogram, share)
        name = "the median" if share == 0.5 else f"the quantile {share:g}"
        title = f"Around {name}: {column} near {number(near)}"
        draws.append(Draw(title=title, column=column, near=near))
    return draws


def cut_draws(column: str, selection: Selection) -> list[Draw]:
    """Both sides of both ends of what a selection keeps."""
    assert selection.thresholds is not None
    low, high = selection.thresholds
    sides = [
        ("Just below {}, dropped", low, {"high": low}, False),
        ("From {} up, kept", low, {"low": low}, True),
        ("Up to {}, kept", high, {"high": high}, True),
        ("Just above {}, dropped", high, {"low": high}, False),
    ]
    return [
        Draw(
            title=title.format(number(near)),
            column=column,
            near=near,
            selection=selection,
            kept=kept,
            **limits,
        )
        for title, near, limits, kept in sides
        if math.isfinite(near)
    ]
