"""Exact histograms of scores in two passes: where the scores lie, then how many lie where."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pruning.documents import Unit
from pruning.keep_bits import Selection
from pruning.score_store import ScoreStore

BINS = 4096  # counted; pictures add neighbours up
_TAIL = 0.01  # share at either end that does not say where the bins lie
_MARGIN = 0.25  # of the width between the tails, added on both sides
_GROUPS = 16  # shown; the smallest of more are added up
_SHARED_BITS = 16  # of a float64: sign, exponent, four bits more

NO_VALUE = "(none)"
OTHERS = "(others)"


@dataclasses.dataclass(frozen=True)
class Range:
    """Where the finite scores of a column lie.

    Attributes:
      n: how many are finite.
      lowest, highest: of all.
      low, high: the ends of the bins: the middle 98 % and a quarter of its width on
        either side, as far as there are scores. One absurd score does not stretch them.
    """

    n: int
    lowest: float
    highest: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Histogram:
    """Documents by score.

    Attributes:
      range: of the bins.
      counts: int64 [groups, BINS + 2]; below all bins, in each, above all.
    """

    range: Range
    counts: np.ndarray

    @property
    def total(self) -> np.ndarray:
        return self.counts.sum(axis=0)

    def edge(self, i: int) -> float:
        """Lower end of bin i, from 0; the ends of the whole range beyond."""
        if not 0 <= i <= BINS:
            return self.range.lowest if i < 0 else self.range.highest
        return self.range.low + (self.range.high - self.range.low) * i / BINS


def quantile(counts: np.ndarray, histogram: Histogram, share: float) -> float:
    """The score below which this share lies, to half the width of a bin; NaN of nothing."""
    if not counts.sum():
        return float("nan")
    slot = int(np.searchsorted(np.cumsum(counts), share * counts.sum()))
    middle = (histogram.edge(slot - 1) + histogram.edge(slot)) / 2
    return min(max(middle, histogram.range.lowest), histogram.range.highest)


def find_groups(store: ScoreStore, field: str | None) -> list[str]:
    """Values of a carried field, those with most documents first; one group without a field."""
    if field is None:
        return [OTHERS]
    counted: Counter[str] = Counter()
    for _, table in store.tables([field]):
        for entry in pc.value_counts(table[field]).to_pylist():
            counted[NO_VALUE if entry["values"] is None else entry["values"]] += entry["counts"]
    names = [name for name, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0]))]
    return names if len(names) <= _GROUPS else [*names[: _GROUPS - 1], OTHERS]


def find_ranges(store: ScoreStore, columns: Sequence[str]) -> dict[str, Range]:
    """The first pass: ends of each column, and where its bins lie."""
    n_finite = dict.fromkeys(columns, 0)
    ends = dict.fromkeys(columns, (np.inf, -np.inf))
    rough = {name: np.zeros(1 << _SHARED_BITS, np.int64) for name in columns}
    for _, table in store.tables(columns):
        for name in columns:
            score_N = finite(table[name])
            if len(score_N):
                low, high = ends[name]
                n_finite[name] += len(score_N)
                ends[name] = min(low, score_N.min()), max(high, score_N.max())
                rough[name] += np.bincount(_rough_order(score_N), minlength=1 << _SHARED_BITS)
    return {name: _range(n_finite[name], *ends[name], rough[name]) for name in columns}


def count_scores(
    store: ScoreStore,
    ranges: Mapping[str, Range],
    *,
    field: str | None,
    groups: Sequence[str],
    kept: Sequence[tuple[str, Selection]] = (),
) -> tuple[dict[str, Histogram], list[Histogram]]:
    """The second pass.

    Args:
      store: of the scores.
      ranges: what `find_ranges` found, by column.
      field: carried field to group by, and its groups.
      groups: as `find_groups` lists them.
      kept: a column and a selection each.

    Returns:
      A histogram of every column, and one of the kept documents for each of `kept`.
    """
    shape = (len(groups), BINS + 2)
    histograms = {name: Histogram(r, np.zeros(shape, np.int64)) for name, r in ranges.items()}
    of_kept = [Histogram(ranges[name], np.zeros(shape, np.int64)) for name, _ in kept]
    columns = [*ranges, *([field] if field else [])]
    bits = [kept_rows(selection) for _, selection in kept]
    for unit, table in store.tables(columns):
        group_N = _group_index(table, field, groups)
        for name, histogram in histograms.items():
            _add(histogram, table[name].to_numpy(), group_N, np.ones(len(table), bool))
        for (name, _), histogram, keep_N in zip(kept, of_kept, bits, strict=True):
            _add(histogram, table[name].to_numpy(), group_N, keep_N(unit))
    return histograms, of_kept


def scores_by_value(
    store: ScoreStore, field: str, columns: Sequence[str]
) -> dict[str, dict[str, np.ndarray]]:
    """All finite scores of each column, by value of a field. Holds them in memory: for labels."""
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for _, table in store.tables([field, *columns]):
        value_N = pc.fill_null(table[field], NO_VALUE)
        for value in pc.unique(value_N).to_pylist():
            here = table.filter(pc.equal(value_N, value))
            for name in columns:
                found.setdefault(value, {}).setdefault(name, []).append(finite(here[name]))
    return {v: {c: np.concatenate(parts) for c, parts in by.items()} for v, by in found.items()}


def kept_rows(selection: Selection) -> Callable[[Unit], np.ndarray]:
    """Keep bits by unit, bool [num_rows]; a file's bits are read once for all its units."""
    keep = functools.lru_cache(maxsize=1)(selection.keep)
    return lambda unit: keep(unit.file)[unit.first_row :][: unit.num_rows]


