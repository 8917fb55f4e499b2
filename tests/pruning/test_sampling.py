"""Gumbel top-k: exact chances, nested draws, and noise that belongs to the document."""

import itertools
import math

import numpy as np
import pytest

from pruning.cuts import find_cut
from pruning.ranking import Chunk
from pruning.sampling import drawn_scores, gumbel_noise
from pruning.selection import Rule

SCORES = np.array([0.25, 1.0, 2.0, 0.5, 4.0])
WEIGHTS = {
    "inverse": 1 / SCORES,
    "proportional": SCORES,
    "softmax": np.exp(SCORES / 2),
}


def rule(weights, k, seed=0):
    temperature = 2.0 if weights == "softmax" else None
    return Rule(keep="sample", documents=k, weights=weights, temperature=temperature, seed=seed)


def draw(rule, score_N, file="a"):
    chunk = Chunk(file, 0, score_N)
    return find_cut(rule, lambda work: map(work, [chunk])).keeps(chunk)


def inclusion_chances(weight_N, k):
    """Of drawing k one by one, each in proportion to the weights of those that are left."""
    chances = np.zeros(len(weight_N))
    for order in itertools.permutations(range(len(weight_N)), k):
        chance, left = 1.0, weight_N.sum()
        for i in order:
            chance, left = chance * weight_N[i] / left, left - weight_N[i]
        chances[[*order]] += chance
    return chances


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_inclusion_frequencies_are_the_exact_chances(weights, k):
    """20,000 draws: within 4 standard errors for each of the 5 documents."""
    draws = 20_000
    # Every 5 rows are a draw of their own: their keys need no cut.
    rows_N = np.arange(5 * draws)
    key_N = drawn_scores(rule(weights, k), "a", rows_N, np.tile(SCORES, draws)).reshape(draws, 5)
    kept_N = key_N >= np.sort(key_N, axis=1)[:, -k][:, None]
    exact_N = inclusion_chances(WEIGHTS[weights], k)
    error_N = np.sqrt(exact_N * (1 - exact_N) / draws)
    assert kept_N.sum() == k * draws
    np.testing.assert_array_less(np.abs(kept_N.mean(axis=0) - exact_N), 4 * error_N + 1e-12)


def test_the_cut_keeps_the_highest_keys():
    score_N = np.random.default_rng(0).gamma(2, size=200)
    for weights in WEIGHTS:
        chosen = rule(weights, 40, seed=7)
        key_N = drawn_scores(chosen, "a", np.arange(200), score_N)
        assert {*np.flatnonzero(draw(chosen, score_N))} == {*np.argsort(key_N)[-40:]}


def test_the_noise_is_gumbel():
    noise_N = gumbel_noise("a", np.arange(200_000), 0)
    assert noise_N.mean() == pytest.approx(np.euler_gamma, abs=0.01)
    assert noise_N.std() == pytest.approx(math.pi / math.sqrt(6), abs=0.01)
    for x in (-1.0, 0.0, 1.0, 3.0):
        assert (noise_N < x).mean() == pytest.approx(math.exp(-math.exp(-x)), abs=0.004)


def test_the_noise_is_finite_at_both_ends_of_the_hash(monkeypatch):
    ends = np.array([0, 1, (1 << 64) - 1], np.uint64)
    monkeypatch.setattr("pruning.sampling.id_hash", lambda *_: ends)
    high, almost, low = gumbel_noise("a", np.arange(3), 0)
    assert high == pytest.approx(65 * math.log(2))
    assert high > almost > 43
    assert low == pytest.approx(-math.log(53 * math.log(2)))


def test_the_noise_is_that_of_the_document_and_the_seed():
    noise_N = gumbel_noise("a", np.arange(10), 1)
    assert np.array_equal(gumbel_noise("a", np.arange(5, 10), 1), noise_N[5:])
    assert not (gumbel_noise("a", np.arange(10), 2) == noise_N).any()
    assert not (gumbel_noise("b", np.arange(10), 1) == noise_N).any()


def test_a_larger_draw_contains_the_smaller_and_another_seed_does_not():
    score_N = np.random.default_rng(0).gamma(2, size=500)
    small, large, other = (
        draw(rule("inverse", k, s), score_N) for k, s in ((50, 0), (90, 0), (90, 1))
    )
    assert not (small & ~large).any()
    assert (small & ~other).any()


def test_temperature_goes_from_the_highest_scores_to_chance():
    score_N = np.linspace(0, 1, 400)

    def mean(temperature):
        chosen = Rule(keep="sample", fraction=0.25, weights="softmax", temperature=temperature)
        return score_N[draw(chosen, score_N)].mean()

    assert mean(1e-4) == pytest.approx(0.875, abs=0.01)
    assert mean(1e4) == pytest.approx(0.5, abs=0.06)
    assert mean(1e-4) > mean(0.3) > mean(1e4)


@pytest.mark.parametrize("weights", ["inverse", "proportional"])
@pytest.mark.parametrize("score", [0.0, -1.5])
def test_weights_of_no_positive_score_are_refused_and_named(weights, score):
    score_N = np.array([1.0, np.nan, score])
    message = rf"--weights {weights} takes scores above 0, but en/a__2 has {score:g}\."
    with pytest.raises(ValueError, match=message):
        draw(rule(weights, 1), score_N, file="en/a")
    assert draw(rule("softmax", 2), score_N).sum() == 2
