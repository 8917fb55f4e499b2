"""What is known of the held-out half, and how well a score sees it."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np
from scipy.stats import kendalltau

from pruning.report.auc import auc
from pruning.report.damage_section import INTACT

Side = Literal["high", "low"]

# The fields of the held-out half that say what was done to a document.
LABELS = ("id", "damage", "duplicate_of", "near_duplicate_of")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planted:
    """Which documents are spoilt, and in which way.

    Attributes:
        kinds: bool [N] by kind: every damage, any of them, and the members of groups of
            `exact duplicates` and `near duplicates`, the originals among them.
        intact_N: Neither damaged nor with a planted or equal copy.
    """

    kinds: Mapping[str, np.ndarray]
    intact_N: np.ndarray


def read_labels(labels: Mapping[str, np.ndarray]) -> Planted:
    """Reads the fields of `LABELS`, [N] each, where None says that there is no original."""
    damage_N, id_N = labels["damage"], labels["id"]
    damaged_N = damage_N != INTACT
    kinds = {str(kind): damage_N == kind for kind in sorted({*damage_N} - {INTACT})}
    kinds["any damage"] = damaged_N
    for name, field in (
        ("exact duplicates", "duplicate_of"),
        ("near duplicates", "near_duplicate_of"),
    ):
        of_N = labels[field]
        is_copy_N = np.array([of is not None for of in of_N], bool)
        kinds[name] = is_copy_N | np.isin(id_N, of_N[is_copy_N])
    return Planted(kinds=kinds, intact_N=~np.any([*kinds.values()], axis=0))


def chances(score_N: np.ndarray, planted: Planted, dropped: Side) -> dict[str, float]:
    """The chance that a spoilt document is nearer to the dropped side than an intact one.

    Args:
        score_N: NaN where there is none, which is left out.
        planted: What is known of the N documents.
        dropped: The side.

    Returns:
        In [0, 1] by kind, ties counting one half; NaN where there is nothing to compare.
    """
    key_N = score_N if dropped == "high" else -score_N
    return {
        kind: auc(key_N[is_kind_N], key_N[planted.intact_N])
        for kind, is_kind_N in planted.kinds.items()
    }


def standard_error(planted: Planted, kind: str) -> float:
    """Of a chance that is really one half, without ties."""
    spoilt, intact = int(planted.kinds[kind].sum()), int(planted.intact_N.sum())
    return float(np.sqrt((spoilt + intact + 1) / (12 * max(spoilt * intact, 1))))


def agreement(scores: Mapping[str, np.ndarray], most: int = 2_000, seed: int = 0) -> np.ndarray:
    """Kendall's tau-b of every two scores, [C, C], over the documents that have both.

    Args:
        scores: [N] each.
        most: Documents that are compared; a sample is drawn if there are more.
        seed: Of the sample.

    Returns:
        NaN where one of the two does not vary.
    """
    columns = [np.asarray(score_N, np.float64) for score_N in scores.values()]
    num_documents = len(columns[0])
    take = np.random.default_rng(seed).permutation(num_documents)[:most]
    tau_CC = np.eye(len(columns))
    for i, one_N in enumerate(columns):
        for j, other_N in enumerate(columns[:i]):
            both = take[~np.isnan(one_N[take]) & ~np.isnan(other_N[take])]
            tau = kendalltau(one_N[both], other_N[both]).statistic if len(both) > 1 else np.nan
            tau_CC[i, j] = tau_CC[j, i] = tau
    return tau_CC