def finite(column: pa.ChunkedArray) -> np.ndarray:
    """The finite scores of a column, float64."""
    score_N = column.to_numpy().astype(np.float64)
    return score_N[np.isfinite(score_N)]


def _add(
    histogram: Histogram, score_N: np.ndarray, group_N: np.ndarray, wanted_N: np.ndarray
) -> None:
    wanted_N = wanted_N & np.isfinite(score_N)
    score_N, group_N = score_N[wanted_N].astype(np.float64), group_N[wanted_N]
    low, high = histogram.range.low, histogram.range.high
    place_N = np.floor((np.clip(score_N, low, high) - low) * (BINS / (high - low)))
    slot_N = 1 + np.minimum(place_N, BINS - 1).astype(np.int64)
    slot_N = np.where(score_N < low, 0, np.where(score_N > high, BINS + 1, slot_N))
    groups, slots = histogram.counts.shape
    counts = np.bincount(group_N * slots + slot_N, minlength=groups * slots)
    histogram.counts[...] += counts.reshape(groups, slots)


def _group_index(table: pa.Table, field: str | None, groups: Sequence[str]) -> np.ndarray:
    if field is None:
        return np.zeros(len(table), np.int64)
    index = pc.index_in(pc.fill_null(table[field], NO_VALUE), pa.array(groups, pa.string()))
    return pc.fill_null(index, len(groups) - 1).to_numpy().astype(np.int64)


def _range(n: int, lowest: float, highest: float, rough: np.ndarray) -> Range:
    if not n:
        return Range(0, np.nan, np.nan, 0.0, 1.0)
    up_to = np.cumsum(rough)
    first = int(np.searchsorted(up_to, _TAIL * n, side="right"))
    last = int(np.searchsorted(up_to, n - _TAIL * n, side="left"))
    low, high = lowest, highest
    if first < last:  # else nearly all scores are one, and the others are of interest
        inner, outer = max(low, _rough_edges(first)[0]), min(high, _rough_edges(last)[1])
        margin = _MARGIN * (outer - inner)
        low, high = max(low, inner - margin), min(high, outer + margin)
    if low == high:
        margin = max(0.5, abs(low) * 1e-3)
        low, high = low - margin, high + margin
    return Range(n, float(lowest), float(highest), float(low), float(high))


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
