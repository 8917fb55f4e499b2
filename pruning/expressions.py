"""Expressions over score columns, such as `log_p_yes - log_p_no`, and their values.

They hold numbers, names of columns (`nll`, or `ask.nll` of the store named `ask`),
+ - * / **, a minus sign before a term, parentheses, FUNCTIONS, and CORPUS_FUNCTIONS of
a term and all documents, with Python's precedence: -x ** 2 is -(x ** 2).
"""

import ast
import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

FUNCTIONS: dict[str, np.ufunc] = {
    "abs": np.absolute,
    "exp": np.exp,
    "log": np.log,
    "logaddexp": np.logaddexp,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "sqrt": np.sqrt,
}
# They look at the whole corpus first: see `pruning.corpus_statistics`.
CORPUS_FUNCTIONS = ("rank", "zscore")
OPERATORS: dict[type[ast.operator], np.ufunc] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}


class Fitted(Protocol):
    """What a function of CORPUS_FUNCTIONS makes of its term, once it knows the corpus."""

    def __call__(self, value_N: np.ndarray) -> np.ndarray:
        """float64 [N] of float32 [N]; NaN where that is NaN."""
        ...

    def describe(self) -> dict[str, Any]:
        """What it found, as JSON."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expression:
    """A number per document, computed from its score columns.

    Attributes:
      text: normalised: the same for any spacing and needless parentheses.
      columns: it needs, in order of first mention.
      tree: of nodes that `parse_expression` lets pass.
      fitted: what each call of CORPUS_FUNCTIONS makes of its term, by text.
    """

    text: str
    columns: tuple[str, ...]
    tree: ast.expr
    fitted: Mapping[str, Fitted] = dataclasses.field(default_factory=dict)

    @property
    def corpus_calls(self) -> dict[str, ast.Call]:
        """The calls of CORPUS_FUNCTIONS by their text, inner ones first."""
        calls = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        of_corpus = [node for node in reversed(calls) if function_name(node) in CORPUS_FUNCTIONS]
        return {ast.unparse(node): node for node in of_corpus}

    def term(self, call: ast.Call) -> "Expression":
        """The term of a call, with a value where the whole expression has all its columns."""
        return dataclasses.replace(self, text=ast.unparse(call.args[0]), tree=call.args[0])

    def __call__(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Values of one table, computed in float64.

        Args:
          columns: [N] each, of any float type.

        Returns:
          float32 [N]; NaN where a column is NaN, and where the result is not finite.
        """
        with np.errstate(all="ignore"):
            if self.columns == (self.text,):  # nothing to compute
                value_N = columns[self.text].astype(np.float32, copy=False)
                is_value_N = np.isfinite(value_N)
            else:
                inputs = {name: np.asarray(columns[name], np.float64) for name in self.columns}
                value_N = _value(self.tree, inputs, self.fitted).astype(np.float32)
                # NaN ** 0 is 1: a missing number must not turn into a score.
                is_value_N = np.isfinite(value_N) & ~_any_nan(inputs)
        if is_value_N.all():
            return value_N
        return np.where(is_value_N, value_N, np.float32(np.nan))

    def is_undefined(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """bool [N]: every column has a number, and the expression of them has none."""
        return np.isnan(self(columns)) & ~_any_nan({c: columns[c] for c in self.columns})


def _value(
    node: ast.expr,
    columns: Mapping[str, np.ndarray],
    fitted: Mapping[str, Fitted],
) -> np.ndarray:
    def value(term: ast.expr) -> np.ndarray:
        return _value(term, columns, fitted)

    match node:
        case ast.Constant():
            return np.asarray(node.value, np.float64)
        case ast.Name():
            return columns[node.id]
        case ast.Attribute():
            return columns[ast.unparse(node)]
        case ast.UnaryOp():
            return np.negative(value(node.operand))
        case ast.BinOp():
            return OPERATORS[type(node.op)](value(node.left), value(node.right))
        case ast.Call() if function_name(node) in CORPUS_FUNCTIONS:
            # The float32 that --score would rank by.
            term_N = value(node.args[0]).astype(np.float32)
            term_N = np.where(np.isfinite(term_N), term_N, np.float32(np.nan))
            return fitted[ast.unparse(node)](term_N)
        case ast.Call(func=ast.Name(id=name)):
            return FUNCTIONS[name](*(value(term) for term in node.args))
    raise AssertionError(f"`parse_expression` let {ast.dump(node)} pass")


def function_name(node: ast.Call) -> str:
    """The name that is called; empty if something else than a name is."""
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _any_nan(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.logical_or.reduce([np.isnan(column_N) for column_N in columns.values()])
