"""Quotas: shares of what stays, exact to the document."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning.budgets import OTHERS, Census, parse_quota, wanted
from pruning.selection import Rule


def amounts(quota, there, groups, **budget):
    rule = Rule(keep="low", per="domain", quota=quota, **budget)
    census = Census(groups, np.array(there), 100 * np.array(there))
    return wanted(rule, census).tolist()


def test_shares_of_the_kept_documents():
    groups = ["web", "code", OTHERS]
    quota = {"web": 0.5, "code": 0.2}
    assert amounts(quota, [60, 60, 60], groups, documents=100) == [50, 20, 30]
    assert amounts(quota, [60, 60, 60], groups, fraction=0.5) == [45, 18, 27]
    assert amounts(quota, [60, 60, 60], groups, tokens=1000) == [500, 200, 300]


def test_values_not_named_get_nothing_of_shares_that_are_whole():
    assert amounts({"a": 0.7, "b": 0.3}, [9, 9, 9], ["a", "b", OTHERS], documents=10) == [7, 3, 0]


def test_a_value_may_be_left_out():
    assert amounts({"a": 0.0}, [9, 9], ["a", OTHERS], documents=5) == [0, 5]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(1, 500))
def test_rounded_shares_add_up_to_the_budget_and_are_less_than_one_off(parts, budget):
    shares = {str(i): part / 200 for i, part in enumerate(parts)}
    if not any(shares.values()):
        return
    found = amounts(shares, [500] * (len(parts) + 1), [*shares, OTHERS], documents=budget)
    assert sum(found) == budget
    exact = [budget * part / 200 for part in parts]
    assert all(abs(a - e) < 1 for a, e in zip(found, exact, strict=False))


def test_what_the_corpus_cannot_give_is_named():
    message = r"wants 50 documents of domain web, which has 20 that are scored"
    with pytest.raises(ValueError, match=message):
        amounts({"web": 0.5}, [20, 200], ["web", OTHERS], documents=100)
    message = r"wants 5,000 tokens of domain \(others\), which has 4,900 that are scored"
    with pytest.raises(ValueError, match=message):
        amounts({"web": 0.5}, [200, 49], ["web", OTHERS], tokens=10_000)


def test_quotas_are_read():
    assert parse_quota(["web=0.5", "a=b=.25", "3=1e-1"]) == {"web": 0.5, "a=b": 0.25, "3": 0.1}


@pytest.mark.parametrize("word", ["web", "web=", "=0.5", "web=half", "web=nan", "code=0.1"])
def test_what_is_no_quota_is_refused(word):
    with pytest.raises(ValueError, match=r"takes NAME=SHARE, each name once, .* got '"):
        parse_quota(["code=0.2", word])
