"""How far scores rank the same documents alike, on a sample."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from pruning.corpus_statistics import Rank

CELLS = 16  # of a rank map, along either side
_FEW_CELLS = 8  # where there are few documents
_FEW = 2_000
_MOST_MAPS = 15


def kendall_taus(scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """Kendall's tau-b of every two scores, float64 [columns, columns].

    1 where they rank all pairs of documents alike, -1 where all the other way round, 0 where
    one says nothing about the other. Ties count as in tau-b. Documents that lack one of the
    two scores are left out; NaN where one score has one value only.
    """
    from scipy.stats import kendalltau  # half a second to import, and only reports need it

    taus = np.eye(len(scores))
    for (i, a_N), (j, b_N) in itertools.combinations(enumerate(scores.values()), 2):
        both_N = np.isfinite(a_N) & np.isfinite(b_N)
        tau = np.nan
        if both_N.sum() > 1:
            tau = kendalltau(a_N[both_N], b_N[both_N]).statistic
        taus[i, j] = taus[j, i] = tau
    return taus


def ranks(score_N: np.ndarray) -> np.ndarray:
    """Mean ranks from 0 for the lowest to 1 for the highest; NaN where there is no score."""
    score_N = np.where(np.isfinite(score_N), score_N, np.nan)
    return Rank(np.sort(score_N[~np.isnan(score_N)]))(score_N)


def rank_map(across_N: np.ndarray, up_N: np.ndarray) -> np.ndarray:
    """Documents by two ranks, int64 [cells, cells], the first axis along `across`."""
    both_N = np.isfinite(across_N) & np.isfinite(up_N)
    cells = CELLS if both_N.sum() >= _FEW else _FEW_CELLS
    across, up = (
        np.minimum((rank_N[both_N] * cells).astype(np.int64), cells - 1)
        for rank_N in (across_N, up_N)
    )
    return np.bincount(across * cells + up, minlength=cells * cells).reshape(cells, cells)


def pairs(columns: Sequence[str]) -> list[tuple[str, str]]:
    """Which two scores to show together: those of the first columns, 15 at most."""
    found = [(a, b) for b_at, b in enumerate(columns) for a in columns[:b_at]]
    return found[:_MOST_MAPS]


def most_disagreed(above_N: np.ndarray, below_N: np.ndarray, num: int) -> np.ndarray:
    """Indices of the documents that the first of two ranks puts furthest above the second."""
    gap_N = np.nan_to_num(above_N - below_N, nan=-np.inf)
    order_N = np.argsort(-gap_N, kind="stable")[:num]
    return order_N[gap_N[order_N] > 0]
