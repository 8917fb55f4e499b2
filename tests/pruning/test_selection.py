"""Selection rules against a plain sort, whatever the scores, their order and their chunks."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning.cuts import find_cut
from pruning.hashing import id_hash
from pruning.ranking import Chunk
from pruning.selection import Rule

# Many ties, both zeros, both infinities, neighbours in float, and rows without a score.
SCORES = st.lists(
    st.sampled_from(
        [
            0.0,
            -0.0,
            1.0,
            float(np.nextafter(np.float32(1), np.float32(2))),
            -1.0,
            2.5,
            math.inf,
            -math.inf,
            math.nan,
            float(np.float32(1e-40)),
            7e7,
        ]
    )
    | st.floats(width=32),
    max_size=60,
)
PERCENTILES = ("low", "middle", "high", "random")


def chunks_of(score_N, cuts=()):
    """The scores as chunks of files `a` and `b`, cut at some places."""
    score_N = np.asarray(score_N, np.float32)
    edges = sorted({0, len(score_N), len(score_N) // 2, *(c for c in cuts if c <= len(score_N))})
    middle = len(score_N) // 2
    return [
        Chunk("a", i, score_N[i:j]) if j <= middle else Chunk("b", i - middle, score_N[i:j])
        for i, j in itertools.pairwise(edges)
    ]


def kept(rule, score_N, cuts=()):
    chunks = chunks_of(score_N, cuts)
    cut = find_cut(rule, lambda work: map(work, chunks))
    bits = [cut.keeps(chunk) for chunk in chunks]
    return np.concatenate(bits) if bits else np.zeros(0, bool)


def kept_by_sorting(rule, score_N):
    chunks = chunks_of(score_N)
    hash_N = np.concatenate(
        [id_hash(c.file, c.first_row + np.arange(len(c.score_N)), rule.seed) for c in chunks]
        or [np.zeros(0, np.uint64)]
    )
    score_N = np.asarray(score_N, np.float64) + 0.0
    scored = np.flatnonzero(~np.isnan(score_N))
    first = np.zeros(len(scored)) if rule.keep == "random" else score_N[scored]
    ranking = scored[np.lexsort((hash_N[scored], first))]
    k = math.floor(round(rule.fraction * len(ranking), 9))
    start = {"low": 0, "random": 0, "high": len(ranking) - k, "middle": (len(ranking) - k) // 2}
    bits = np.zeros(len(score_N), bool)
    bits[ranking[start[rule.keep] :][:k]] = True
    return bits


@pytest.mark.parametrize("keep", PERCENTILES)
@given(scores=SCORES, percent=st.integers(1, 100), seed=st.integers(0, 3))
def test_the_stretch_is_that_of_a_full_sort(keep, scores, percent, seed):
    rule = Rule(keep=keep, fraction=percent / 100, seed=seed)
    assert np.array_equal(kept(rule, scores), kept_by_sorting(rule, scores))


@pytest.mark.parametrize("keep", PERCENTILES)
@given(scores=SCORES, cuts=st.lists(st.integers(0, 60)), rng=st.randoms())
def test_neither_order_nor_chunks_change_what_is_kept(keep, scores, cuts, rng):
    rule = Rule(keep=keep, fraction=0.4, seed=1)
    chunks = chunks_of(scores, cuts)
    shuffled = rng.sample(chunks, len(chunks))
    cut = find_cut(rule, lambda work: map(work, shuffled))
    bits = [cut.keeps(chunk) for chunk in chunks]
    together = np.concatenate(bits) if bits else np.zeros(0, bool)
    assert np.array_equal(together, kept(rule, scores))


@given(scores=SCORES, limits=st.tuples(st.floats(width=32), st.floats(width=32)).map(sorted))
def test_threshold_keeps_all_between_both_limits(scores, limits):
    low, high = limits
    if math.isnan(low) or math.isnan(high):
        return
    score_N = np.asarray(scores, np.float64)
    between = Rule(keep="threshold", min_score=low, max_score=high)
    assert np.array_equal(kept(between, scores), (score_N >= low) & (score_N <= high))
    above = Rule(keep="threshold", min_score=low)
    assert np.array_equal(kept(above, scores), score_N >= low)
    below = Rule(keep="threshold", max_score=high)
    assert np.array_equal(kept(below, scores), score_N <= high)


@pytest.mark.parametrize("keep", ["low", "high", "random"])
@given(scores=SCORES, fractions=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(sorted))
def test_a_smaller_fraction_is_a_part_of_a_larger_one(keep, scores, fractions):
    small, large = (kept(Rule(keep=keep, fraction=f), scores) for f in fractions)
    assert not (small & ~large).any()


@given(scores=SCORES)
def test_low_and_high_halves_share_nothing(scores):
    low, high = (kept(Rule(keep=keep, fraction=0.5), scores) for keep in ("low", "high"))
    assert not (low & high).any()
    assert (low | high).sum() >= np.sum(~np.isnan(scores)) - 1


@pytest.mark.parametrize(
    ("fraction", "n", "k"),
    [(0.29, 100, 29), (0.57, 100, 57), (0.07, 300, 21), (1.0, 7, 7), (0.5, 7, 3), (1e-3, 999, 0)],
)
@pytest.mark.parametrize("keep", PERCENTILES)
def test_sizes_are_exact(keep, fraction, n, k):
    score_N = np.arange(n) % 10
    assert kept(Rule(keep=keep, fraction=fraction), score_N).sum() == k


def test_the_middle_begins_at_half_of_what_is_left_rounded_down():
    bits = kept(Rule(keep="middle", fraction=0.5), np.arange(9))
    assert np.flatnonzero(bits).tolist() == [2, 3, 4, 5]


def test_ties_are_broken_by_the_hash_of_the_id():
    score_N = np.zeros(1000)
    halves = [kept(Rule(keep="low", fraction=0.5, seed=seed), score_N) for seed in (0, 1)]
    assert 150 < (halves[0] & halves[1]).sum() < 350
    assert 150 < halves[0][:500].sum() < 350, "not the first rows"
    assert np.array_equal(halves[0], kept(Rule(keep="low", fraction=0.5), -0.0 * score_N))


def test_rows_without_a_score_are_never_kept_and_not_counted():
    score_N = np.where(np.arange(100) % 2, np.nan, 1.0)
    for keep in PERCENTILES:
        bits = kept(Rule(keep=keep, fraction=0.5), score_N)
        assert bits.sum() == 25
        assert not bits[1::2].any()
    assert not kept(Rule(keep="high", fraction=1.0), np.full(5, np.nan)).any()


def test_random_does_not_look_at_the_scores():
    score_N = np.random.default_rng(0).normal(size=500)
    rule = Rule(keep="random", fraction=0.3, seed=4)
    assert np.array_equal(kept(rule, score_N), kept(rule, np.argsort(score_N)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"keep": "best", "fraction": 0.5},
            "'best'; known are low, middle, high, random, threshold",
        ),
        ({"keep": "low"}, "low takes one of --fraction, .* got none of them"),
        ({"keep": "low", "fraction": 0.1, "tokens": 5}, "got fraction 0.1, tokens 5"),
        ({"keep": "low", "fraction": 0.0}, "above 0 and at most 1; got fraction 0.0"),
        ({"keep": "high", "fraction": 1.01}, "got fraction 1.01"),
        ({"keep": "high", "fraction": -0.1}, "got fraction -0.1"),
        ({"keep": "high", "fraction": math.nan}, "got fraction nan"),
        ({"keep": "high", "documents": 0}, "at least 1; got documents 0"),
        ({"keep": "high", "tokens": -3}, "at least 1; got tokens -3"),
        ({"keep": "middle", "fraction": 0.5, "min_score": 1.0}, "min_score 1.0"),
        ({"keep": "threshold"}, "takes --min_score or --max_score"),
        (
            {"keep": "threshold", "fraction": 0.5, "max_score": 1.0},
            "takes no --fraction, .* got fraction 0.5",
        ),
        ({"keep": "threshold", "per": "domain", "max_score": 1.0}, "got per domain"),
        ({"keep": "threshold", "max_score": math.nan}, "nan"),
        ({"keep": "threshold", "min_score": 2.0, "max_score": 1.0}, "is not the larger one"),
        ({"keep": "sample", "fraction": 0.5}, "--keep sample takes --weights; got None"),
        ({"keep": "low", "fraction": 0.5, "weights": "softmax"}, "takes no --weights; got softmax"),
        (
            {"keep": "sample", "fraction": 0.5, "weights": "best"},
            "'best'; known are inverse, proportional, softmax",
        ),
        (
            {"keep": "sample", "fraction": 0.5, "weights": "inverse", "temperature": 2.0},
            "for --weights softmax; got 2.0 with weights inverse",
        ),
        (
            {"keep": "sample", "fraction": 0.5, "weights": "softmax", "temperature": 0.0},
            "above 0, .* got 0.0",
        ),
        ({"keep": "low", "fraction": 0.5, "quota": {"web": 0.5}}, "name it by --per"),
        (
            {"keep": "low", "fraction": 0.5, "per": "domain", "quota": {"web": 0.7, "code": 0.4}},
            "at most 1 together; got web=0.7, code=0.4",
        ),
        (
            {"keep": "low", "fraction": 0.5, "per": "domain", "quota": {"web": -0.1}},
            "got web=-0.1",
        ),
    ],
)
def test_rules_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Rule(**arguments)


def test_shares_that_add_up_to_one_only_as_decimals_are_a_quota():
    shares = {"a": 0.7, "b": 0.2, "c": 0.1}
    assert sum(shares.values()) != 1
    Rule(keep="low", documents=10, per="domain", quota=shares)
