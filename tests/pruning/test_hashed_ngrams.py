"""Hashed n-grams against a definition in plain Python, and golden values."""

import pydoc_data.topics

import numpy as np
import pytest
import slow_ngrams
from hypothesis import given, settings
from hypothesis import strategies as st

from pruning.hashed_ngrams import count_ngrams, ngram_buckets, ngram_hashes, words

TEXTS = [
    *sorted(pydoc_data.topics.topics.values())[:4],
    "",
    "one",
    "Ünïcode, ΣΑΣ 東京 don't_x\x00\x1f",
]


@pytest.mark.parametrize("text", TEXTS)
def test_hashes_of_ngrams_in_order(text):
    for length, hash_W in enumerate(ngram_hashes(text, 3), 1):
        assert hash_W.dtype == np.uint64
        expected = [slow_ngrams.ngram_hash(g) for g in slow_ngrams.ngrams(text, length)]
        assert hash_W.tolist() == expected


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_a_text_with_anything_to_see_has_words_and_they_are_all_of_it(text):
    found = words(text)
    assert "".join(found) == "".join(text.lower().split())
    assert found == slow_ngrams.words(text)


def test_the_hash_is_the_same_for_ever():
    unigrams, bigrams = ngram_hashes("The cat", 2)
    assert unigrams.tolist() == [7003889267569045354, 15118465453979963096]
    assert bigrams.tolist() == [289044555255467098]
    assert ngram_buckets("The cat", 2, 10_000).tolist() == [5354, 3096, 7098]


def test_order_of_words_counts():
    (_, ab), (_, ba) = ngram_hashes("a b", 2), ngram_hashes("b a", 2)
    assert ab != ba


def test_counts_add_up_over_texts():
    count_V = count_ngrams(TEXTS, 2, 50)
    expected = [h % 50 for text in TEXTS for h in slow_ngrams.all_hashes(text, 2)]
    assert count_V.tolist() == np.bincount(expected, minlength=50).tolist()
    assert count_V.dtype == np.int64
