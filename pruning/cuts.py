"""A rule with its ends found: it says of every document whether it stays."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from pruning.budgets import Census, stretches, wanted
from pruning.radix_select import Bounds, find_crossings
from pruning.ranking import Chunk, Chunks, ordered
from pruning.selection import Rule

_FIRST, _LAST = np.uint64(0), np.uint64((1 << 64) - 1)


@dataclasses.dataclass(frozen=True)
class Cut:
    """Keeps every document whose key lies between the bounds of its group.

    Attributes:
      rule: as asked for.
      census: documents and tokens by group.
      low, high: the bounds; a document at a bound is dropped.
    """

    rule: Rule
    census: Census
    low: Bounds
    high: Bounds

    def keeps(self, chunk: Chunk) -> np.ndarray:
        """Keep bits of a chunk, bool [N]."""
        keep_N = np.zeros(len(chunk.score_N), bool)
        keys = chunk.scored(self.rule)
        keep_N[keys.rows_N - chunk.first_row] = self.low.below(keys) & self.high.above(keys)
        return keep_N


def find_cut(rule: Rule, chunks: Chunks, groups: Sequence[str] = ("",)) -> Cut:
    """Finds the ends of a rule's stretch in every group.

    Args:
      rule: to apply.
      chunks: called once per pass; the same rows each time, in any order.
      groups: names, in the order of their numbers.

    Raises:
      ValueError: the budget exceeds what is there.
    """
    census = take_census(rule, chunks, groups)
    if rule.keep == "threshold":
        return Cut(rule, census, *_limits(rule, len(groups)))
    total_G = census.total(rule)
    wanted_G = wanted(rule, census)
    drop_G, up_to_G = stretches(rule, wanted_G, total_G)
    amounts = {"low": drop_G - 1, "high": up_to_G}
    is_open = {"low": drop_G == 0, "high": up_to_G >= total_G}
    sought = [end for end in amounts if not is_open[end].all()]
    found = {end: _everywhere(key, len(groups)) for end, key in (("low", _FIRST), ("high", _LAST))}
    if sought:
        crossings = find_crossings(rule, chunks, [amounts[end] for end in sought])
        for end, bounds in zip(sought, crossings, strict=True):
            found[end] = _where(is_open[end], found[end], bounds)
    # Documents without a token would fit into a budget of none.
    found["high"] = _where(wanted_G == 0, _everywhere(_FIRST, len(groups)), found["high"])
    return Cut(rule, census, found["low"], found["high"])


def take_census(rule: Rule, chunks: Chunks, groups: Sequence[str]) -> Census:
    """Counts the documents that have a score, and their tokens if the budget is one of tokens."""
    documents_G, tokens_G = (np.zeros(len(groups), np.int64) for _ in range(2))
    for chunk in chunks():
        keys = chunk.scored(rule)
        np.add.at(documents_G, keys.group_N, 1)
        if keys.tokens_N is not None:
            np.add.at(tokens_G, keys.group_N, keys.tokens_N)
    return Census(groups, documents_G, tokens_G)


def limits_as_stored(rule: Rule) -> tuple[float, float]:
    """Both limits of `threshold`, infinite where there is none.

    Scores are stored as float32: a limit of 0.1 must keep a score of 0.1.
    """
    low = -np.inf if rule.min_score is None else rule.min_score
    high = np.inf if rule.max_score is None else rule.max_score
    return float(np.float32(low)), float(np.float32(high))


def _limits(rule: Rule, groups: int) -> tuple[Bounds, Bounds]:
    low, high = ordered(np.array(limits_as_stored(rule)))
    one = np.uint64(1)
    return (
        Bounds(np.full(groups, low - one), np.full(groups, _LAST)),
        Bounds(np.full(groups, high + one), np.full(groups, _FIRST)),
    )


def _everywhere(key: np.uint64, groups: int) -> Bounds:
    return Bounds(np.full(groups, key), np.full(groups, key))


def _where(condition_G: np.ndarray, then: Bounds, other: Bounds) -> Bounds:
    pairs = zip(then, other, strict=True)
    return Bounds(*(np.where(condition_G, a_G, b_G) for a_G, b_G in pairs))
