"""Near-duplicates: which of the documents that hardly differ to keep, and how many there are."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from pruning import minhash
from pruning.hashing import id_hash
from pruning.scorers.scorer import Artifact, Column, Corpus, ScorableDocuments
from pruning.sorted_lookup import find


@dataclasses.dataclass(frozen=True, kw_only=True)
class NearDuplicates:
    """Groups documents by the Jaccard similarity of their word n-grams (MinHash and LSH).

    A group is a connected component: its ends may be less alike than the threshold. The
    similarity is estimated from the signatures, with a standard deviation of
    sqrt(s (1 - s) / num_perm), 0.035 at the defaults. Only documents with an equal band are
    compared: at the defaults (9 bands of 13) a pair of similarity 0.8 is found with
    probability 0.40, one of 0.85 with 0.69, of 0.9 with 0.93, of 0.95 with 0.998. A lower
    threshold finds more.

    Memory: 4 * num_perm + 8 bytes a document in what is learnt, 520 by default, and twice that
    while learning: 10 million documents take 10 GB. A larger corpus needs another tool, whose
    result `prune import-scores` takes.

    Attributes:
      threshold: smallest similarity of near-duplicates.
      ngram: words of each n-gram; 5 is usual for web text.
      num_perm: permutations of a signature.
      seed: of the permutations; the document with the smallest hash(id, seed) of a group
        is the one to keep.
    """

    name: ClassVar[str] = "near_duplicates"
    reads: ClassVar[frozenset[str]] = frozenset({"text"})
    threshold: float = 0.8
    ngram: int = 5
    num_perm: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1 or self.ngram < 1 or self.num_perm < 2:
            raise ValueError(
                f"near_duplicates has threshold {self.threshold}, ngram {self.ngram} and num_perm "
                f"{self.num_perm}; the threshold lies above 0 and at most at 1, an n-gram has at "
                "least 1 word, and a signature at least 2 permutations."
            )

    def settings(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def fit(self, corpus: Corpus) -> Artifact:
        """Signs every document.

        Returns:
          `id_hash` (uint64 [N], rising) and `signature` (uint32 [N, num_perm]). The groups
          are found when the scorer is made, since another part may join two of them.

        Raises:
          ImportError: datasketch is missing.
          ValueError: no bands fit the threshold.
        """
        minhash.bands(self.threshold, self.num_perm)  # before everything is read
        parts = []
        for documents in corpus:
            assert documents.texts_N is not None
            signature_NM = minhash.signatures(
                documents.texts_N, ngram=self.ngram, num_perm=self.num_perm, seed=self.seed
            )
            parts.append((id_hash(documents.file, documents.rows_N, self.seed), signature_NM))
        return self._sorted(parts)

    def merge(self, artifacts: Sequence[Artifact]) -> Artifact:
        return self._sorted([(a["id_hash"], a["signature"]) for a in artifacts])

    def _sorted(self, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> Artifact:
        """Puts every signature in its place among all, without a copy of them in between."""
        unsorted_N = np.concatenate([np.zeros(0, np.uint64), *[part[0] for part in parts]])
        id_hash_N = np.sort(unsorted_N)
        if (id_hash_N[1:] == id_hash_N[:-1]).any():
            raise ValueError(
                "Two documents have the same hash(id, seed): parts that overlap were merged, or "
                "the hash collides. Learn from each document once, or give another --settings seed=…."
            )
        signature_NM = np.empty((len(id_hash_N), self.num_perm), np.uint32)
        for part_hash_N, part_NM in parts:
            signature_NM[find(id_hash_N, part_hash_N)] = part_NM
        return {"id_hash": id_hash_N, "signature": signature_NM}

    def scorer(self, artifact: Artifact) -> "LearntNearDuplicates":
        group_N = minhash.groups(artifact["signature"], self.threshold)
        # The smallest hash comes first, and the first of each group is the one to keep.
        _, first, of_N, size = np.unique(
            group_N, return_index=True, return_inverse=True, return_counts=True
        )
        is_other_N = first[of_N] != np.arange(len(of_N))
        return LearntNearDuplicates(
            learner=self,
            id_hash_N=artifact["id_hash"],
            near_duplicate_N=np.append(is_other_N, np.nan).astype(np.float32),
            near_copies_N=np.append(size[of_N], np.nan).astype(np.float32),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearntNearDuplicates:
    """1 for all but one of each group, and its size; NaN for a document not learnt from.

    Attributes:
      learner: with the settings.
      id_hash_N: of the documents learnt from, uint64, rising.
      near_duplicate_N, near_copies_N: their scores, float32, and a NaN behind them.
    """

    name: ClassVar[str] = NearDuplicates.name
    needs: ClassVar[frozenset[str]] = frozenset()
    reads: ClassVar[frozenset[str]] = frozenset()
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            name="near_duplicate",
            unit="none",
            keeps="low",
            meaning="0 for the one document to keep of those that hardly differ, 1 for the others",
        ),
        Column(
            name="near_copies",
            unit="documents",
            keeps="any",
            meaning="documents that hardly differ from this, it included",
        ),
    )
    learner: NearDuplicates
    id_hash_N: np.ndarray
    near_duplicate_N: np.ndarray
    near_copies_N: np.ndarray

    def settings(self) -> dict[str, Any]:
        return self.learner.settings()

    def score(self, documents: ScorableDocuments) -> dict[str, np.ndarray]:
        wanted_N = id_hash(documents.file, documents.rows_N, self.learner.seed)
        at_N = find(self.id_hash_N, wanted_N)
        # Index -1, for what is not there, is the NaN at the end.
        return {
            "near_duplicate": self.near_duplicate_N[at_N],
            "near_copies": self.near_copies_N[at_N],
        }
