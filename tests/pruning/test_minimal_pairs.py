"""Pairs of an intact and a damaged text."""

import json

import numpy as np
import pytest

from pruning.experiments.minimal_pairs import KINDS, pair_credits, pair_lines

TEXTS = [f"Document {i} has words that are in an order. " * 20 for i in range(9)]


def records(number=3, seed=0, texts=TEXTS):
    return [json.loads(line) for line in pair_lines(texts, number, seed)]


def test_each_pair_is_a_text_and_the_same_one_damaged():
    found = records()
    assert [r["pair"] for r in found] == [KINDS[0]] * 6 + [KINDS[1]] * 6
    for intact, damaged in zip(found[::2], found[1::2], strict=True):
        assert (intact["damage"], damaged["damage"]) == ("none", damaged["pair"])
        assert intact["text"] != damaged["text"]
        assert sorted(intact["text"]) == sorted(damaged["text"])
        assert any(text.startswith(intact["text"]) for text in TEXTS)


def test_no_text_is_in_two_pairs():
    intact = [r["text"] for r in records()[::2]]
    assert len(set(intact)) == 6


def test_pairs_are_drawn_by_the_seed():
    assert records() == records()
    assert records(seed=1) != records()


def test_short_texts_and_those_that_damage_does_not_change_are_passed_over():
    texts = ["short", "x" * 200, *TEXTS]
    assert [r["text"] for r in records(texts=texts)[::2]] == [r["text"] for r in records()[::2]]


def test_too_few_texts_are_refused():
    with pytest.raises(ValueError, match=r"give 4 pairs of characters_swapped.*--minimal_pairs"):
        records(number=5)


def test_the_intact_text_should_be_the_more_likely():
    bits_N = np.array([1.0, 2.0, 2.0, 1.0, 1.0, 1.0, 3.0, 4.0])
    kinds_N = np.array(["a"] * 6 + ["b"] * 2)
    found = pair_credits(bits_N, kinds_N)
    assert found["a"].tolist() == [1.0, 0.0, 0.5]
    assert found["b"].tolist() == [1.0]
