"""Finds places in a ranking without sorting it.

One streaming pass per digit of the key, most significant first: the histogram of that
digit over the keys that begin with the digits found so far says which digit comes next.
As soon as few keys begin so, one more pass takes them into memory, where the other digits
are found. Constant memory, any order of chunks, exact; histograms of parts of a corpus
add up.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeVar

import numpy as np

from pruning.ranking import Chunk, Chunks, Keys, joined, ordered, unordered
from pruning.selection import Rule

_HISTOGRAM_SIZE = 1 << 22  # counters of all groups together: 32 MiB an end
_FEW_KEYS = 1 << 23  # that are taken into memory: 20 bytes each, 36 with groups and tokens

_Part = Literal["score", "hash"]

T = TypeVar("T")


class Bounds(NamedTuple):
    """A key for every group: float64 and uint64 [groups]."""

    score_G: np.ndarray
    hash_G: np.ndarray

    def below(self, keys: Keys) -> np.ndarray:
        """bool [N]: the bound of the row's group lies below its key."""
        return self._compare(keys, np.less)

    def above(self, keys: Keys) -> np.ndarray:
        """bool [N]: the bound of the row's group lies above its key."""
        return self._compare(keys, np.greater)

    def _compare(self, keys: Keys, compare: np.ufunc) -> np.ndarray:
        # Exact: a bound is a key, or a limit as scores are stored.
        bound_N = _of_group(self.score_G.astype(keys.score_N.dtype), keys)
        result_N = compare(bound_N, keys.score_N)
        ties_N = bound_N == keys.score_N
        if ties_N.any():
            tied = keys.take(ties_N)
            result_N[ties_N] = compare(_of_group(self.hash_G, tied), tied.id_hash())
        return result_N


class Digits(NamedTuple):
    """A digit of each of some keys.

    Attributes:
      counter_N: its counter among those of all groups, intp.
      amount_N: what it counts: 1, or the tokens of each.
    """

    counter_N: np.ndarray
    amount_N: int | np.ndarray

    def add_to(self, histogram_GD: np.ndarray) -> None:
        np.add.at(histogram_GD.reshape(-1), self.counter_N, self.amount_N)


@dataclasses.dataclass
class _Search:
    """What is known of the keys at which a running total first exceeds an amount.

    Attributes:
      left_G: what is left of the amount after the keys before those that begin so.
      score_G, hash_G: digits found so far of the score, `ordered`, and of the hash; uint64.
      few: the keys that begin so, once they are in memory.
    """

    left_G: np.ndarray
    score_G: np.ndarray
    hash_G: np.ndarray
    few: Keys | None = None

    def advance(self, histogram_GD: np.ndarray, part: _Part, shift: int) -> int:
        """Finds the digit at which the total passes what is left; how many keys have it."""
        up_to_GD = np.cumsum(histogram_GD, axis=1)
        digit_G = (up_to_GD <= self.left_G[:, None]).sum(axis=1)
        digit_G = np.minimum(digit_G, histogram_GD.shape[1] - 1)
        before_G = np.maximum(digit_G - 1, 0)[:, None]
        passed_G = np.take_along_axis(up_to_GD, before_G, axis=1)[:, 0]
        self.left_G -= np.where(digit_G > 0, passed_G, 0)
        found_G = self._found(part)
        found_G |= digit_G.astype(np.uint64) << np.uint64(shift)
        return int(np.take_along_axis(histogram_GD, digit_G[:, None], axis=1).sum())

    def beginning(self, keys: Keys, part: _Part, shift: int) -> Keys:
        """Those whose bits from `shift` on are those found for their group."""
        if part == "hash":
            keys = self.beginning(keys, "score", 0)
        key_N = _key(keys, part)
        if shift == _width(key_N):
            return keys
        by = key_N.dtype.type(shift)
        found_G = self._found(part).astype(key_N.dtype) >> by
        return keys.take(key_N >> by == _of_group(found_G, keys))

    def _found(self, part: _Part) -> np.ndarray:
        return self.score_G if part == "score" else self.hash_G


def first_histogram(groups: int) -> np.ndarray:
    """Counters for the first digit of all keys, int64 [groups, digits]."""
    return np.zeros((groups, 1 << digit_bits(groups)), np.int64)


def first_digits(keys: Keys, rule: Rule, groups: int) -> Digits:
    """Of keys of some groups, for `first_histogram`."""
    part, shift = _digits(rule, groups)[0]
    return _digits_at(keys, part, shift, digit_bits(groups))


