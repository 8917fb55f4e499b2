"""Expressions over score columns, such as `log_p_yes - log_p_no`: read, never executed.

They hold numbers, names of columns, + - * / **, a minus sign before a term, parentheses
and FUNCTIONS, with Python's precedence: -x ** 2 is -(x ** 2).
"""

import ast
import dataclasses
import difflib
import sys
from collections.abc import Collection, Iterator, Mapping

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
_OPERATORS: dict[type[ast.operator], np.ufunc] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expression:
    """A number per document, computed from its score columns.

    Attributes:
      text: normalised: the same for any spacing and needless parentheses.
      columns: it needs, in order of first mention.
      tree: of nodes that `parse_expression` lets pass.
    """

    text: str
    columns: tuple[str, ...]
    tree: ast.expr

    def __call__(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Values of one table, computed in float64.

        Args:
          columns: [N] each, of any float type.

        Returns:
          float32 [N]; NaN where a column is NaN, and where the result is not finite.
        """
        inputs = {name: np.asarray(columns[name], np.float64) for name in self.columns}
        with np.errstate(all="ignore"):
            value_N = _value(self.tree, inputs).astype(np.float32)
        # NaN ** 0 is 1: a missing number must not turn into a score.
        is_value_N = np.isfinite(value_N) & ~_any_nan(inputs)
        return np.where(is_value_N, value_N, np.float32(np.nan))

    def is_undefined(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """bool [N]: every column has a number, and the expression of them has none."""
        return np.isnan(self(columns)) & ~_any_nan({c: columns[c] for c in self.columns})


def parse_expression(text: str, known: Collection[str]) -> Expression:
    """Reads an expression.

    Args:
      text: to read.
      known: names of columns.

    Raises:
      ValueError: it is none, or names an unknown column or function, or no column at all.
        The message has the text with a mark at the place.
    """
    text = " ".join(text.split())
    try:
        tree = ast.parse(text, mode="eval").body
        columns = tuple(dict.fromkeys(_columns(tree, text, known)))
        normalised = ast.unparse(tree)
    except SyntaxError as error:
        raise ValueError(_at(text, (error.offset or 1) - 1, _grammar(known))) from None
    except (RecursionError, MemoryError):
        raise ValueError(
            f"The expression {text[:40]!r}… is nested too deeply to be read."
        ) from None
    if not columns:
        raise ValueError(f"The expression {text!r} has no column. {_grammar(known)}")
    return Expression(text=normalised, columns=columns, tree=tree)


def _columns(node: ast.expr, text: str, known: Collection[str]) -> Iterator[str]:
    """Every mention of a column. Lets nothing pass but what `_value` computes."""

    def refuse(problem: str) -> ValueError:
        # Python counts bytes.
        before = len(text.encode()[: node.col_offset].decode())
        return ValueError(_at(text, before, problem))

    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            if not abs(number) <= sys.float_info.max:
                raise refuse("This number does not fit into float64.")
        case ast.Name(id=name):
            if name not in known:
                raise refuse(f"The store has no score {name!r}; {_choices(name, known)}")
            yield name
        case ast.UnaryOp(op=ast.USub()):
            yield from _columns(node.operand, text, known)
        case ast.BinOp() if type(node.op) in _OPERATORS:
            yield from _columns(node.left, text, known)
            yield from _columns(node.right, text, known)
        case ast.Call(func=ast.Name(id=name), keywords=[]):
            if name not in FUNCTIONS:
                raise refuse(f"There is no function {name!r}; {_choices(name, FUNCTIONS)}")
            takes = FUNCTIONS[name].nin
            if len(node.args) != takes:
                raise refuse(f"{name} takes {takes} terms, here are {len(node.args)}.")
            for term in node.args:
                yield from _columns(term, text, known)
        case _:
            raise refuse(_grammar(known))


def _value(node: ast.expr, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    match node:
        case ast.Constant():
            return np.asarray(node.value, np.float64)
        case ast.Name():
            return columns[node.id]
        case ast.UnaryOp():
            return np.negative(_value(node.operand, columns))
        case ast.BinOp():
            terms = [_value(node.left, columns), _value(node.right, columns)]
            return _OPERATORS[type(node.op)](*terms)
        case ast.Call(func=ast.Name(id=name)):
            return FUNCTIONS[name](*(_value(term, columns) for term in node.args))
    raise AssertionError(f"_columns let {ast.dump(node)} pass")


def _any_nan(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.logical_or.reduce([np.isnan(column_N) for column_N in columns.values()])


def _at(text: str, place: int, problem: str) -> str:
    return f"{problem}\n  {text}\n  {' ' * place}^"


def _choices(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return f"known are {', '.join(known) or 'none'}.{meant}"


def _grammar(known: Collection[str]) -> str:
    return (
        "An expression has numbers, columns, + - * / **, parentheses and the functions "
        f"{', '.join(FUNCTIONS)}; columns here are {', '.join(known) or 'none'}."
    )
