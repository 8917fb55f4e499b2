"""A document's place in the ranking: its score, then hash(id, seed)."""

import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from pruning.hashing import id_hash
from pruning.sampling import drawn_scores
from pruning.selection import Rule

T = TypeVar("T")


class Chunk(NamedTuple):
    """Consecutive rows of one file.

    Attributes:
      file: their path.
      first_row: of the first of them.
      score_N: float32; NaN has no score.
      group_N: number of each row's group; None where there is only one.
      tokens_N: int64; None unless the budget is one of tokens.
    """

    file: str
    first_row: int
    score_N: np.ndarray
    group_N: np.ndarray | None = None
    tokens_N: np.ndarray | None = None

    def checksum(self) -> int:
        """Of the numbers of all rows."""
        checksum = 0
        for x_N in (self.score_N, self.group_N, self.tokens_N):
            if x_N is not None:
                checksum = zlib.crc32(np.ascontiguousarray(x_N).data, checksum)
        return checksum

    def scored(self, rule: Rule) -> "Keys":
        """The keys of the rows that have a score."""
        keys = Keys(
            file=self.file,
            first_row=self.first_row,
            index_N=None,
            score_N=self.score_N.astype(np.float32, copy=False),
            group_N=self.group_N,
            tokens_N=self.tokens_N,
            seed=rule.seed,
        )
        is_nan_N = np.isnan(keys.score_N)
        if is_nan_N.any():
            keys = keys.take(~is_nan_N)
        if rule.keep == "random":  # the hash alone decides
            return keys._replace(score_N=np.zeros_like(keys.score_N))
        if rule.keep == "sample":
            score_N = drawn_scores(rule, self.file, keys.rows(), keys.score_N.astype(np.float64))
            return keys._replace(score_N=score_N)
        return keys


class Chunks(Protocol):
    """Opens the documents for one more pass: the same rows each time, in any order."""

    def __call__(self, work: Callable[[Chunk], T], /) -> Iterable[T]:
        """What some work, on any thread, makes of each chunk."""
        ...


class Keys(NamedTuple):
    """Ranking keys of some documents of one file, or of several with their hashes.

    Attributes:
      file, first_row: of their chunk.
      index_N: their places in it; None for all of it.
      score_N: float32, or float64 of a draw; none is NaN.
      group_N, tokens_N: as of the chunk.
      seed: of the hash.
      hash_N: hash(id, seed), uint64, where it is known already.
    """

    file: str
    first_row: int
    index_N: np.ndarray | None
    score_N: np.ndarray
    group_N: np.ndarray | None
    tokens_N: np.ndarray | None
    seed: int
    hash_N: np.ndarray | None = None

    def take(self, wanted_N: np.ndarray) -> "Keys":
        """Those that are wanted, bool [N]."""
        at_N = np.flatnonzero(wanted_N)
        group_N, tokens_N, hash_N = (
            None if x_N is None else x_N[at_N] for x_N in (self.group_N, self.tokens_N, self.hash_N)
        )
        return self._replace(
            index_N=at_N if self.index_N is None else self.index_N[at_N],
            score_N=self.score_N[at_N],
            group_N=group_N,
            tokens_N=tokens_N,
            hash_N=hash_N,
        )

    def rows(self) -> np.ndarray:
        """Rows in the file, int64 [N]."""
        index_N = np.arange(len(self.score_N)) if self.index_N is None else self.index_N
        return self.first_row + index_N

    def id_hash(self) -> np.ndarray:
        """hash(id, seed), uint64 [N]."""
        return id_hash(self.file, self.rows(), self.seed) if self.hash_N is None else self.hash_N


def joined(parts: Sequence[Keys]) -> Keys:
    """Keys of one ranking as one; at least one part, which may be empty."""

    def join(columns: Sequence[np.ndarray | None]) -> np.ndarray | None:
        there = [x_N for x_N in columns if x_N is not None]
        return np.concatenate(there) if there else None

    return parts[0]._replace(
        index_N=None,
        score_N=np.concatenate([keys.score_N for keys in parts]),
        group_N=join([keys.group_N for keys in parts]),
        tokens_N=join([keys.tokens_N for keys in parts]),
        hash_N=np.concatenate([keys.id_hash() for keys in parts]),
    )


def ordered(score_N: np.ndarray) -> np.ndarray:
    """float32 or float64 to unsigned integers of that size, in the same order; -0.0 counts as 0.0."""
    signed = np.dtype(f"i{score_N.itemsize}")
    bits_N = (score_N + score_N.dtype.type(0)).view(signed)
    # Of negative floats all bits are turned round, of the others the sign.
    turned_N = bits_N >> signed.type(8 * signed.itemsize - 1)
    turned_N |= np.iinfo(signed).min
    turned_N ^= bits_N
    return turned_N.view(np.dtype(f"u{score_N.itemsize}"))


def unordered(key_N: np.ndarray) -> np.ndarray:
    """The floats that `ordered` made these integers of."""
    size = key_N.itemsize
    sign = key_N.dtype.type(1 << 8 * size - 1)
    return np.where(key_N & sign, key_N ^ sign, ~key_N).view(np.dtype(f"f{size}"))
