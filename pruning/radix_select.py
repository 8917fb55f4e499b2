"""Finds places in a ranking without sorting it.

One streaming pass per digit of the key, most significant first: the histogram of that
digit over the keys that begin with the digits found so far says which digit comes next.
As soon as few keys begin so, one more pass collects and sorts them. Constant memory, any
order of chunks, exact; histograms of parts of a corpus add up.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pruning.ranking import Chunks, Keys, ordered
from pruning.selection import Rule

_MAX = (1 << 64) - 1
_HISTOGRAM_SIZE = 1 << 22  # counters of all groups together: 32 MiB an end
_FEW_KEYS = 1 << 22  # that are collected: 32 bytes each


class Bounds(NamedTuple):
    """A key for every group: uint64 [groups] each."""

    score_G: np.ndarray
    hash_G: np.ndarray

    def below(self, keys: Keys) -> np.ndarray:
        """bool [N]: the bound of the row's group lies below its key."""
        return self._compare(keys, np.less)

    def above(self, keys: Keys) -> np.ndarray:
        """bool [N]: the bound of the row's group lies above its key."""
        return self._compare(keys, np.greater)

    def _compare(self, keys: Keys, compare: np.ufunc) -> np.ndarray:
        bound_N = self.score_G[keys.group_N]
        result_N = compare(bound_N, keys.score_N)
        ties_N = bound_N == keys.score_N
        if ties_N.any():
            tied = keys.take(ties_N)
            result_N[ties_N] = compare(self.hash_G[tied.group_N], tied.id_hash())
        return result_N


def find_crossings(rule: Rule, chunks: Chunks, amounts: Sequence[np.ndarray]) -> list[Bounds]:
    """The documents at which the ranking's running total first exceeds some amounts.

    The total is of tokens where the rule has a budget of tokens, else of documents.

    Args:
      rule: says how to rank.
      chunks: called once per pass.
      amounts: int64 [groups] each.

    Returns:
      For each of `amounts` the key of that document, by group. Where the total never
      exceeds the amount, it means nothing.
    """
    groups = len(amounts[0])
    bits = digit_bits(groups)
    left = [amount_G.copy() for amount_G in amounts]
    by_hash = rule.keep == "random"
    score = ordered(np.zeros(groups)) if by_hash else np.zeros(groups, np.uint64)
    found = [Bounds(score.copy(), np.zeros(groups, np.uint64)) for _ in amounts]
    for part in ("hash",) if by_hash else ("score", "hash"):
        for shift in range(64 - bits, -1, -bits):
            histograms = [np.zeros((groups, 1 << bits), np.int64) for _ in amounts]
            num_keys = np.zeros(len(amounts), np.int64)
            for chunk in chunks():
                keys = chunk.scored(rule)
                for histogram, bounds in zip(histograms, found, strict=True):
                    _count(histogram, keys, bounds, part, shift, bits)
            for i, (histogram, bounds, left_G) in enumerate(
                zip(histograms, found, left, strict=True)
            ):
                digit_G = _advance(histogram, left_G)
                num_keys[i] = np.take_along_axis(histogram, digit_G[:, None], axis=1).sum()
                key_G = bounds.score_G if part == "score" else bounds.hash_G
                key_G |= digit_G.astype(np.uint64) << np.uint64(shift)
            # Where tokens are counted, there are at most as many keys.
            if shift and num_keys.sum() <= _FEW_KEYS:
                return _collect(rule, chunks, found, left, part, shift)
    return found


def _advance(histogram: np.ndarray, left_G: np.ndarray) -> np.ndarray:
    """The digit at which the total passes what is left, which becomes less by those before."""
    up_to = np.cumsum(histogram, axis=1)
    digit_G = np.minimum((up_to <= left_G[:, None]).sum(axis=1), histogram.shape[1] - 1)
    before_G = np.maximum(digit_G - 1, 0)[:, None]
    passed_G = np.take_along_axis(up_to, before_G, axis=1)[:, 0]
    left_G -= np.where(digit_G > 0, passed_G, 0)
    return digit_G


def _collect(
    rule: Rule,
    chunks: Chunks,
    found: Sequence[Bounds],
    left: Sequence[np.ndarray],
    part: str,
    shift: int,
) -> list[Bounds]:
    """Finds the places among the few keys that begin with the digits found so far."""
    collected: list[list[Keys]] = [[] for _ in found]
    for chunk in chunks():
        keys = chunk.scored(rule)
        for few, bounds in zip(collected, found, strict=True):
            few.append(_beginning(keys, bounds, part, shift))
    return [
        _place(few, bounds, left_G)
        for few, bounds, left_G in zip(collected, found, left, strict=True)
    ]


def _place(few: Sequence[Keys], bounds: Bounds, left_G: np.ndarray) -> Bounds:
    """The key in each group at which the running total exceeds what is left."""
    score_N, group_N = (
        np.concatenate([getattr(k, name) for k in few]) for name in ("score_N", "group_N")
    )
    hash_N = np.concatenate([k.id_hash() for k in few])
    weight_N = np.concatenate(
        [np.ones(len(k.rows_N), np.int64) if k.tokens_N is None else k.tokens_N for k in few]
    )
    order_N = np.lexsort((hash_N, score_N, group_N))
    group_N, total_N = group_N[order_N], np.cumsum(weight_N[order_N])
    ends_G = np.searchsorted(group_N, np.arange(len(left_G)), side="right")
    before_G = np.concatenate([[0], total_N])[np.concatenate([[0], ends_G[:-1]])]
    place_G = np.searchsorted(total_N, before_G + left_G, side="right")
    # Where the total never exceeds the amount, any key will do.
    at_G = order_N[np.minimum(place_G, len(order_N) - 1)] if len(order_N) else np.zeros(0, int)
    if not len(at_G):
        return bounds
    return Bounds(score_N[at_G], hash_N[at_G])


def digit_bits(groups: int) -> int:
    """Bits per digit: 16 up to 64 groups, then fewer, so that the histograms keep their size."""
    return next(bits for bits in (16, 8, 4, 2) if groups << bits <= _HISTOGRAM_SIZE or bits == 2)


def _count(
    histogram: np.ndarray, keys: Keys, bounds: Bounds, part: str, shift: int, bits: int
) -> None:
    """Adds the keys that begin with the digits found so far, by the digit at `shift`."""
    keys = _beginning(keys, bounds, part, shift + bits)
    key_N = keys.score_N if part == "score" else keys.id_hash()
    digit_N = (key_N >> np.uint64(shift)) & np.uint64((1 << bits) - 1)
    counter_N = (keys.group_N << bits) | digit_N.astype(np.int64)
    if keys.tokens_N is None:
        histogram += np.bincount(counter_N, minlength=histogram.size).reshape(histogram.shape)
    else:
        np.add.at(histogram.reshape(-1), counter_N, keys.tokens_N)


def _beginning(keys: Keys, bounds: Bounds, part: str, shift: int) -> Keys:
    """Those whose bits from `shift` on are those of their group's bound."""
    if part == "hash":
        keys = keys.take(keys.score_N == bounds.score_G[keys.group_N])
    if shift == 64:
        return keys
    key_N = keys.score_N if part == "score" else keys.id_hash()
    key_G = (bounds.score_G if part == "score" else bounds.hash_G) >> np.uint64(shift)
    bound_N = key_G[0] if len(key_G) == 1 else key_G[keys.group_N]
    return keys.take(key_N >> np.uint64(shift) == bound_N)
