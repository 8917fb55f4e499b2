import numpy as np
import pytest

from pruning.report.auc import auc


def brute_force(positive, negative):
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    return wins / (len(positive) * len(negative))


@pytest.mark.parametrize("values", [3, 50, 10**6])
def test_equals_all_pairs_compared(values):
    rng = np.random.default_rng(values)
    positive, negative = rng.integers(values, size=61), rng.integers(values, size=83)
    assert auc(positive, negative) == brute_force(positive, negative)


def test_separation_and_direction():
    assert auc(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 1
    assert auc(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 0
    assert auc(np.full(5, 2.0), np.full(3, 2.0)) == 0.5


def test_leaves_nan_out_and_orders_infinity():
    positive, negative = np.array([np.nan, 1.0, np.inf]), np.array([0.0, np.nan, 2.0])
    assert auc(positive, negative) == brute_force([1.0, np.inf], [0.0, 2.0])


@pytest.mark.parametrize(("positive", "negative"), [([], [1.0]), ([1.0], []), ([np.nan], [1.0])])
def test_nothing_to_compare_is_nan(positive, negative):
    assert np.isnan(auc(np.array(positive, float), np.array(negative, float)))
