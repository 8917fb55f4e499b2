"""Selection rules: pure functions of (ids, scores, seed).

Documents are ranked by (score, hash(id, seed)), which no two share but by a
collision of 64 bits. A rule keeps one stretch of that ranking. Its ends are found
exactly by a radix select in streaming passes over the scores: constant memory,
any order of chunks, and histograms of parts of a corpus add up.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

import numpy as np

from pruning.hashing import id_hash

Keep = Literal["low", "middle", "high", "random", "threshold"]
KEEPS: tuple[Keep, ...] = ("low", "middle", "high", "random", "threshold")

_DIGIT_BITS = 16
_DIGITS = 8  # of 16 bits: four of the score, four of the hash
_SIGN = np.uint64(1 << 63)


class Chunk(NamedTuple):
    """Scores of some rows of one file: int64 [N] and float64 [N]; NaN has no score."""

    file: str
    rows_N: np.ndarray
    score_N: np.ndarray


# Opens the scores for one more pass.
Chunks = Callable[[], Iterable[Chunk]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """Which stretch of the ranking to keep.

    Attributes:
      keep: `low`, `middle` or `high` part by score; `random`, the part that comes
        first by hash(id, seed), among documents that have a score; `threshold`,
        all with min_score <= score <= max_score.
      fraction: of the documents that have a score; k = floor(fraction * n). The
        middle begins at floor((n - k) / 2). "When Less is More" section 3 and
        "Perplexed by Perplexity" Algorithm 1 count documents, as we do.
      min_score, max_score: of `threshold`, either may be absent.
      seed: breaks ties and draws.
    """

    keep: Keep
    fraction: float | None = None
    min_score: float | None = None
    max_score: float | None = None
    seed: int = 0

    def __post_init__(self):
        if self.keep not in KEEPS:
            raise ValueError(f"Unknown rule {self.keep!r}; known are {', '.join(KEEPS)}.")
        limits = (self.min_score, self.max_score)
        given = [limit for limit in limits if limit is not None]
        if any(np.isnan(given)) or given != sorted(given):
            raise ValueError(
                f"min_score is {limits[0]} and max_score {limits[1]}; they are numbers, and the "
                "first is not the larger one."
            )
        if self.keep == "threshold":
            if self.fraction is not None or limits == (None, None):
                raise ValueError(
                    f"--keep threshold takes --min_score or --max_score and no --fraction; got "
                    f"fraction {self.fraction}, min_score {limits[0]}, max_score {limits[1]}."
                )
        elif self.fraction is None or not 0 < self.fraction <= 1 or limits != (None, None):
            raise ValueError(
                f"--keep {self.keep} takes a --fraction above 0 and at most 1, and neither --min_score "
                f"nor --max_score; got fraction {self.fraction}, min_score {limits[0]}, max_score "
                f"{limits[1]}."
            )

    def stretch(self, n: int) -> range:
        """Ranks kept among n scored documents, by fraction."""
        # As decimal: floor(0.29 * 100) must be 29, and in binary it is 28.
        k = int(Decimal(repr(float(self.fraction or 0))) * n)
        start = {"middle": (n - k) // 2, "high": n - k}.get(self.keep, 0)
        return range(start, start + k)


class RankKey(NamedTuple):
    """A place in the ranking: the score as an ordered integer, then the hash of the id."""

    score: int
    id_hash: int


@dataclasses.dataclass(frozen=True)
class Cut:
    """A rule with its ends found: keeps every row whose key lies between the two, both included.

    Attributes:
      rule: as asked for.
      n: documents that have a score.
      first, last: keys of the first and the last kept rank; None if none is kept.
    """

    rule: Rule
    n: int
    first: RankKey | None
    last: RankKey | None

    @property
    def thresholds(self) -> tuple[float | None, float | None] | None:
        """Scores of the first and the last document kept; None for an end that is open."""
        if self.first is None or self.last is None or self.rule.keep == "random":
            return None
        ends = (_score_of(self.first.score), _score_of(self.last.score))
        return tuple(end if np.isfinite(end) else None for end in ends)  # type: ignore[return-value]

    def keeps(self, chunk: Chunk) -> np.ndarray:
        """Keep bits of a chunk, bool [N]."""
        if self.first is None or self.last is None:
            return np.zeros(len(chunk.rows_N), bool)
        score_key, hash_key = _keys(self.rule, chunk)
        from_first = (score_key > self.first.score) | (
            (score_key == self.first.score) & (hash_key >= self.first.id_hash)
        )
        to_last = (score_key < self.last.score) | (
            (score_key == self.last.score) & (hash_key <= self.last.id_hash)
        )
        return from_first & to_last & ~np.isnan(chunk.score_N)


def find_cut(rule: Rule, chunks: Chunks) -> Cut:
    """Finds the ends of a rule's stretch.

    One pass per 16 bits of the key, most significant first, for both ends at once:
    the histogram of that digit over the keys that begin with the digits found so
    far says which digit comes next.

    Args:
      rule: to apply.
      chunks: called once per pass; the same rows each time, in any order.
    """
    first_digits = _histograms(rule, chunks, [()])[()]
    n = int(first_digits.sum())
    if rule.keep == "threshold":
        low = -np.inf if rule.min_score is None else rule.min_score
        high = np.inf if rule.max_score is None else rule.max_score
        # Scores are stored as float32: a limit of 0.1 must keep a score of 0.1.
        first, last = (int(_ordered(np.array([np.float32(limit)]))[0]) for limit in (low, high))
        return Cut(rule, n, RankKey(first, 0), RankKey(last, (1 << 64) - 1))
    stretch = rule.stretch(n)
    if not stretch:
        return Cut(rule, n, None, None)
    ranks = [stretch[0], stretch[-1]]
    found: list[tuple[int, ...]] = [(), ()]
    histograms: dict[tuple[int, ...], np.ndarray] = {(): first_digits}
    for digit in range(_DIGITS):
        if digit:
            histograms = _histograms(rule, chunks, found)
        for end in (0, 1):
            up_to = np.cumsum(histograms[found[end]])
            value = int(np.searchsorted(up_to, ranks[end], side="right"))
            ranks[end] -= int(up_to[value - 1]) if value else 0
            found[end] = (*found[end], value)
    return Cut(rule, n, _key(found[0]), _key(found[1]))


def _key(digits: Sequence[int]) -> RankKey:
    value = 0
    for digit in digits:
        value = value << _DIGIT_BITS | digit
    return RankKey(value >> 64, value & ((1 << 64) - 1))


def _histograms(
    rule: Rule, chunks: Chunks, prefixes: Sequence[tuple[int, ...]]
) -> dict[tuple[int, ...], np.ndarray]:
    """For each prefix, how many keys begin with it, by the digit that follows."""
    histograms = {prefix: np.zeros(1 << _DIGIT_BITS, np.int64) for prefix in prefixes}
    for chunk in chunks():
        scored = ~np.isnan(chunk.score_N)
        keys = [key[scored] for key in _keys(rule, chunk)]
        for prefix, histogram in histograms.items():
            digits = [_digit(keys, i) for i in range(len(prefix) + 1)]
            matches = np.ones(len(keys[0]), bool)
            for digit_N, expected in zip(digits, prefix, strict=False):
                matches &= digit_N == expected
            histogram += np.bincount(digits[-1][matches], minlength=1 << _DIGIT_BITS)
    return histograms


def _digit(keys: Sequence[np.ndarray], i: int) -> np.ndarray:
    shift = np.uint64(48 - _DIGIT_BITS * (i % 4))
    return ((keys[i // 4] >> shift) & np.uint64(0xFFFF)).astype(np.int64)


def _keys(rule: Rule, chunk: Chunk) -> tuple[np.ndarray, np.ndarray]:
    hash_key = id_hash(chunk.file, chunk.rows_N, rule.seed)
    if rule.keep == "random":
        return np.zeros_like(hash_key), hash_key
    return _ordered(chunk.score_N), hash_key


def _ordered(score_N: np.ndarray) -> np.ndarray:
    """Floats to uint64 in the same order; -0.0 counts as 0.0."""
    bits = (np.asarray(score_N, np.float64) + 0.0).view(np.uint64)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _score_of(key: int) -> float:
    bits = np.uint64(key)
    return float(np.where(bits & _SIGN, bits ^ _SIGN, ~bits).astype(np.uint64).view(np.float64))
