"""Exact histograms of scores: every document is counted once, in constant memory."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from pruning.keep_bits import Selection
from pruning.report.categories import Category
from pruning.report.kept_rows import kept_rows
from pruning.report.ranges import Range
from pruning.report.scored_corpus import ScoredCorpus

BINS = 4096  # counted; pictures add neighbours up


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
        return self.range.at(i / BINS)


def quantile(counts: np.ndarray, histogram: Histogram, share: float) -> float:
    """The score below which this share lies, to half the width of a bin; NaN of nothing."""
    if not counts.sum():
        return float("nan")
    slot = int(np.searchsorted(np.cumsum(counts), share * counts.sum()))
    middle = (histogram.edge(slot - 1) + histogram.edge(slot)) / 2
    return min(max(middle, histogram.range.lowest), histogram.range.highest)


def count_scores(
    corpus: ScoredCorpus,
    ranges: Mapping[str, Range],
    *,
    by: Category | None = None,
    kept: Sequence[tuple[str, Selection]] = (),
) -> tuple[dict[str, Histogram], list[Histogram]]:
    """One pass.

    Args:
      corpus: of the scores.
      ranges: what `find_ranges` found, by column.
      by: groups to count apart.
      kept: a column and a selection each.

    Returns:
      A histogram of every column, and one of the kept documents for each of `kept`.
    """
    shape = (len(by.names) if by else 1, BINS + 2)
    histograms = {name: Histogram(r, np.zeros(shape, np.int64)) for name, r in ranges.items()}
    of_kept = [Histogram(ranges[name], np.zeros(shape, np.int64)) for name, _ in kept]
    bits = [kept_rows(selection) for _, selection in kept]
    columns = [*ranges, *(by.columns if by else ())]
    for unit, table in corpus.tables(columns, "count scores") if ranges else ():
        group_N = by.numbers(table) if by else np.zeros(len(table), np.int64)
        for name, histogram in histograms.items():
            _add(histogram, table[name].to_numpy(), group_N, np.ones(len(table), bool))
        for (name, _), histogram, keep_N in zip(kept, of_kept, bits, strict=True):
            _add(histogram, table[name].to_numpy(), group_N, keep_N(unit))
    return histograms, of_kept


def _add(
    histogram: Histogram, score_N: np.ndarray, group_N: np.ndarray, wanted_N: np.ndarray
) -> None:
    wanted_N = wanted_N & np.isfinite(score_N)
    score_N, group_N = score_N[wanted_N].astype(np.float64), group_N[wanted_N]
    low, high = histogram.range.low, histogram.range.high
    place_N = np.floor(histogram.range.place(np.clip(score_N, low, high)) * BINS)
    slot_N = 1 + np.clip(place_N, 0, BINS - 1).astype(np.int64)
    slot_N = np.where(score_N < low, 0, np.where(score_N > high, BINS + 1, slot_N))
    groups, slots = histogram.counts.shape
    counts = np.bincount(group_N * slots + slot_N, minlength=groups * slots)
    histogram.counts[...] += counts.reshape(groups, slots)
