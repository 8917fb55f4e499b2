"""The unigram prior against its definition on words themselves."""

from collections import Counter

import numpy as np
import pytest
import slow_ngrams
from test_learners_of_text import PARAGRAPHS, documents

from pruning.scorers.unigram_prior import UnigramPrior


def test_mean_and_deviation_of_log_frequencies():
    learner, texts = UnigramPrior(), PARAGRAPHS[:30]
    scores = learner.scorer(learner.fit([documents(texts)])).score(documents(texts))
    # No two words of so few share one of 4 million buckets.
    count = Counter(word for text in texts for word in slow_ngrams.words(text))
    for i, text in enumerate(texts):
        priors = np.log([count[w] / count.total() for w in slow_ngrams.words(text)])
        assert scores["mean_log_prior"][i] == pytest.approx(priors.mean(), rel=1e-6)
        assert scores["std_log_prior"][i] == pytest.approx(priors.std(), rel=1e-5, abs=1e-6)


def test_a_word_that_was_never_seen_counts_as_seen_once():
    learner = UnigramPrior()
    scorer = learner.scorer(learner.fit([documents(["a a a b"])]))
    scores = scorer.score(documents(["zebra", "b", "a zebra"]))
    once, often = np.log(1 / 4), np.log(3 / 4)
    expected = [once, once, (once + often) / 2]
    np.testing.assert_allclose(scores["mean_log_prior"], expected, rtol=1e-6)
    np.testing.assert_allclose(scores["std_log_prior"], [0, 0, (often - once) / 2], rtol=1e-6)


def test_at_least_one_bucket():
    with pytest.raises(ValueError, match="num_buckets 0"):
        UnigramPrior(num_buckets=0)
