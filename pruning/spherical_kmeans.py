"""Spherical k-means: directions in groups, each around the mean direction of its members.

Lloyd's iteration: every document goes to the centroid of largest cosine similarity (ties
to the lowest number), then every centroid becomes the normalised sum of its members.
Nothing depends on the order or the cut of the corpus: the first centroids are the
documents of smallest hash(id, seed), and neither similarities that decide nor sums have
rounding in them (`nearest_centroids`).

A centroid without members takes a half of a large cluster: the first of them of the
largest, the second of the second largest, and so on. Both get the large one's centroid,
moved apart a little. With many equal documents some may stay empty to the end.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from pruning.hashing import id_hash
from pruning.large_arrays import fits_in_memory
from pruning.nearest_centroids import (
    CENTROID_BITS,
    DIRECTION_BITS,
    Assignment,
    ClusterSums,
)
from pruning.progress import progress, watched
from pruning.scorers.scorer import Corpus, ScorableDocuments
from pruning.unit_vectors import on_grid, unit_vectors

# What moves the halves of a cluster apart, up in one dimension and down in the next.
SPLIT_BY = 4 / 2**CENTROID_BITS


@dataclasses.dataclass(frozen=True, kw_only=True)
class SphericalKMeans:
    """Settings of spherical k-means.

    Attributes:
      num_clusters: K. "How to Train Data-Efficient LLMs" has 10,000 for C4.
      iterations: at most; it ends when no centroid moves. 20, as D4 has it.
      sample: share of the documents, those of smallest hash(id, seed), that centroids
        are found on. D4 takes 100 million of its documents.
      seed: of the sample and of the first centroids.
    """

    num_clusters: int = 10_000
    iterations: int = 20
    sample: float = 1.0
    seed: int = 0

    def settings(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def centroids(self, corpus: Corpus) -> np.ndarray:
        """Finds K centroids.

        Returns:
          float32 [K, D], of length 1.

        Raises:
          ValueError: a setting is out of range, or there are fewer documents than clusters.
        """
        # Numbers up to 2**24 are float32, as a column `cluster` is.
        if not 1 <= self.num_clusters <= 2**24 or self.iterations < 0 or not 0 < self.sample <= 1:
            raise ValueError(
                f"num_clusters is {self.num_clusters}, iterations {self.iterations} and sample "
                f"{self.sample}: use 1 to {2**24:,}, at least 0, and a share above 0 and at most 1."
            )
        sample = _Sample(corpus, self.sample, self.seed)
        centroid_KD = sample.first_centroids(self.num_clusters)
        for iteration in range(self.iterations):
            what = f"k-means {iteration + 1}/{self.iterations}"
            moved_KD = _iterate(sample, centroid_KD, what)
            if np.array_equal(moved_KD, centroid_KD):
                break
            centroid_KD = moved_KD
        return centroid_KD


class _Sample:
    """The directions that centroids are found on, in memory after the first pass if they fit."""

    def __init__(self, corpus: Corpus, share: float, seed: int):
        self._corpus, self._share, self._seed = corpus, share, seed
        self._kept: list[np.ndarray] | None = None
        self.num_directions = 0

    def first_centroids(self, num_clusters: int) -> np.ndarray:
        """The directions of smallest hash, as float32 [K, D]; counts and keeps all on its way."""
        hash_N, first_ND, kept = np.zeros(0, np.uint64), None, []
        for documents in watched("read embeddings", self._corpus):
            id_N, direction_ND = self._directions(documents)
            self.num_directions += len(id_N)
            if first_ND is not None:
                first_ND = np.concatenate([first_ND, direction_ND])
            else:
                first_ND = direction_ND
            hash_N = np.concatenate([hash_N, id_N])
            smallest = np.argsort(hash_N, kind="stable")[:num_clusters]
            hash_N, first_ND = hash_N[smallest], first_ND[smallest]
            # Two bytes a number: all of them fit into memory, or none is kept.
            num_numbers = self._share * self._corpus.num_rows * direction_ND.shape[1]
            if fits_in_memory(int(2 * num_numbers)):
                kept.append(direction_ND)
        if first_ND is None or self.num_directions < num_clusters:
            raise ValueError(
                f"num_clusters is {num_clusters:,}, but there are {self.num_directions:,} documents to "
                "find clusters in. Use --settings num_clusters of at most a hundredth of that"
                + ("." if self._share == 1 else ", or a larger sample.")
            )
        self._kept = kept or None
        return unit_vectors(first_ND)[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        if self._kept is not None:
            yield from self._kept
        else:
            for documents in self._corpus:
                yield self._directions(documents)[1]

    def _directions(self, documents: ScorableDocuments) -> tuple[np.ndarray, np.ndarray]:
        assert documents.embedding_ND is not None
        unit_ND, taken_N = unit_vectors(documents.embedding_ND)
        id_N = id_hash(documents.file, documents.rows_N, self._seed)
        if self._share < 1:
            taken_N &= id_N < np.uint64(int(self._share * 2**64))
        return id_N[taken_N], on_grid(unit_ND[taken_N], DIRECTION_BITS)


def _iterate(sample: _Sample, centroid_KD: np.ndarray, what: str) -> np.ndarray:
    """One assignment of all documents, and the centroids that follow from it."""
    assignment, sums = Assignment(centroid_KD), ClusterSums(*centroid_KD.shape)
    total, n = 0.0, 0
    with progress(what, sample.num_directions, "documents") as advance:
        for direction_ND in sample:
            label_N, similarity = assignment.labels(direction_ND)
            sums.add(direction_ND, label_N)
            total, n = total + similarity, n + len(label_N)
            advance(len(label_N), similarity=f"{total / max(n, 1):.4f}")
    sums.flush()
    return updated(centroid_KD, sums.sum_KD, sums.count_K)


def updated(centroid_KD: np.ndarray, sum_KD: np.ndarray, count_K: np.ndarray) -> np.ndarray:
    """The centroids after one iteration.

    Args:
      centroid_KD: before it; what a cluster keeps whose members cancel out.
      sum_KD: of the members' directions, on any scale.
      count_K: members.
    """
    length_K = np.sqrt(np.einsum("kd,kd->k", sum_KD, sum_KD, dtype=np.float64))
    new_KD = (sum_KD / np.maximum(length_K, 1.0)[:, None]).astype(np.float32)
    new_KD = np.where(length_K[:, None] > 0, new_KD, centroid_KD)
    empty = np.flatnonzero(count_K == 0)
    largest = np.argsort(-count_K, kind="stable")[: len(empty)]
    largest = largest[count_K[largest] > 1]
    empty = empty[: len(largest)]
    step_D = np.float32(SPLIT_BY) * np.where(np.arange(new_KD.shape[1]) % 2, -1, 1).astype(
        np.float32
    )
    new_KD[empty] = unit_vectors(new_KD[largest] + step_D)[0]
    new_KD[largest] = unit_vectors(new_KD[largest] - step_D)[0]
    return new_KD
