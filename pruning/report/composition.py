"""What a corpus is made of before and after, and what selections share: exact, from the bits."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from pruning.keep_bits import Selection
from pruning.report.categories import Category
from pruning.report.kept_rows import kept_rows
from pruning.report.scored_corpus import BYTES, SCORED, TOKENS, ScoredCorpus


@dataclasses.dataclass(frozen=True)
class Composition:
    """Documents in groups. Row 0 is before, row 1 + s is what selection s keeps.

    Attributes:
      category: the groups.
      documents, tokens: int64 [1 + selections, groups].
    """

    category: Category
    documents: np.ndarray
    tokens: np.ndarray


@dataclasses.dataclass(frozen=True)
class Counts:
    """What one pass over the bits counts.

    Attributes:
      compositions: by each category.
      documents, tokens, bytes: int64 [1 + selections]; those before have some score.
      shared: int64 [selections, selections], documents that both keep.
    """

    compositions: Sequence[Composition]
    documents: np.ndarray
    tokens: np.ndarray
    bytes: np.ndarray
    shared: np.ndarray


def count_kept(
    corpus: ScoredCorpus, categories: Sequence[Category], selections: Sequence[Selection]
) -> Counts:
    """One pass over the corpus and the keep bits."""
    rows = 1 + len(selections)
    compositions = [
        Composition(c, *(np.zeros((rows, len(c.names)), np.int64) for _ in range(2)))
        for c in categories
    ]
    totals = np.zeros((3, rows), np.int64)
    shared = np.zeros((len(selections),) * 2, np.int64)
    bits = [kept_rows(selection) for selection in selections]
    columns = [SCORED, TOKENS, BYTES, *(c for category in categories for c in category.columns)]
    for unit, table in corpus.tables(columns, "count what stays"):
        weights_N = [table[c].fill_null(0).to_numpy() for c in (TOKENS, BYTES)]
        in_RN = np.stack([table[SCORED].to_numpy(), *(keep_N(unit) for keep_N in bits)])
        totals[0] += in_RN.sum(axis=1)
        for total_R, weight_N in zip(totals[1:], weights_N, strict=True):
            total_R += in_RN @ weight_N
        kept_SN = in_RN[1:].astype(np.float64)  # sums of ones are exact, and BLAS adds them
        shared += (kept_SN @ kept_SN.T).astype(np.int64)
        for made in compositions:
            group_N = made.category.numbers(table)
            for row, in_N in enumerate(in_RN):
                groups = len(made.category.names)
                made.documents[row] += np.bincount(group_N[in_N], minlength=groups)
                np.add.at(made.tokens[row], group_N[in_N], weights_N[0][in_N])
    documents, tokens, num_bytes = totals
    return Counts(compositions, documents, tokens, num_bytes, shared)
