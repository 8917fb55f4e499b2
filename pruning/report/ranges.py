"""Where the scores of a column lie, and on which axis they are best seen."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pruning.report.scored_corpus import ScoredCorpus

_TAIL = 0.01  # share at either end that does not say where the bins lie
_MARGIN = 0.25  # of the width between the tails, added on both sides
_SHARED_BITS = 16  # of a float64: sign, exponent, four bits more
_LOG_FROM = 10.0  # times the median that the middle 98 % reaches, for a logarithmic axis


@dataclasses.dataclass(frozen=True)
class Range:
    """Where the finite scores of a column lie.

    Attributes:
      n: how many are finite.
      lowest, highest: of all.
      low, high: the ends of the bins: the middle 98 % and a quarter of its width on
        either side, as far as there are scores. One absurd score does not stretch them.
      log: the axis is logarithmic: all scores are above 0, and the middle 98 % reach
        beyond ten times the median.
    """

    n: int
    lowest: float
    highest: float
    low: float
    high: float
    log: bool = False

    def place(self, score: np.ndarray) -> np.ndarray:
        """0 at the lower end of the bins, 1 at the upper; beyond them for scores beyond."""
        low, high = self.low, self.high
        if self.log:
            low, high = math.log(low), math.log(high)
            score = np.log(np.maximum(score, self.lowest))
        return (np.asarray(score, np.float64) - low) / (high - low)

    def at(self, place: float) -> float:
        """The score at a place."""
        if self.log:
            return self.low * (self.high / self.low) ** place
        return self.low + (self.high - self.low) * place


def find_ranges(corpus: ScoredCorpus, columns: Sequence[str]) -> dict[str, Range]:
    """One pass: ends of each column, and where its bins lie."""
    n_finite = dict.fromkeys(columns, 0)
    ends = dict.fromkeys(columns, (np.inf, -np.inf))
    rough = {name: np.zeros(1 << _SHARED_BITS, np.int64) for name in columns}
    for _, table in corpus.tables(columns, "find ranges") if columns else ():
        for name in columns:
            score_N = finite(table[name])
            if len(score_N):
                low, high = ends[name]
                n_finite[name] += len(score_N)
                ends[name] = min(low, score_N.min()), max(high, score_N.max())
                rough[name] += np.bincount(_rough_order(score_N), minlength=1 << _SHARED_BITS)
    return {name: _range(n_finite[name], *ends[name], rough[name]) for name in columns}


def finite(column: pa.ChunkedArray) -> np.ndarray:
    """The finite scores of a column, float64."""
    score_N = column.to_numpy().astype(np.float64)
    return score_N[np.isfinite(score_N)]


def _range(n: int, lowest: float, highest: float, rough: np.ndarray) -> Range:
    if not n:
        return Range(0, np.nan, np.nan, 0.0, 1.0)
    up_to = np.cumsum(rough)
    first = int(np.searchsorted(up_to, _TAIL * n, side="right"))
    last = int(np.searchsorted(up_to, n - _TAIL * n, side="left"))
    low, high, log = float(lowest), float(highest), False
    if first < last:  # else nearly all scores are one, and the others are of interest
        inner, outer = max(low, _rough_edges(first)[0]), min(high, _rough_edges(last)[1])
        middle = _rough_edges(int(np.searchsorted(up_to, n / 2, side="right")))[0]
        log = low > 0 and outer > _LOG_FROM * middle
        if log:
            margin = (outer / inner) ** _MARGIN
            low, high = max(low, inner / margin), min(high, outer * margin)
        else:
            margin = _MARGIN * (outer - inner)
            low, high = max(low, inner - margin), min(high, outer + margin)
    if low == high:
        margin = max(0.5, abs(low) * 1e-3)
        low, high = low - margin, high + margin
    return Range(n, float(lowest), float(highest), float(low), float(high), log)


def _rough_order(score_N: np.ndarray) -> np.ndarray:
    """The upper bits of floats, in the order of the floats."""
    upper_N = (score_N.view(np.uint64) >> np.uint64(64 - _SHARED_BITS)).astype(np.int64)
    half = 1 << (_SHARED_BITS - 1)
    return np.where(upper_N >= half, 2 * half - 1 - upper_N, upper_N + half)


def _rough_edges(place: int) -> tuple[float, float]:
    """The least and the greatest float of one place in that order."""
    half = 1 << (_SHARED_BITS - 1)
    upper = place - half if place >= half else 2 * half - 1 - place
    rest = 64 - _SHARED_BITS
    ends = np.array([upper << rest, (upper << rest) | ((1 << rest) - 1)], np.uint64)
    low, high = sorted(float(x) for x in ends.view(np.float64))
    return low, high
