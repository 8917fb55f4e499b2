"""Selection rules against a plain sort, whatever the scores, their order and their chunks."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning.hashing import id_hash
from pruning.selection import Chunk, Rule, find_cut

# Many ties, both zeros, both infinities, neighbours in float, and rows without a score.
SCORES = st.lists(
    st.sampled_from(
        [
            0.0,
            -0.0,
            1.0,
            np.nextafter(1.0, 2),
            -1.0,
            2.5,
            math.inf,
            -math.inf,
            math.nan,
            1e-310,
            7e7,
        ]
    )
    | st.floats(width=32),
    max_size=60,
)
PERCENTILES = ("low", "middle", "high", "random")


def chunks_of(score_N, cuts=()):
    """The scores as chunks of files `a` and `b`, cut at some places."""
    score_N = np.asarray(score_N, np.float64)
    edges = sorted({0, len(score_N), len(score_N) // 2, *(c for c in cuts if c <= len(score_N))})
    middle = len(score_N) // 2
    return [
        Chunk("a", np.arange(i, j), score_N[i:j])
        if j <= middle
        else Chunk("b", np.arange(i - middle, j - middle), score_N[i:j])
        for i, j in itertools.pairwise(edges)
    ]


def kept(rule, score_N, cuts=()):
    chunks = chunks_of(score_N, cuts)
    cut = find_cut(rule, lambda: chunks)
    bits = [cut.keeps(chunk) for chunk in chunks]
    return np.concatenate(bits) if bits else np.zeros(0, bool)


def kept_by_sorting(rule, score_N):
    chunks = chunks_of(score_N)
    hash_N = np.concatenate(
        [id_hash(c.file, c.rows_N, rule.seed) for c in chunks] or [np.zeros(0, np.uint64)]
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
    cut = find_cut(rule, lambda: shuffled)
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


def test_thresholds_are_the_scores_at_both_ends():
    chunks = chunks_of([3.0, -2.0, -math.inf, 7.5, math.nan, 0.25])
    cut = find_cut(Rule(keep="middle", fraction=0.6), lambda: chunks)
    assert (cut.n, cut.thresholds) == (5, (-2.0, 3.0))
    assert find_cut(Rule(keep="random", fraction=0.6), lambda: chunks).thresholds is None
    assert find_cut(Rule(keep="low", fraction=0.1), lambda: chunks).thresholds is None
    whole = find_cut(Rule(keep="low", fraction=1.0), lambda: chunks)
    assert whole.thresholds == (None, 7.5)


def test_the_last_key_walks_through_the_ranking():
    chunks = chunks_of([1.0, 1.0, -1.0, math.inf, 1.0, -0.0, 0.0])
    rules = [Rule(keep="low", fraction=(rank + 1) / 7 + 1e-9 * (rank < 6)) for rank in range(7)]
    keys = [find_cut(rule, lambda: chunks).last for rule in rules]
    assert keys == sorted(keys)
    assert len(set(keys)) == 7
    assert keys[1].score == keys[2].score, "both zeros are one"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"keep": "best", "fraction": 0.5},
            "'best'; known are low, middle, high, random, threshold",
        ),
        ({"keep": "low"}, "low takes a --fraction .* got fraction None"),
        ({"keep": "low", "fraction": 0.0}, "above 0 and at most 1, .* got fraction 0.0"),
        ({"keep": "high", "fraction": 1.01}, "got fraction 1.01"),
        ({"keep": "high", "fraction": -0.1}, "got fraction -0.1"),
        ({"keep": "high", "fraction": math.nan}, "got fraction nan"),
        ({"keep": "middle", "fraction": 0.5, "min_score": 1.0}, "min_score 1.0"),
        ({"keep": "threshold"}, "takes --min_score or --max_score"),
        (
            {"keep": "threshold", "fraction": 0.5, "max_score": 1.0},
            "no --fraction; got fraction 0.5",
        ),
        ({"keep": "threshold", "max_score": math.nan}, "nan"),
    ],
)
def test_rules_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Rule(**arguments)
