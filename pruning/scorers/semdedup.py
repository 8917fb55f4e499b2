"""SemDeDup: how near the most similar document of the same cluster is."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from pruning.hashing import id_hash
from pruning.large_arrays import large_array
from pruning.nearest_centroids import DIRECTION_BITS, Assignment, similarity_to_centroid
from pruning.nearest_in_cluster import nearest_in_cluster
from pruning.progress import watched
from pruning.scorers.prototypes import PrototypesScorer, not_mergeable
from pruning.scorers.scorer import Artifact, Column, Corpus, ScorableDocuments
from pruning.spherical_kmeans import SphericalKMeans
from pruning.unit_vectors import on_grid, unit_vectors


@dataclasses.dataclass(frozen=True, kw_only=True)
class SemDeDup(SphericalKMeans):
    """Highest cosine similarity to another document of the same k-means cluster.

    "How to Train Data-Efficient LLMs": `nearest_similarity` is the highest
    to all other documents of the cluster; those with the lowest stay. So neither of two
    equal documents stays, or both do.

    SemDeDup itself (Abbas et al. 2023) walks through a cluster, the document farthest
    from the centroid first, and drops each that is too similar to one before it.
    `nearest_similarity_before` is the highest to these, ties of the distance in order of
    hash(id, seed): dropping what is above 1 - epsilon keeps exactly one of equal
    documents. It is -1 for the first, as is `nearest_similarity` for a document alone.

    `prototype_similarity` is that of `prototypes` with the same settings: the paper takes
    one clustering for both.
    """

    name: ClassVar[str] = "semdedup"
    reads: ClassVar[frozenset[str]] = frozenset({"embedding"})

    def fit(self, corpus: Corpus) -> Artifact:
        centroid_KD = self.centroids(corpus)
        members = _assign(corpus, centroid_KD, self.seed)
        # Cluster by cluster, and in each the farthest from the centroid first.
        order_N = np.lexsort((members.hash_N, members.similarity_N, members.cluster_N))
        x_ND = _regroup(corpus, order_N, centroid_KD.shape[1])
        nearest_N, before_N = nearest_in_cluster(x_ND, members.cluster_N[order_N])
        artifact = {"nearest_N": np.empty_like(nearest_N), "before_N": np.empty_like(before_N)}
        artifact["nearest_N"][order_N], artifact["before_N"][order_N] = nearest_N, before_N
        return members.by_id(
            {
                **artifact,
                "similarity_N": members.similarity_N.astype(np.float32),
                "cluster_N": members.cluster_N,
            }
        )

    def merge(self, artifacts: Sequence[Artifact]) -> Artifact:
        raise ValueError(not_mergeable(self.name))

    def scorer(self, artifact: Artifact) -> "SemDeDupScorer":
        return SemDeDupScorer(learner=self, artifact=artifact)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SemDeDupScorer:
    """What `SemDeDup` has learnt of each document, looked up."""

    name: ClassVar[str] = "semdedup"
    needs: ClassVar[frozenset[str]] = frozenset()
    reads: ClassVar[frozenset[str]] = frozenset({"embedding"})
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            name="nearest_similarity",
            unit="cosine",
            keeps="low",
            meaning="highest cosine similarity to another document of its cluster",
        ),
        Column(
            name="nearest_similarity_before",
            unit="cosine",
            keeps="low",
            meaning="the same, to those farther from the centroid; of equal documents one is low",
        ),
        *PrototypesScorer.columns,
    )
    learner: SemDeDup
    artifact: Artifact

    def settings(self) -> dict[str, Any]:
        return self.learner.settings()

    def score(self, documents: ScorableDocuments) -> dict[str, np.ndarray]:
        assert documents.embedding_ND is not None
        _, has_direction_N = unit_vectors(documents.embedding_ND)
        at_N = self._at(documents.file, documents.rows_N[has_direction_N])
        scores = {}
        arrays = ("nearest_N", "before_N", "similarity_N", "cluster_N")
        for column, name in zip(self.columns, arrays, strict=True):
            scores[column.name] = np.full(len(documents.rows_N), np.nan, np.float32)
            scores[column.name][has_direction_N] = self.artifact[name][at_N]
        return scores

    def _at(self, file: str, rows_N: np.ndarray) -> np.ndarray:
        """Where the documents stand in the artifact's arrays."""
        files = self.artifact["file_F"]
        i = int(np.searchsorted(files, file))
        known = slice(0, 0)
        if i < len(files) and files[i] == file:
            known = slice(*self.artifact["first_F"][i : i + 2])
        row_M = self.artifact["row_N"][known]
        at_N = np.minimum(np.searchsorted(row_M, rows_N), max(len(row_M) - 1, 0))
        if len(rows_N) and not (len(row_M) and np.array_equal(row_M[at_N], rows_N)):
            raise ValueError(
                f"semdedup was not fitted on some documents of {file}: it tells nothing of them. Fit "
                "it on the store that is scored."
            )
        return known.start + at_N


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Members:
    """The documents with a direction, in the order in which the corpus gives them."""

    file_N: np.ndarray  # number of the file, in order of name
    files: list[str]
    row_N: np.ndarray
    hash_N: np.ndarray
    cluster_N: np.ndarray
    similarity_N: np.ndarray

    def by_id(self, value: dict[str, np.ndarray]) -> Artifact:
        """Arrays over the documents, sorted by file and row, with what finds a document in them."""
        order_N = np.lexsort((self.row_N, self.file_N))
        return {
            **{name: value_N[order_N] for name, value_N in value.items()},
            "file_F": np.array(self.files, np.str_),
            "first_F": np.searchsorted(self.file_N[order_N], np.arange(len(self.files) + 1)),
            "row_N": self.row_N[order_N],
        }


