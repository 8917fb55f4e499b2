"""A document's place in the ranking: the score as an ordered integer, then hash(id, seed)."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from pruning.hashing import id_hash
from pruning.sampling import drawn_scores
from pruning.selection import Rule

_SIGN = np.int64(-1 << 63)


class Chunk(NamedTuple):
    """Consecutive rows of one file.

    Attributes:
      file: their path.
      first_row: of the first of them.
      score_N: float; NaN has no score.
      group_N: number of each row's group; None where there is only one.
      tokens_N: int64; None unless the budget is one of tokens.
    """

    file: str
    first_row: int
    score_N: np.ndarray
    group_N: np.ndarray | None = None
    tokens_N: np.ndarray | None = None

    def scored(self, rule: Rule) -> "Keys":
        """The keys of the rows that have a score."""
        is_nan_N = np.isnan(self.score_N)
        some: slice | np.ndarray = slice(None)  # which copies nothing
        if is_nan_N.any():
            some = ~is_nan_N
        rows_N = np.arange(self.first_row, self.first_row + len(self.score_N))[some]
        score_N = self.score_N[some].astype(np.float64)
        if rule.keep == "sample":
            score_N = drawn_scores(rule, self.file, rows_N, score_N)
        return Keys(
            file=self.file,
            rows_N=rows_N,
            # Of a random part, the hash alone decides.
            score_N=ordered(np.zeros_like(score_N) if rule.keep == "random" else score_N),
            group_N=np.zeros(len(rows_N), np.int64) if self.group_N is None else self.group_N[some],
            tokens_N=None if self.tokens_N is None else self.tokens_N[some],
            seed=rule.seed,
        )


# Opens the documents for one more pass: the same rows each time, in any order.
Chunks = Callable[[], Iterable[Chunk]]


class Keys(NamedTuple):
    """Ranking keys of some documents of one file: uint64 [N] here, and `id_hash` when asked."""

    file: str
    rows_N: np.ndarray
    score_N: np.ndarray
    group_N: np.ndarray
    tokens_N: np.ndarray | None
    seed: int

    def take(self, wanted_N: np.ndarray) -> "Keys":
        """Those of the rows that are wanted, bool [N]."""
        return self._replace(
            rows_N=self.rows_N[wanted_N],
            score_N=self.score_N[wanted_N],
            group_N=self.group_N[wanted_N],
            tokens_N=None if self.tokens_N is None else self.tokens_N[wanted_N],
        )

    def id_hash(self) -> np.ndarray:
        """hash(id, seed), uint64 [N]."""
        return id_hash(self.file, self.rows_N, self.seed)


def ordered(score_N: np.ndarray) -> np.ndarray:
    """Floats to uint64 in the same order; -0.0 counts as 0.0."""
    bits = (np.asarray(score_N, np.float64) + 0.0).view(np.int64)
    # Of negative floats all bits are turned round, of the others the sign.
    bits ^= (bits >> 63) | _SIGN
    return bits.view(np.uint64)
