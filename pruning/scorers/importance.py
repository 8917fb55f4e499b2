"""Importance: how much more a document is like a target corpus than like its own."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from pruning.hashed_ngrams import count_ngrams, ngram_buckets
from pruning.scorers.scorer import Artifact, Column, Corpus, ScorableDocuments
from pruning.sources import open_source

# Added to every probability, as DSIR's code does: a bucket that one corpus never hits
# counts as 1e-8, not as nothing.
SMOOTHING = 1e-8

_COLUMN = Column(
    name="log_importance",
    unit="nats",
    keeps="high",
    meaning="log p(document) in the target corpus minus that in this one",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Importance:
    """DSIR (Xie et al. 2023, arXiv 2302.03169): learns two bags of n-grams.

    Words and pairs of words are hashed into buckets; p is the share of a corpus's n-grams
    in each bucket. The paper draws documents without replacement with probability
    proportional to the importance (Gumbel top-k); the highest are the greedy choice.

    Where the paper leaves it open we do as its code does: WordPunct words in lower case
    and 1e-8 added to each probability. The hash is another (see `hashed_ngrams`).

    Attributes:
      target: source of the wanted texts: jsonl:, parquet: or text: and a pattern. It is
        read whole; the corpus that is scored is the raw one.
      target_text_field: where its records have their text.
      num_buckets: of the hash.
      ngrams: most words of an n-gram.
    """

    name: ClassVar[str] = "importance"
    reads: ClassVar[frozenset[str]] = frozenset({"text"})
    target: str = ""
    target_text_field: str = "text"
    num_buckets: int = 10_000
    ngrams: int = 2

    def __post_init__(self) -> None:
        if self.num_buckets < 1 or self.ngrams < 1:
            raise ValueError(
                f"importance has num_buckets {self.num_buckets} and ngrams {self.ngrams}; "
                "both are at least 1."
            )

    def settings(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def fit(self, corpus: Corpus) -> Artifact:
        """Counts n-grams.

        Returns:
          `raw_count` and `target_count`, int64 [num_buckets].

        Raises:
          ValueError: there is no target, or it has no text.
        """
        from pruning.text_corpus import whole_corpus  # which needs this package

        if not self.target:
            raise ValueError(
                "importance needs a corpus of wanted texts: --settings target=jsonl:wanted.jsonl.gz."
            )
        source = open_source(self.target, text_field=self.target_text_field)
        target_count_V = self._count(whole_corpus(source, "read the target"))
        if not target_count_V.any():
            raise ValueError(
                f"The target {self.target} has no text in field {self.target_text_field!r}. Name "
                "another with --settings target_text_field=NAME."
            )
        return {"raw_count": self._count(corpus), "target_count": target_count_V}

    def _count(self, corpus: Corpus) -> np.ndarray:
        count_V = np.zeros(self.num_buckets, np.int64)
        for documents in corpus:
            assert documents.texts_N is not None
            count_V += count_ngrams(documents.texts_N, self.ngrams, self.num_buckets)
        return count_V

    def merge(self, artifacts: Sequence[Artifact]) -> Artifact:
        target_count_V = artifacts[0]["target_count"]
        for other in artifacts[1:]:
            if not np.array_equal(other["target_count"], target_count_V):
                raise ValueError(
                    "The parts were learnt beside different targets: "
                    f"{target_count_V.sum():,} and {other['target_count'].sum():,} n-grams. Learn "
                    "all parts with the same --settings target=…."
                )
        raw_count_V = np.sum([a["raw_count"] for a in artifacts], axis=0)
        return {"raw_count": raw_count_V, "target_count": target_count_V}

    def scorer(self, artifact: Artifact) -> "LearntImportance":
        log_raw_V, log_target_V = (
            np.log(artifact[name] / max(artifact[name].sum(), 1) + SMOOTHING)
            for name in ("raw_count", "target_count")
        )
        return LearntImportance(learner=self, log_ratio_V=log_target_V - log_raw_V)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearntImportance:
    """The sum over a document's n-grams of log p_target - log p_raw.

    Not divided by their number, as in DSIR: a long document lies further from 0.

    Attributes:
      learner: with the settings.
      log_ratio_V: of each bucket, nats, float64.
    """

    name: ClassVar[str] = Importance.name
    needs: ClassVar[frozenset[str]] = frozenset()
    reads: ClassVar[frozenset[str]] = Importance.reads
    columns: ClassVar[tuple[Column, ...]] = (_COLUMN,)
    learner: Importance
    log_ratio_V: np.ndarray

    def settings(self) -> dict[str, Any]:
        return self.learner.settings()

    def score(self, documents: ScorableDocuments) -> dict[str, np.ndarray]:
        assert documents.texts_N is not None
        n, num_buckets = self.learner.ngrams, self.learner.num_buckets
        score_N = [
            self.log_ratio_V[ngram_buckets(text, n, num_buckets)].sum()
            for text in documents.texts_N
        ]
        return {_COLUMN.name: np.array(score_N, np.float32)}
