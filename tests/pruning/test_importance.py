"""DSIR's importance against its definition, n-gram by n-gram."""

import math
from collections import Counter

import numpy as np
import pytest
import slow_ngrams
import toy
from test_learners_of_text import PARAGRAPHS, documents

from pruning.scorers.importance import Importance

RAW, TARGET = PARAGRAPHS[:30], PARAGRAPHS[100:130]


@pytest.fixture
def target(tmp_path):
    return f"jsonl:{toy.write_jsonl(tmp_path / 'wanted.jsonl', TARGET)}"


@pytest.mark.parametrize("settings", [{}, {"num_buckets": 97}, {"ngrams": 3}])
def test_the_sum_of_log_ratios_over_the_ngrams(target, settings):
    learner = Importance(target=target, **settings)
    n, size = learner.ngrams, learner.num_buckets

    def log_p(texts):
        count = Counter(h % size for text in texts for h in slow_ngrams.all_hashes(text, n))
        return lambda bucket: math.log(count[bucket] / count.total() + 1e-8)

    raw, wanted = log_p(RAW), log_p(TARGET)
    probes = [*RAW[:5], *TARGET[:5], "never seen"]
    expected = [
        sum(wanted(h % size) - raw(h % size) for h in slow_ngrams.all_hashes(text, n))
        for text in probes
    ]
    scorer = learner.scorer(learner.fit([documents(RAW)]))
    found = scorer.score(documents(probes))["log_importance"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_published_settings_are_the_defaults():
    assert Importance().settings() == {
        "target": "",
        "target_text_field": "text",
        "num_buckets": 10_000,
        "ngrams": 2,
    }


def test_texts_like_the_target_score_higher_than_those_that_are_not(target):
    learner = Importance(target=target)
    scorer = learner.scorer(learner.fit([documents(RAW)]))
    raw, wanted = (scorer.score(documents(t))["log_importance"] for t in (RAW, TARGET))
    assert (raw < 0).mean() > 0.9
    assert (wanted > 0).mean() > 0.9


def test_a_target_is_needed_and_must_have_text(tmp_path, target):
    with pytest.raises(ValueError, match=r"needs a corpus of wanted texts: .*target=jsonl:"):
        Importance().fit([documents(RAW)])
    with pytest.raises(ValueError, match="has no text in field 'body'"):
        Importance(target=target, target_text_field="body").fit([documents(RAW)])
    with pytest.raises(ValueError, match="num_buckets 0"):
        Importance(target=target, num_buckets=0)


def test_parts_learnt_beside_other_targets_do_not_merge(tmp_path, target):
    other = toy.write_jsonl(tmp_path / "other.jsonl", TARGET[:3])
    parts = [Importance(target=t).fit([documents(RAW)]) for t in (target, f"jsonl:{other}")]
    with pytest.raises(ValueError, match="different targets"):
        Importance(target=target).merge(parts)