def _assign(corpus: Corpus, centroid_KD: np.ndarray, seed: int) -> _Members:
    """The cluster of every document."""
    assignment, files = Assignment(centroid_KD), []
    parts: dict[str, list[np.ndarray]] = {n: [] for n in ("row", "hash", "cluster", "similarity")}
    for documents in watched("assign", corpus):
        assert documents.embedding_ND is not None
        unit_ND, has_direction_N = unit_vectors(documents.embedding_ND)
        unit_ND, rows_N = unit_ND[has_direction_N], documents.rows_N[has_direction_N]
        label_N, _ = assignment.labels(on_grid(unit_ND, DIRECTION_BITS))
        files.append((documents.file, len(rows_N)))
        parts["row"].append(rows_N)
        parts["hash"].append(id_hash(documents.file, rows_N, seed))
        parts["cluster"].append(label_N)
        parts["similarity"].append(similarity_to_centroid(unit_ND, centroid_KD, label_N))
    names = sorted({file for file, _ in files})
    numbers = np.searchsorted(names, [file for file, _ in files])
    return _Members(
        file_N=np.repeat(numbers, [n for _, n in files]).astype(np.int32),
        files=names,
        **{f"{name}_N": np.concatenate(arrays) for name, arrays in parts.items()},  # type: ignore[arg-type]
    )


def _regroup(corpus: Corpus, order_N: np.ndarray, size: int) -> np.ndarray:
    """All embeddings in another order, float16 as they are in a store."""
    x_ND = large_array((len(order_N), size), np.float16)
    place_N = np.empty_like(order_N)
    place_N[order_N] = np.arange(len(order_N))
    first = 0
    for documents in watched("group by cluster", corpus):
        assert documents.embedding_ND is not None
        _, has_direction_N = unit_vectors(documents.embedding_ND)
        taken_ND = documents.embedding_ND[has_direction_N]
        x_ND[place_N[first : first + len(taken_ND)]] = taken_ND
        first += len(taken_ND)
    return x_ND
