"""`rank` and `zscore` against their definitions, to the bit in any order."""

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning.corpus_statistics import exact_sums, fit_expression
from pruning.expression_grammar import parse_expression

COLUMNS = ("nll", "ask.yes", "ask.no")
values = st.lists(
    st.sampled_from([0.0, -0.0, 1.0, 1.5, -3.0]) | st.floats(-(2.0**99), 2.0**99, width=32),
    min_size=2,
    max_size=40,
)


def fit(text, *tables):
    expression = parse_expression(text, COLUMNS)
    rows = sum(len(next(iter(table.values()))) for table in tables)
    return fit_expression(expression, lambda: tables, rows)


def table(**columns):
    return {name.replace("_", "."): np.array(x, np.float32) for name, x in columns.items()}


def rank_by_counting(value_N):
    below = np.array([(value_N < x).sum() for x in value_N])
    equal = np.array([(value_N == x).sum() for x in value_N])
    return (below + (equal - 1) / 2) / (len(value_N) - 1)


@given(values)
def test_rank_is_the_mean_rank_of_equals_from_0_to_1(x):
    columns = table(nll=x)
    found = fit("rank(nll)", columns)(columns)
    np.testing.assert_array_equal(found, rank_by_counting(columns["nll"]).astype(np.float32))


def test_rank_of_equals_and_of_one_is_in_the_middle():
    for x in ([7.0], [2.0, 2.0, 2.0]):
        columns = table(nll=x)
        assert (fit("rank(nll)", columns)(columns) == 0.5).all()


@given(values)
def test_zscore_is_that_of_float64(x):
    columns = table(nll=x)
    wide = columns["nll"].astype(np.float64)
    if wide.std() <= 1e-6 * np.abs(wide).max():
        return  # float64 sums say nothing then, the exact ones do
    expected = ((wide - wide.mean()) / wide.std()).astype(np.float32)
    np.testing.assert_allclose(fit("zscore(nll)", columns)(columns), expected, rtol=1e-4, atol=1e-5)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=40))
def test_sums_are_exact(x):
    total, squares = exact_sums(np.array(x, np.float32))
    exact = [Fraction(float(v)) for v in x]
    assert total == sum(exact)
    assert squares == sum(v * v for v in exact)


def test_sums_hold_a_whole_table():
    value_N = np.full(1 << 20, np.float32(16777215.0))
    assert exact_sums(value_N) == ((1 << 20) * 16777215, (1 << 20) * 16777215**2)


@given(values, st.randoms(use_true_random=False))
def test_no_order_and_no_cut_changes_a_bit(x, rng):
    text = "zscore(nll) + rank(-nll) * zscore(nll ** 3 / 1e60)"
    columns = table(nll=x)
    try:
        expected = fit(text, columns)(columns)
    except ValueError:
        return  # all the same
    shuffled, place = rng.sample(x, len(x)), rng.randint(0, len(x))
    again = fit(text, table(nll=shuffled[:place]), table(nll=shuffled[place:]))
    np.testing.assert_array_equal(again(columns), expected)


def test_only_documents_with_all_columns_count():
    columns = table(nll=[1, 2, 3, np.nan, 9], ask_yes=[1, 2, 3, 4, np.nan])
    found = fit("rank(nll) + 10 * rank(ask.yes)", columns)(columns)
    np.testing.assert_array_equal(found, [0, 5.5, 11, np.nan, np.nan])


def test_a_term_of_no_finite_value_is_undefined_and_not_counted():
    columns = table(nll=[0, 1, 2, 4])
    expression = fit("rank(1 / nll)", columns)
    np.testing.assert_array_equal(expression(columns), [np.nan, 1, 0.5, 0])
    assert expression.is_undefined(columns).tolist() == [True, False, False, False]


def test_calls_may_stand_in_each_other():
    columns = table(nll=[1, 2, 10], ask_yes=[5, 1, 0])
    text = "rank(rank(nll) + 2 * rank(ask.yes))"
    np.testing.assert_array_equal(fit(text, columns)(columns), [1, 0.5, 0])
    assert [*fit(text, columns).fitted] == ["rank(nll)", "rank(ask.yes)", text] or [
        *fit(text, columns).fitted
    ] == ["rank(ask.yes)", "rank(nll)", text]


def test_what_was_found_is_described():
    expression = fit("rank(nll) + zscore(nll)", table(nll=[1, 3]))
    described = {text: fitted.describe() for text, fitted in expression.fitted.items()}
    assert described == {
        "rank(nll)": {"documents": 2},
        "zscore(nll)": {"documents": 2, "mean": 2.0, "deviation": 1.0},
    }


def test_a_zscore_of_equals_is_refused():
    message = re.escape("zscore(nll) divides by the standard deviation") + ".* all 3 documents"
    with pytest.raises(ValueError, match=message):
        fit("zscore(nll)", table(nll=[5, 5, 5]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rank(nll, ask.yes)", "rank takes 1 terms, here are 2"),
        ("rnk(nll)", "no function 'rnk'; .* Did you mean rank"),
        ("ask.yess", "no score 'ask.yess'; .* Did you mean ask.yes"),
        ("ask.yes.no", "An expression has"),
        ("nll.real", "An expression has"),
        ("ask", "no score 'ask'"),
    ],
)
def test_errors_of_names_and_calls(text, message):
    with pytest.raises(ValueError, match=message):
        parse_expression(text, COLUMNS)
