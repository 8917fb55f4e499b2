"""Unigram prior: how common the words of a document are, and how evenly."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from pruning.hashed_ngrams import count_ngrams, ngram_buckets
from pruning.scorers.scorer import Artifact, Column, Corpus, ScorableDocuments


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnigramPrior:
    """Mean and standard deviation of token priors (Seo et al. 2025, arXiv 2509.18577).

    The prior of a word is its share of the corpus, and a document with too common or too
    rare words, or too even a mix, is an outlier. A cheap stand-in for perplexity that
    runs no model.

    What we chose: priors in log space; words instead of a vocabulary's tokens, so that no
    vocabulary has to be named; counted in hashed buckets, so that memory does not grow
    with the corpus (two words that share one count together: with the default, one in 40
    of a vocabulary of 100,000).

    Attributes:
      num_buckets: of the hash; 8 bytes each.
    """

    name: ClassVar[str] = "unigram_prior"
    reads: ClassVar[frozenset[str]] = frozenset({"text"})
    num_buckets: int = 1 << 22

    def __post_init__(self) -> None:
        if self.num_buckets < 1:
            raise ValueError(f"unigram_prior has num_buckets {self.num_buckets}; at least 1.")

    def settings(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def fit(self, corpus: Corpus) -> Artifact:
        """Counts words: `count`, int64 [num_buckets]."""
        count_V = np.zeros(self.num_buckets, np.int64)
        for documents in corpus:
            assert documents.texts_N is not None
            count_V += count_ngrams(documents.texts_N, 1, self.num_buckets)
        return {"count": count_V}

    def merge(self, artifacts: Sequence[Artifact]) -> Artifact:
        return {"count": np.sum([a["count"] for a in artifacts], axis=0)}

    def scorer(self, artifact: Artifact) -> "LearntUnigramPrior":
        # A word that the corpus did not have, because another was scored, counts as one seen once.
        count_V = np.maximum(artifact["count"], 1)
        log_prior_V = np.log(count_V / max(artifact["count"].sum(), 1))
        return LearntUnigramPrior(learner=self, log_prior_V=log_prior_V)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearntUnigramPrior:
    """Mean and standard deviation of log(count of the word / words of the corpus).

    Attributes:
      learner: with the settings.
      log_prior_V: of each bucket, nats, float64.
    """

    name: ClassVar[str] = UnigramPrior.name
    needs: ClassVar[frozenset[str]] = frozenset()
    reads: ClassVar[frozenset[str]] = UnigramPrior.reads
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            name="mean_log_prior",
            unit="nats per word",
            keeps="middle",
            meaning="mean log frequency of the words in the corpus; low is rare words",
        ),
        Column(
            name="std_log_prior",
            unit="nats",
            keeps="middle",
            meaning="standard deviation of the same over the document; low is one kind of words",
        ),
    )
    learner: UnigramPrior
    log_prior_V: np.ndarray

    def settings(self) -> dict[str, Any]:
        return self.learner.settings()

    def score(self, documents: ScorableDocuments) -> dict[str, np.ndarray]:
        assert documents.texts_N is not None
        mean_N, std_N = np.full((2, len(documents.texts_N)), np.nan)
        for i, text in enumerate(documents.texts_N):
            prior_W = self.log_prior_V[ngram_buckets(text, 1, self.learner.num_buckets)]
            if len(prior_W):
                mean_N[i], std_N[i] = prior_W.mean(), prior_W.std()
        return {
            "mean_log_prior": mean_N.astype(np.float32),
            "std_log_prior": std_N.astype(np.float32),
        }
