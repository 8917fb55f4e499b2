"""The papers' numbers, worked by hand; and the bootstrap against what theory says."""

import math

import numpy as np
import pytest

from pruning.experiments.resampling import difference, estimate, mean_of, sample_means
from pruning.experiments.statistics import (
    credit,
    normalised_accuracy,
    over_scaling,
    steps_to_reach,
)

NAN = float("nan")


@pytest.mark.parametrize(
    ("nll", "answer", "expected"),
    [
        ([1.0, 2.0, 3.0], 0, 1.0),
        ([1.0, 2.0, 3.0], 1, 0.0),
        ([1.0, 1.0, 3.0], 0, 0.5),
        ([1.0, 1.0, 3.0], 1, 0.5),
        ([1.0, 1.0, 3.0], 2, 0.0),
        ([2.0, 2.0, 2.0], 1, 1 / 3),
    ],
)
def test_credit_shares_ties(nll, answer, expected):
    assert credit(np.array(nll), answer) == pytest.approx(expected)


def test_credit_without_a_number_is_none():
    assert math.isnan(credit(np.array([1.0, NAN]), 0))


def test_normalised_accuracy():
    assert normalised_accuracy(0.25, 0.25) == 0
    assert normalised_accuracy(1.0, 0.25) == 1
    assert normalised_accuracy(0.5, 0.25) == pytest.approx(1 / 3)
    assert normalised_accuracy(0.0, 0.5) == -1
    assert math.isnan(normalised_accuracy(1.0, 1.0))


STEPS = [400, 100, 300, 200]


@pytest.mark.parametrize(
    ("scores", "target", "higher", "expected"),
    [
        ([0.4, 0.1, 0.3, 0.2], 0.3, True, 300),  # a tie counts
        ([0.4, 0.1, 0.3, 0.2], 0.25, True, 300),
        ([0.4, 0.1, 0.3, 0.2], 0.5, True, None),
        ([0.4, 0.1, None, 0.2], 0.3, True, 400),  # a missing evaluation is passed over
        ([0.4, 0.1, NAN, 0.2], 0.3, True, 400),
        ([0.1, 0.4, 0.2, 0.3], 0.1, True, 100),  # the first, though it falls again
        ([1.0, 4.0, 2.0, 3.0], 3.0, False, 200),
        ([None, None, None, None], 0.0, True, None),
    ],
)
def test_steps_to_reach(scores, target, higher, expected):
    assert steps_to_reach(STEPS, scores, target, higher_is_better=higher) == expected


def test_over_scaling_by_hand():
    full, larger = {"a": 0.5, "b": 0.25}, {"a": 0.75, "b": 0.5}
    assert over_scaling(full, full, larger) == (0.0, 2)
    assert over_scaling(larger, full, larger) == (100.0, 2)
    # a goes half the way, b a quarter back.
    assert over_scaling({"a": 0.625, "b": 0.1875}, full, larger) == (12.5, 2)


def test_over_scaling_leaves_out_what_is_undefined():
    full, larger = {"a": 0.5, "b": 0.25, "c": 0.1}, {"a": 0.75, "b": 0.25}
    assert over_scaling({"a": 1.0, "b": 1.0, "c": 1.0}, full, larger) == (200.0, 1)
    share, number = over_scaling({"b": 1.0}, full, larger)
    assert math.isnan(share)
    assert number == 0
    assert over_scaling({"a": NAN}, full, larger)[1] == 0


def test_of_a_loss_over_scaling_is_the_same_share():
    share = over_scaling({"loss": 2.5}, {"loss": 3.0}, {"loss": 2.0})
    assert share == (50.0, 1)


def test_means_are_weighted_and_seeds_kept_apart():
    values_SI = np.array([[1.0, 3.0], [2.0, 6.0]])
    found = estimate(sample_means(values_SI, "x", weights_I=np.array([3.0, 1.0])))
    assert found.by_seed == (1.5, 3.0)
    assert found.value == 2.25
    assert found.spread == pytest.approx(np.std([1.5, 3.0], ddof=1))


