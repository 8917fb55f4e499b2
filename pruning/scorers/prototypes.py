"""Prototypes: how typical a document is of its cluster."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from pruning.nearest_centroids import DIRECTION_BITS, Assignment, similarity_to_centroid
from pruning.scorers.scorer import Artifact, Column, Corpus, ScorableDocuments
from pruning.spherical_kmeans import SphericalKMeans
from pruning.unit_vectors import on_grid, unit_vectors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prototypes(SphericalKMeans):
    """Cosine similarity to the centroid of the document's own cluster.

    SSL Prototypes (Sorscher et al. 2022), as in "How to Train Data-Efficient LLMs"
    with the clusters of its SemDeDup: the documents nearest to their
    centroid are dropped.
    """

    name: ClassVar[str] = "prototypes"
    reads: ClassVar[frozenset[str]] = frozenset({"embedding"})

    def fit(self, corpus: Corpus) -> Artifact:
        return {"centroid_KD": self.centroids(corpus)}

    def merge(self, artifacts: Sequence[Artifact]) -> Artifact:
        raise ValueError(not_mergeable(self.name))

    def scorer(self, artifact: Artifact) -> "PrototypesScorer":
        return PrototypesScorer(learner=self, centroid_KD=artifact["centroid_KD"])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PrototypesScorer:
    """What `Prototypes` has learnt, as a function of a document."""

    name: ClassVar[str] = "prototypes"
    needs: ClassVar[frozenset[str]] = frozenset()
    reads: ClassVar[frozenset[str]] = frozenset({"embedding"})
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            name="prototype_similarity",
            unit="cosine",
            keeps="low",
            meaning="cosine similarity to the centroid of its cluster; high is prototypical",
        ),
        Column(
            name="cluster",
            unit="none",
            keeps="any",
            meaning="number of the document's k-means cluster",
        ),
    )
    learner: Prototypes
    centroid_KD: np.ndarray

    def settings(self) -> dict[str, Any]:
        return self.learner.settings()

    def score(self, documents: ScorableDocuments) -> dict[str, np.ndarray]:
        assert documents.embedding_ND is not None
        check_size(documents.embedding_ND, self.centroid_KD)
        unit_ND, has_direction_N = unit_vectors(documents.embedding_ND)
        label_N, _ = self._assignment.labels(on_grid(unit_ND, DIRECTION_BITS))
        similarity_N = similarity_to_centroid(unit_ND, self.centroid_KD, label_N)
        return {
            "prototype_similarity": _or_nan(similarity_N, has_direction_N),
            "cluster": _or_nan(label_N, has_direction_N),
        }

    @functools.cached_property
    def _assignment(self) -> Assignment:
        return Assignment(self.centroid_KD)


def not_mergeable(name: str) -> str:
    return (
        f"{name} cannot be merged: each step of k-means needs the sums over the whole corpus. Fit it "
        "on the whole store on one machine; --settings sample=0.1 finds the clusters on a tenth of it."
    )


def check_size(embedding_ND: np.ndarray, centroid_KD: np.ndarray) -> None:
    """Refuses embeddings of another model."""
    if embedding_ND.shape[1] != centroid_KD.shape[1]:
        raise ValueError(
            f"The embeddings have {embedding_ND.shape[1]} dimensions, the centroids "
            f"{centroid_KD.shape[1]}: they belong to another model. Fit the clusters anew."
        )


def _or_nan(value_N: np.ndarray, is_there_N: np.ndarray) -> np.ndarray:
    return np.where(is_there_N, value_N, np.nan).astype(np.float32)
