"""Exact quantiles of a score, in passes over the corpus and constant memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from pruning.cuts import take_census
from pruning.radix_select import find_crossings
from pruning.ranked_documents import BYTES_IN_MEMORY
from pruning.ranking import Chunk
from pruning.report.scored_corpus import ScoredCorpus
from pruning.selection import Rule

_ROW_BYTES = 4

T = TypeVar("T")


def exact_quantiles(corpus: ScoredCorpus, column: str, shares: Sequence[float]) -> list[float]:
    """The scores of the documents at some places of the ranking.

    Args:
      corpus: with that column.
      column: to rank by.
      shares: in [0, 1]; of n documents, the one at floor(share * (n - 1)) from below.

    Raises:
      ValueError: a share is none, or no document has a finite score.
    """
    if wrong := [share for share in shares if not 0 <= share <= 1]:
        raise ValueError(f"--at takes quantiles from 0 to 1; got {wrong[0]:g}.")

    def read() -> Iterator[Chunk]:
        for unit, table in corpus.tables([column], "find quantiles"):
            score_N = table[column].to_numpy()
            score_N = np.where(np.isfinite(score_N), score_N, np.float32(np.nan))
            yield Chunk(unit.file, unit.first_row, score_N)

    held = list(read()) if corpus.stores.num_rows * _ROW_BYTES <= BYTES_IN_MEMORY else None

    def chunks(work: Callable[[Chunk], T]) -> Iterable[T]:
        return map(work, read() if held is None else held)

    rule = Rule(keep="low", fraction=1.0)
    census, first_GD = take_census(rule, chunks, ("",))
    n = int(census.documents_G[0])
    if not n:
        raise ValueError(f"No document has a finite {column}: there is nothing to show.")
    amounts = [np.array([int(share * (n - 1))]) for share in shares]
    found = find_crossings(rule, chunks, amounts, first_GD)
    return [float(bounds.score_G[0]) for bounds in found]
