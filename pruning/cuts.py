"""A rule with its ends found: it says of every document whether it stays."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from pruning.budgets import Census, stretches, wanted
from pruning.radix_select import Bounds, Digits, find_crossings, first_digits, first_histogram
from pruning.ranking import Chunk, Chunks
from pruning.selection import Rule

# Before and after every key.
_FIRST, _LAST = (-np.inf, np.uint64(0)), (np.inf, np.uint64((1 << 64) - 1))


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
        keys = chunk.scored(self.rule)
        is_between_N = self.low.below(keys) & self.high.above(keys)
        if keys.index_N is None:
            return is_between_N
        keep_N = np.zeros(len(chunk.score_N), bool)
        keep_N[keys.index_N] = is_between_N
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
    census, first_GD = take_census(rule, chunks, groups)
    if rule.keep == "threshold":
        low, high = limits_as_stored(rule)
        ends = (low, _FIRST[1]), (high, _LAST[1])  # so that a score at a limit stays
        return Cut(rule, census, *(_everywhere(end, len(groups)) for end in ends))
    total_G = census.total(rule)
    wanted_G = wanted(rule, census)
    drop_G, up_to_G = stretches(rule, wanted_G, total_G)
    amounts = {"low": drop_G - 1, "high": up_to_G}
    is_open = {"low": drop_G == 0, "high": up_to_G >= total_G}
    sought = [end for end in amounts if not is_open[end].all()]
    found = {end: _everywhere(key, len(groups)) for end, key in (("low", _FIRST), ("high", _LAST))}
    if sought:
        crossings = find_crossings(rule, chunks, [amounts[end] for end in sought], first_GD)
        for end, bounds in zip(sought, crossings, strict=True):
            found[end] = _where(is_open[end], found[end], bounds)
    # Documents without a token would fit into a budget of none.
    found["high"] = _where(wanted_G == 0, _everywhere(_FIRST, len(groups)), found["high"])
    return Cut(rule, census, found["low"], found["high"])


def take_census(rule: Rule, chunks: Chunks, groups: Sequence[str]) -> tuple[Census, np.ndarray]:
    """Counts the documents that have a score, and their tokens if the budget is one of tokens.

    Returns:
      The census, and in the same pass what `find_crossings` begins with.
    """
    documents_G, tokens_G = (np.zeros(len(groups), np.int64) for _ in range(2))
    first_GD = first_histogram(len(groups))

    def look_at(chunk: Chunk) -> tuple[int | np.ndarray, Digits | None]:
        keys = chunk.scored(rule)
        digits = None if rule.keep == "threshold" else first_digits(keys, rule, len(groups))
        if keys.group_N is None:
            return len(keys.score_N), digits
        return np.bincount(keys.group_N, minlength=len(groups)), digits

    for documents, digits in chunks(look_at):
        documents_G += documents
        if digits is not None:
            digits.add_to(first_GD)
    if rule.by_tokens:
        tokens_G = first_GD.sum(axis=1)
    return Census(groups, documents_G, tokens_G), first_GD


def limits_as_stored(rule: Rule) -> tuple[float, float]:
    """Both limits of `threshold`, infinite where there is none.

    Scores are stored as float32: a limit of 0.1 must keep a score of 0.1.
    """
    low = -np.inf if rule.min_score is None else rule.min_score
    high = np.inf if rule.max_score is None else rule.max_score
    return float(np.float32(low)), float(np.float32(high))


def _everywhere(key: tuple[float, np.uint64], groups: int) -> Bounds:
    score, hash_ = key
    return Bounds(np.full(groups, score), np.full(groups, hash_))


def _where(condition_G: np.ndarray, then: Bounds, other: Bounds) -> Bounds:
    pairs = zip(then, other, strict=True)
    return Bounds(*(np.where(condition_G, a_G, b_G) for a_G, b_G in pairs))