def test_interval_over_items_is_that_of_the_standard_error():
    values_SI = np.random.default_rng(0).normal(size=(1, 2_000))
    found = estimate(sample_means(values_SI, "x", resamples=4_000))
    half = 1.96 * values_SI.std() / math.sqrt(2_000)
    assert found.low == pytest.approx(values_SI.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values_SI.mean() + half, abs=0.1 * half)
    assert math.isnan(found.spread)


def test_interval_over_seeds_is_that_of_students_t():
    """2 degrees of freedom: 4.30 standard errors, where a normal distribution has 1.96."""
    seeds_S = np.array([0.0, 1.0, 5.0])
    found = estimate(sample_means(np.repeat(seeds_S[:, None], 4, axis=1), "x"))
    half = 4.303 * np.std(seeds_S, ddof=1) / math.sqrt(3)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=0.03 * half)


def test_interval_of_a_difference_is_welchs():
    """Equal deviations of three seeds each: 4 degrees of freedom. One alone: its own 2."""
    noisy, still = np.array([[0.0], [1.0], [2.0]]), np.ones((3, 1))
    for other, half in (
        (noisy, 2.776 * math.sqrt(2 / 3)),
        (still, 4.303 * math.sqrt(1 / 3)),
    ):
        found = difference(sample_means(noisy, "x"), sample_means(other, "x"))
        assert (found.low, found.high) == pytest.approx((-half, half), rel=0.03)


@pytest.mark.parametrize("num_seeds", [2, 3, 5])
def test_arms_that_do_nothing_rarely_separate(num_seeds):
    """At most one of twenty; a bootstrap of three seeds says so of one in eight."""
    rng = np.random.default_rng(num_seeds)
    trials, separated = 400, 0
    for _ in range(trials):
        arms = [
            sample_means(rng.normal(size=(num_seeds, 1)) + np.zeros(20), "x", resamples=200)
            for _ in range(2)
        ]
        separated += difference(*arms).excludes_zero
    assert separated / trials < 0.075


def test_a_difference_draws_the_same_items_for_both():
    rng = np.random.default_rng(0)
    hard_I = rng.normal(size=500)  # what makes a question hard is the same for both arms
    left = sample_means((hard_I + 0.1)[None], "x")
    right = sample_means(hard_I[None], "x")
    found = difference(left, right)
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))
    assert found.excludes_zero
    other = sample_means(hard_I[None], "y")
    assert not difference(left, other).excludes_zero


def test_an_arm_does_not_separate_from_itself():
    values_SI = np.random.default_rng(0).integers(0, 2, (3, 400)).astype(float)
    one = sample_means(values_SI, "x")
    found = difference(one, one)
    assert found.value == 0
    assert found.low < 0 < found.high


def test_scaling_and_averaging_are_linear():
    one, two = (sample_means(np.array([[0.0, 1.0]]) + k, "x") for k in (0, 1))
    assert estimate(one.scaled(2.0, -1.0)).value == 0
    assert estimate(mean_of([one, two])).value == 1.0


def test_an_interval_ends_where_no_result_can_be():
    """By seeds at 80, 100 and 100 % of the questions it would reach 122 %."""
    credits_SI = np.ones((3, 40))
    credits_SI[0, :8] = 0
    free = estimate(sample_means(credits_SI, "x"))
    assert free.high > 1
    means = sample_means(credits_SI, "x", possible=(0.0, 1.0))
    found = estimate(means)
    assert (found.low, found.high) == (free.low, 1.0)
    of_four_options = means.scaled(4 / 3, -1 / 3)
    assert of_four_options.possible == pytest.approx((-1 / 3, 1.0))
    both = mean_of([means.scaled(2.0, -1.0), of_four_options])
    assert both.possible == pytest.approx((-2 / 3, 1.0))
    assert estimate(both).high == 1.0
