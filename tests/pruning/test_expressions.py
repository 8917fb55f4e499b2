"""Expressions of columns: NumPy's numbers, and nothing that is not arithmetic."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning.expression_grammar import parse_expression
from pruning.expressions import FUNCTIONS

COLUMNS = ("nll", "log_p_yes", "log_p_no")


def parse(text):
    return parse_expression(text, COLUMNS)


def value(text, **columns):
    """The value of one row."""
    (found,) = parse(text)({name: np.array([x]) for name, x in columns.items()})
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nll", 2.5),
        ("-nll ** 2", -6.25),
        ("2 ** -nll", 2**-2.5),
        ("2 ** 3 ** 2 + 0 * nll", 512),
        ("nll - 1 - 1", 0.5),
        ("nll - (1 - 1)", 2.5),
        ("nll / 2 / 5", 0.25),
        ("1e-3 * nll + .5", 0.5025),
        ("log_p_yes - log_p_no", 1.25),
        ("log_p_yes - logaddexp(log_p_yes, log_p_no)", -0.5 - math.log(math.exp(-0.5) + math.exp(-1.75))),
        ("minimum(nll, 1) - maximum(nll, 3)", -2),
        ("sqrt(abs(log_p_no)) * exp(log(nll))", math.sqrt(1.75) * 2.5),
        # The number overflows on its way and comes back.
        ("log(exp(800 * nll)) ** -1", 0),
    ],
)  # fmt: skip
def test_values(text, expected):
    assert value(text, nll=2.5, log_p_yes=-0.5, log_p_no=-1.75) == np.float32(expected)


names = st.sampled_from(COLUMNS)
numbers = st.floats(0, 1e3).map("number({!r})".format)
terms = st.recursive(
    names | numbers,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/", "**"]), inner)
        | st.builds("-{}".format, inner)
        | st.builds("{}({})".format, st.sampled_from(["abs", "exp", "log", "sqrt"]), inner)
        | st.builds("{}({}, {})".format, st.sampled_from(["minimum", "logaddexp"]), inner, inner)
    ),
    max_leaves=12,
)


@given(terms, names)
def test_any_expression_is_what_numpy_makes_of_it_in_float64(term, name):
    text = f"{term} + {name}"
    rng = np.random.default_rng(0)
    columns = {c: rng.normal(size=9).astype(np.float32) for c in COLUMNS}
    wide = {c: x.astype(np.float64) for c, x in columns.items()}
    with np.errstate(all="ignore"):
        scope = {**{f: getattr(np, f) for f in FUNCTIONS}, **wide, "number": np.float64}
        expected = eval(text, scope).astype(np.float32)
    expression = parse(text.replace("number", ""))
    found = expression(columns)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.where(np.isfinite(expected), expected, np.nan))
    np.testing.assert_array_equal(expression.is_undefined(columns), ~np.isfinite(expected))
    again = parse(expression.text)
    assert (again.text, again.columns) == (expression.text, expression.columns)
    np.testing.assert_array_equal(again(columns), found)


def test_text_is_normalised_and_columns_are_named_once():
    expression = parse("  (log_p_yes)-( 2*nll )\n + log_p_yes")
    assert expression.text == "log_p_yes - 2 * nll + log_p_yes"
    assert expression.columns == ("log_p_yes", "nll")
    assert parse("(nll)").text == "nll"


def test_a_column_may_have_the_name_of_a_function():
    expression = parse_expression("log(log) - exp", ["log", "exp"])
    assert expression.columns == ("log", "exp")
    assert expression({"log": np.array([1.0]), "exp": np.array([2.0])}) == -2


@pytest.mark.parametrize(
    "text", ["nll ** 0", "minimum(nll, 1)", "0 * nll", "1 ** nll", "log_p_no ** (nll - nll)"]
)
def test_a_missing_number_stays_missing(text):
    columns = {c: np.array([np.nan, 1.0]) for c in COLUMNS}
    assert np.isnan(parse(text)(columns)).tolist() == [True, False]
    assert parse(text).is_undefined(columns).tolist() == [False, False]


@pytest.mark.parametrize(
    ("text", "nll"),
    [
        ("1 / nll", 0),
        ("nll / nll", 0),
        ("log(nll)", 0),
        ("log(nll)", -1),
        ("sqrt(nll)", -1),
        ("nll ** .5", -1),
        ("exp(nll)", 90),  # finite in float64, not in float32
        ("nll ** 99", 1e30),
        ("nll - 1", np.inf),
    ],
)
def test_no_finite_value_is_no_score(text, nll):
    columns = {"nll": np.array([nll, 1.0])}
    assert np.isnan(parse(text)(columns)).tolist() == [True, False]
    assert parse(text).is_undefined(columns).tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("nll + 'a'", 6),
        ("nll + True", 6),
        ("nll + 1j", 6),
        ("+nll", 0),
        ("~nll", 0),
        ("nll // 2", 0),
        ("1 + nll % 2", 4),
        ("nll < 1", 0),
        ("nll and nll", 0),
        ("not nll", 0),
        ("nll if nll else 1", 0),
        ("log(nll if nll else 1)", 4),
        ("nll[0]", 0),
        ("1 - nll.real", 4),
        ("[nll]", 0),
        ("(nll, nll)", 0),
        ("(x := nll)", 1),
        ("lambda: nll", 0),
        ("[nll for nll in nll]", 0),
        ("f'{nll}'", 0),
        ("log(x=nll)", 0),
        ("log(*nll)", 4),
        ("nll.mean()", 0),
        ("(lambda: nll)()", 0),
        ("logaddexp(nll, nll)(nll)", 0),
    ],
)
def test_what_is_not_arithmetic_is_refused_at_its_place(text, place):
    with pytest.raises(ValueError, match=r"An expression has .* columns here are nll,") as error:
        parse(text)
    _, shown, mark = str(error.value).split("\n")
    assert shown == f"  {text}"
    assert mark == f"  {' ' * place}^"


@pytest.mark.parametrize("text", ["", "nll -", "(nll", "nll nll", "nll; nll", "nll = 1", "log("])
def test_what_is_no_expression_is_refused(text):
    # Where Python sees the error is Python's affair.
    with pytest.raises(ValueError, match=r"An expression has .*\n  .*\n  +\^$") as error:
        parse(text)
    assert str(error.value).split("\n")[1] == f"  {text}"


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("nll + el2n", r"no score 'el2n'; known are nll, log_p_yes, log_p_no\.", 6),
        ("log_p_yess", r"no score 'log_p_yess'; .* Did you mean log_p_yes\?", 0),
        ("nll * logg(nll)", r"no function 'logg'; known are abs, .* Did you mean log\?", 6),
        ("__import__('os')", "no function '__import__'; known are", 0),
        ("nll + exp", "no score 'exp'", 6),
        ("log(nll, 2)", "log takes 1 terms, here are 2", 0),
        ("maximum(nll)", "maximum takes 2 terms, here are 1", 0),
        ("nll * 1e999", "does not fit into float64", 6),
        ("nll * 1" + "0" * 400, "does not fit into float64", 6),
        ("nll - ünbekannt", "no score 'ünbekannt'", 6),
        ("ü + el2n", "no score 'ü'", 0),
    ],
)
def test_errors_say_what_is_known_and_where(text, message, place):
    with pytest.raises(ValueError, match=message) as error:
        parse(text)
    assert str(error.value).endswith(f"\n  {text}\n  {' ' * place}^")


def test_the_mark_counts_characters():
    with pytest.raises(ValueError, match=r"no score 'x'.*\n  ü \+ x\n      \^"):
        parse_expression("ü + x", ["ü"])


@pytest.mark.parametrize("text", ["1 + 2", "exp(1)"])
def test_an_expression_without_a_column_is_refused(text):
    message = re.escape(f"The expression {text!r} has no column.") + ".*columns here are nll"
    with pytest.raises(ValueError, match=message):
        parse(text)


@pytest.mark.parametrize("text", ["-" * 9_999 + "nll", "nll" + " + nll" * 9_999, "(" * 999 + "nll"])
def test_endless_nesting_is_an_error_as_any_other(text):
    with pytest.raises(ValueError, match=r"nested too deeply|An expression has"):
        parse(text)
