"""How much each group keeps, and between which scores."""

from typing import Any

import numpy as np

from pruning.cuts import Cut, limits_as_stored
from pruning.ranking import Chunk


class KeptScores:
    """Counts what a cut keeps, chunk by chunk.

    Args:
      cut: that decided.
    """

    def __init__(self, cut: Cut):
        self._cut = cut
        groups = len(cut.census.groups)
        self._kept_G = np.zeros(groups, np.int64)
        self._low_G, self._high_G = np.full(groups, np.inf), np.full(groups, -np.inf)

    def add(self, chunk: Chunk, keep_N: np.ndarray) -> None:
        if chunk.group_N is None:
            self._kept_G += np.count_nonzero(keep_N)
            lower_N = keep_N & (chunk.score_N < np.float32(self._low_G[0]))
            higher_N = keep_N & (chunk.score_N > np.float32(self._high_G[0]))
            if lower_N.any():  # soon there are few
                self._low_G[0] = chunk.score_N[lower_N].min() + 0.0
            if higher_N.any():
                self._high_G[0] = chunk.score_N[higher_N].max() + 0.0
            return
        score_N, group_N = chunk.score_N[keep_N].astype(np.float64) + 0.0, chunk.group_N[keep_N]
        np.add.at(self._kept_G, group_N, 1)
        np.minimum.at(self._low_G, group_N, score_N)
        np.maximum.at(self._high_G, group_N, score_N)

    @property
    def thresholds(self) -> list[float | None] | None:
        """The lowest and highest score kept, or the limits asked for; None for an open end.

        None of all where scores do not say who stays: of a draw, and of several groups.
        """
        rule = self._cut.rule
        if rule.keep in ("random", "sample") or rule.per or not self._kept_G.any():
            return None
        if rule.keep == "threshold":
            return _finite(*limits_as_stored(rule))
        return _finite(float(self._low_G[0]), float(self._high_G[0]))

    @property
    def by_group(self) -> dict[str, dict[str, Any]] | None:
        """Documents, how many of them are kept, and their scores, of every group that has some."""
        if self._cut.rule.per is None:
            return None
        census = self._cut.census
        return {
            name: {
                "documents": int(census.documents_G[g]),
                "kept": int(self._kept_G[g]),
                "scores": _finite(float(self._low_G[g]), float(self._high_G[g])),
            }
            for g, name in enumerate(census.groups)
            if census.documents_G[g]
        }


def _finite(low: float, high: float) -> list[float | None]:
    return [end if np.isfinite(end) else None for end in (low, high)]
