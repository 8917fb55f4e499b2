"""`rank` and `zscore` of an expression: what they must know of the whole corpus.

The corpus here is the documents that have all the columns of the expression, and that
`--where` keeps, so that the terms of an expression speak of the same documents. Both are
exact: no order, no cut into units and no sum in between changes a bit.
"""

import ast
import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from pruning.expressions import Expression

# Opens the columns of all documents for one more pass, a table at a time.
Tables = Callable[[], Iterable[Mapping[str, np.ndarray]]]

_MANTISSA_BITS = 24
_LOWEST_EXPONENT = -149 - _MANTISSA_BITS  # of a float32 written as integer * 2 ** exponent
_HALF_BITS = 12


@dataclasses.dataclass(frozen=True)
class Rank:
    """Mean rank of equals, from 0 for the lowest to 1 for the highest.

    (documents below + half of the others that are equal) / (n - 1); 0.5 where n is 1.

    Attributes:
      sorted_N: all values, float32: 4 bytes a document for each `rank` of an expression.
    """

    sorted_N: np.ndarray

    def __call__(self, value_N: np.ndarray) -> np.ndarray:
        n = len(self.sorted_N)
        if n <= 1:
            return np.where(np.isnan(value_N), np.nan, 0.5)
        below_N = np.searchsorted(self.sorted_N, value_N, side="left")
        up_to_N = np.searchsorted(self.sorted_N, value_N, side="right")
        rank_N = (below_N + up_to_N - 1) / (2 * (n - 1))
        return np.where(np.isnan(value_N), np.nan, rank_N)

    def describe(self) -> dict[str, Any]:
        return {"documents": len(self.sorted_N)}


@dataclasses.dataclass(frozen=True)
class ZScore:
    """(x - mean) / standard deviation over all n documents (not n - 1)."""

    documents: int
    mean: float
    deviation: float

    def __call__(self, value_N: np.ndarray) -> np.ndarray:
        return (value_N.astype(np.float64) - self.mean) / self.deviation

    def describe(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def fit_expression(expression: Expression, tables: Tables, num_rows: int) -> Expression:
    """The expression with its calls of `rank` and `zscore` fitted: one pass for each.

    Args:
      expression: as parsed.
      tables: of the expression's columns.
      num_rows: of all tables together, at most.

    Raises:
      ValueError: a `zscore` over values that are all the same.
    """
    for text, call in expression.corpus_calls.items():
        term = expression.term(call)
        values = (term(columns) for columns in tables())
        finite = (value_N[~np.isnan(value_N)] for value_N in values)
        assert isinstance(call.func, ast.Name)
        fitted = _rank(finite, num_rows) if call.func.id == "rank" else _zscore(finite, text)
        expression = dataclasses.replace(expression, fitted={**expression.fitted, text: fitted})
    return expression


def _rank(values: Iterable[np.ndarray], num_rows: int) -> Rank:
    value_N, n = np.empty(num_rows, np.float32), 0
    for more_N in values:
        value_N[n : n + len(more_N)] = more_N
        n += len(more_N)
    value_N = value_N[:n]
    value_N.sort()
    return Rank(value_N)


def _zscore(values: Iterable[np.ndarray], text: str) -> ZScore:
    n, total, squares = 0, Fraction(0), Fraction(0)
    for value_N in values:
        sums = exact_sums(value_N)
        n, total, squares = n + len(value_N), total + sums[0], squares + sums[1]
    variance = squares / n - (total / n) ** 2 if n else Fraction(0)
    if not variance:
        raise ValueError(
            f"{text} divides by the standard deviation, but its term is the same for all {n:,} "
            "documents. Leave it out."
        )
    return ZScore(n, float(total / n), math.sqrt(variance))


def exact_sums(value_N: np.ndarray) -> tuple[Fraction, Fraction]:
    """Sum and sum of squares of finite float32 values, without rounding.

    Each value is an integer of 24 bits times a power of two. Integers of the same power
    are added in int64, whose 63 bits hold the sums of 2 ** 37 of them; squares as the
    three products of their halves of 12 bits.
    """
    fraction_N, exponent_N = np.frexp(value_N.astype(np.float64))
    integer_N = (fraction_N * 2.0**_MANTISSA_BITS).astype(np.int64)
    power_N = exponent_N.astype(np.int64) - _MANTISSA_BITS - _LOWEST_EXPONENT
    high_N, low_N = np.divmod(np.abs(integer_N), 1 << _HALF_BITS)
    products = {
        0: low_N * low_N,
        _HALF_BITS + 1: high_N * low_N,
        2 * _HALF_BITS: high_N * high_N,
    }
    total = _shifted_sum(integer_N, power_N, 1)
    squares = sum(_shifted_sum(part_N, power_N, 2) << by for by, part_N in products.items())
    unit = Fraction(1, 1 << -_LOWEST_EXPONENT)
    return total * unit, squares * unit**2


def _shifted_sum(integer_N: np.ndarray, power_N: np.ndarray, times: int) -> int:
    """Sum of integer * 2 ** (times * power)."""
    sums = np.zeros(512, np.int64)
    np.add.at(sums, power_N, integer_N)
    return sum(int(sums[p]) << times * int(p) for p in np.flatnonzero(sums))
