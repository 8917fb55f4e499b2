"""The arithmetic of the table of scorers, against all pairs compared."""

import itertools

import numpy as np
import pytest
from planted import agreement, chances, read_labels, standard_error

ROWS = [
    # id, damage, duplicate_of, near_duplicate_of
    ("a__0", "none", None, None),
    ("a__1", "none", "a__0", None),
    ("a__2", "truncated", None, None),
    ("a__3", "none", None, None),
    ("a__4", "none", None, "a__3"),
    ("a__5", "none", None, None),
    ("b__0", "none", None, None),
    ("b__3", "repeated", None, None),
]


@pytest.fixture
def planted():
    columns = zip(*ROWS, strict=True)
    fields = ("id", "damage", "duplicate_of", "near_duplicate_of")
    return read_labels(
        {
            name: np.array(values, object)
            for name, values in zip(fields, map(list, columns), strict=True)
        }
    )


def test_groups_have_their_originals_and_intact_is_what_is_left(planted):
    found = {kind: [*np.flatnonzero(is_kind)] for kind, is_kind in planted.kinds.items()}
    assert found == {
        "repeated": [7],
        "truncated": [2],
        "any damage": [2, 7],
        "exact duplicates": [0, 1],
        "near duplicates": [3, 4],
    }
    assert [*np.flatnonzero(planted.intact_N)] == [5, 6]


@pytest.mark.parametrize("dropped", ["high", "low"])
def test_a_chance_is_that_of_being_nearer_to_the_dropped_side(planted, dropped):
    score_N = np.array([3, 1, 9, np.nan, 2, 2, 4, 3], np.float32)
    found = chances(score_N, planted, dropped)

    def wins(one, other):
        return (one > other) if dropped == "high" else (one < other)

    for kind, is_kind_N in planted.kinds.items():
        spoilt = [s for s in score_N[is_kind_N] if not np.isnan(s)]
        pairs = [*itertools.product(spoilt, score_N[planted.intact_N])]
        expected = sum(wins(a, b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)
        assert found[kind] == expected, kind


def test_what_keeps_one_of_each_pair_reaches_three_quarters(planted):
    one_of_each_N = np.array([0, 1, 0, 0, 1, 0, 0, 0], np.float32)
    found = chances(one_of_each_N, planted, "high")
    assert found["exact duplicates"] == found["near duplicates"] == 0.75


def test_the_standard_error_is_that_of_random_orders(planted):
    rng = np.random.default_rng(0)
    drawn = [chances(rng.random(8), planted, "high")["near duplicates"] for _ in range(4000)]
    assert np.std(drawn) == pytest.approx(standard_error(planted, "near duplicates"), rel=0.05)


def test_agreement_is_tau_b_over_what_both_have():
    rng = np.random.default_rng(1)
    scores = {name: rng.integers(6, size=40).astype(np.float32) for name in "abc"}
    scores["a"][3] = scores["b"][5] = np.nan
    scores["flat"] = np.ones(40, np.float32)
    tau_CC = agreement(scores)
    both = [i for i in range(40) if i not in (3, 5)]
    order, ties = 0, [0, 0]
    for i, j in itertools.combinations(both, 2):
        one, other = (np.sign(scores[name][i] - scores[name][j]) for name in "ab")
        order += one * other
        ties = [ties[0] + (one != 0), ties[1] + (other != 0)]
    assert tau_CC[0, 1] == tau_CC[1, 0] == pytest.approx(order / np.sqrt(ties[0] * ties[1]))
    assert np.isnan(tau_CC[3, :3]).all()
    assert (np.diag(tau_CC)[:3] == 1).all()


def test_agreement_of_many_documents_is_that_of_a_seeded_sample():
    rng = np.random.default_rng(2)
    scores = {name: rng.normal(size=500) for name in "ab"}
    assert agreement(scores, most=50)[0, 1] == agreement(scores, most=50)[0, 1]
    assert agreement(scores, most=50)[0, 1] != agreement(scores, most=500)[0, 1]
    assert agreement(scores, most=500)[0, 1] == pytest.approx(agreement(scores)[0, 1])
