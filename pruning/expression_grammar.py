"""The grammar of expressions: they are read, never executed."""

import ast
import difflib
import sys
from collections.abc import Collection, Iterator

from pruning.expressions import CORPUS_FUNCTIONS, FUNCTIONS, OPERATORS, Expression

_ARGUMENTS = {name: f.nin for name, f in FUNCTIONS.items()} | dict.fromkeys(CORPUS_FUNCTIONS, 1)


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
        case ast.Attribute(value=ast.Name(id=store)) if any(
            name.startswith(f"{store}.") for name in known
        ):
            name = f"{store}.{node.attr}"
            if name not in known:
                raise refuse(f"The stores have no score {name!r}; {_choices(name, known)}")
            yield name
        case ast.UnaryOp(op=ast.USub()):
            yield from _columns(node.operand, text, known)
        case ast.BinOp() if type(node.op) in OPERATORS:
            yield from _columns(node.left, text, known)
            yield from _columns(node.right, text, known)
        case ast.Call(func=ast.Name(id=name), keywords=[]):
            if name not in _ARGUMENTS:
                raise refuse(f"There is no function {name!r}; {_choices(name, _ARGUMENTS)}")
            takes = _ARGUMENTS[name]
            if len(node.args) != takes:
                raise refuse(f"{name} takes {takes} terms, here are {len(node.args)}.")
            for term in node.args:
                yield from _columns(term, text, known)
        case _:
            raise refuse(_grammar(known))


def _at(text: str, place: int, problem: str) -> str:
    return f"{problem}\n  {text}\n  {' ' * place}^"


def _choices(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return f"known are {', '.join(known) or 'none'}.{meant}"


def _grammar(known: Collection[str]) -> str:
    return (
        "An expression has numbers, columns, + - * / **, parentheses and the functions "
        f"{', '.join(_ARGUMENTS)}; columns here are {', '.join(known) or 'none'}."
    )
