"""Exact duplicates: which copy of a text to keep, and how many there are."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from pruning.hashing import id_hash
from pruning.scorers.scorer import Artifact, Column, Corpus, ScorableDocuments
from pruning.sorted_lookup import find


@dataclasses.dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Finds texts of the same bytes by their 64-bit hash.

    Two different texts share a hash with probability n**2 / 2**65: 0.4 % that any two of
    C4's 365 million do.

    What is learnt takes 24 bytes for each distinct text, and learning it 100 bytes a document
    (measured); for C4 9 and 35 GB.

    Attributes:
      seed: the copy with the smallest hash(id, seed) is the one to keep.
    """

    name: ClassVar[str] = "duplicates"
    reads: ClassVar[frozenset[str]] = frozenset()
    seed: int = 0

    def settings(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def fit(self, corpus: Corpus) -> Artifact:
        """Groups documents by text.

        Returns:
          `text_hash` (int64, rising, each once), and of each text `first` (uint64, the
          smallest hash(id, seed)) and `copies` (int64). All texts are there, those that
          occur once too: another part of the corpus may have them.
        """
        parts = [
            (d.text_hash_N, id_hash(d.file, d.rows_N, self.seed), np.ones(len(d.rows_N), np.int64))
            for d in corpus
        ]
        return _grouped(parts)

    def merge(self, artifacts: Sequence[Artifact]) -> Artifact:
        return _grouped([(a["text_hash"], a["first"], a["copies"]) for a in artifacts])

    def scorer(self, artifact: Artifact) -> "LearntDuplicates":
        return LearntDuplicates(learner=self, artifact=artifact)


def _grouped(parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Artifact:
    """One row for each text hash: the smallest id hash, and the copies added up."""
    none = (np.zeros(0, np.int64), np.zeros(0, np.uint64), np.zeros(0, np.int64))
    hash_N, first_N, copies_N = (np.concatenate(c) for c in zip(none, *parts, strict=True))
    order_N = np.argsort(hash_N, kind="stable")
    hash_N = hash_N[order_N]
    starts = np.flatnonzero(np.diff(hash_N, prepend=~hash_N[:1]))
    if not len(starts):
        return {"text_hash": hash_N, "first": first_N, "copies": copies_N}
    return {
        "text_hash": hash_N[starts],
        "first": np.minimum.reduceat(first_N[order_N], starts),
        "copies": np.add.reduceat(copies_N[order_N], starts),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearntDuplicates:
    """1 for every copy but one, and the number of copies; NaN for a text not learnt from.

    Attributes:
      learner: with the settings.
      artifact: of `Duplicates.fit`.
    """

    name: ClassVar[str] = Duplicates.name
    needs: ClassVar[frozenset[str]] = frozenset()
    reads: ClassVar[frozenset[str]] = Duplicates.reads
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            name="duplicate",
            unit="none",
            keeps="low",
            meaning="0 for the one copy of a text to keep, 1 for every other",
        ),
        Column(
            name="copies",
            unit="documents",
            keeps="any",
            meaning="documents with this text; 1 is unique",
        ),
    )
    learner: Duplicates
    artifact: Artifact

    def settings(self) -> dict[str, Any]:
        return self.learner.settings()

    def score(self, documents: ScorableDocuments) -> dict[str, np.ndarray]:
        at_N = find(self.artifact["text_hash"], documents.text_hash_N)
        id_hash_N = id_hash(documents.file, documents.rows_N, self.learner.seed)
        duplicate_N, copies_N = np.full((2, len(at_N)), np.nan, np.float32)
        known_N = at_N >= 0
        duplicate_N[known_N] = self.artifact["first"][at_N[known_N]] != id_hash_N[known_N]
        copies_N[known_N] = self.artifact["copies"][at_N[known_N]]
        return {"duplicate": duplicate_N, "copies": copies_N}
