"""Epochs over what is kept."""

import pytest

from pruning.training_plan import plan_sentence, training_plan

COUNTS = {"kept_tokens": 250}


def test_epochs_are_training_tokens_over_kept_tokens():
    assert training_plan(None, COUNTS) is None
    plan = training_plan(1_000, COUNTS)
    assert plan == {"training_tokens": 1_000, "epochs": 4.0, "most_epochs": 4}
    assert plan_sentence(plan) == "1,000 training tokens are 4.00 epochs."


def test_beyond_four_epochs_is_a_warning():
    assert "4.01 epochs. Warning: beyond 4" in plan_sentence(training_plan(1_003, COUNTS))


def test_a_plan_needs_tokens():
    with pytest.raises(ValueError, match="at least 1; got 0"):
        training_plan(0, COUNTS)
    with pytest.raises(ValueError, match=r"needs the tokens of what is kept.*such as perplexity"):
        training_plan(10, {"kept_tokens": 0})