def find_crossings(
    rule: Rule, chunks: Chunks, amounts: Sequence[np.ndarray], first_GD: np.ndarray
) -> list[Bounds]:
    """The documents at which the ranking's running total first exceeds some amounts.

    The total is of tokens where the rule has a budget of tokens, else of documents.

    Args:
      rule: says how to rank.
      chunks: called once per pass.
      amounts: int64 [groups] each.
      first_GD: histogram of the first digit.

    Returns:
      For each of `amounts` the key of that document, by group. Where the total never
      exceeds the amount, it means nothing.
    """
    groups = len(first_GD)
    begin_G = np.zeros(groups, np.uint64)
    if rule.keep == "random":
        begin_G += ordered(np.zeros(1, np.float32))
    searches = [_Search(a_G.copy(), begin_G.copy(), np.zeros_like(begin_G)) for a_G in amounts]
    places = _digits(rule, groups)
    for number, (part, shift) in enumerate(places):
        histograms = [first_GD] * len(searches)
        if number:
            histograms = [np.zeros_like(first_GD) for _ in searches]
            next_digits = functools.partial(
                _next_digits, part=part, shift=shift, bits=digit_bits(groups)
            )
            for i, digits in _of_pass(searches, rule, chunks, next_digits):
                digits.add_to(histograms[i])
        # Where tokens are counted, there are at most as many keys, but for documents without any.
        num_keys = sum(
            search.advance(histogram_GD, part, shift)
            for search, histogram_GD in zip(searches, histograms, strict=True)
        )
        if num_keys <= _FEW_KEYS and searches[0].few is None and number + 1 < len(places):
            _take_into_memory(searches, rule, chunks, part, shift)
    score_type = np.uint64 if rule.keep == "sample" else np.uint32
    return [
        Bounds(unordered(search.score_G.astype(score_type)).astype(np.float64), search.hash_G)
        for search in searches
    ]


def digit_bits(groups: int) -> int:
    """Bits per digit: 16 up to 64 groups, then fewer, so that the histograms keep their size."""
    return next(bits for bits in (16, 8, 4, 2) if groups << bits <= _HISTOGRAM_SIZE or bits == 2)


def _digits(rule: Rule, groups: int) -> list[tuple[_Part, int]]:
    """The digits of a key, each by its part and its lowest bit there."""
    score_width = 64 if rule.keep == "sample" else 32
    widths: dict[_Part, int] = (
        {"hash": 64} if rule.keep == "random" else {"score": score_width, "hash": 64}
    )
    bits = digit_bits(groups)
    return [
        (part, shift) for part, width in widths.items() for shift in range(width - bits, -1, -bits)
    ]


def _of_pass(
    searches: Sequence[_Search], rule: Rule, chunks: Chunks, work: Callable[[_Search, Keys], T]
) -> Iterator[tuple[int, T]]:
    """What work makes of each search and what it must look at: all keys, or the few in memory.

    Returns:
      With the number of the search.
    """
    if searches[0].few is not None:
        yield from ((i, work(s, s.few)) for i, s in enumerate(searches) if s.few is not None)
        return

    def work_on(chunk: Chunk) -> list[T]:
        keys = chunk.scored(rule)
        return [work(search, keys) for search in searches]

    for results in chunks(work_on):
        yield from enumerate(results)


def _next_digits(search: _Search, keys: Keys, *, part: _Part, shift: int, bits: int) -> Digits:
    """Digits at `shift` of the keys that begin with those found."""
    return _digits_at(search.beginning(keys, part, shift + bits), part, shift, bits)


def _take_into_memory(
    searches: Sequence[_Search], rule: Rule, chunks: Chunks, part: _Part, shift: int
) -> None:
    """One pass for the keys that begin with the digits found so far."""
    taken: list[list[Keys]] = [[] for _ in searches]
    beginning = functools.partial(_Search.beginning, part=part, shift=shift)
    for i, keys in _of_pass(searches, rule, chunks, beginning):
        taken[i].append(keys)
    for search, parts in zip(searches, taken, strict=True):
        search.few = joined(parts) if parts else None


def _digits_at(keys: Keys, part: _Part, shift: int, bits: int) -> Digits:
    key_N = _key(keys, part)
    kind = key_N.dtype.type
    counter_N = ((key_N >> kind(shift)) & kind((1 << bits) - 1)).astype(np.intp)
    if keys.group_N is not None:
        counter_N += keys.group_N << bits
    return Digits(counter_N, 1 if keys.tokens_N is None else keys.tokens_N)


def _key(keys: Keys, part: _Part) -> np.ndarray:
    return ordered(keys.score_N) if part == "score" else keys.id_hash()


def _width(key_N: np.ndarray) -> int:
    return 8 * key_N.itemsize


def _of_group(value_G: np.ndarray, keys: Keys) -> np.ndarray:
    """The value of each key's group; one for all where there is only one."""
    return value_G[0] if keys.group_N is None else value_G[keys.group_N]
