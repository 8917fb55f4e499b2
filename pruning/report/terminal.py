"""Documents in a terminal: wrapped, coloured where it shows colours, plain in a pipe."""

import dataclasses
import itertools
import operator
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from pruning.report.markup import visible
from pruning.token_losses import TokenLoss, words

# Nats from which a token has the next background, pale yellow to red.
_SHADES = ((1.0, 230), (3.0, 222), (6.0, 215), (9.0, 209), (12.0, 203))
_MOST_COLUMNS = 100

# C1 controls begin escape sequences, too, and marks of direction reorder what stands around.
_UNSAFE = {*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
_SAFE = dict.fromkeys(_UNSAFE, 0x2426)


@dataclasses.dataclass(frozen=True)
class Terminal:
    """Where documents are shown.

    Attributes:
      width: in columns.
      colours: whether it shows them.
    """

    width: int
    colours: bool

    def bold(self, text: str) -> str:
        return self._style("1", text)

    def dim(self, text: str) -> str:
        return self._style("2", text)

    def wrapped(self, text: str) -> str:
        """A text as it may be shown, each of its lines wrapped."""
        lines = printable(text).expandtabs(4).split("\n")
        return "\n".join(self._fill(line) for line in lines)

    def shaded(self, tokens: Sequence[TokenLoss]) -> str:
        """Tokens on backgrounds by their loss; in a pipe the loss of each word behind it."""
        if not self.colours:
            shown = (
                text if nll is None else f"{text.rstrip()}[{nll:.1f}]{text[len(text.rstrip()) :]}"
                for text, nll in words(tokens)
            )
            return self.wrapped("".join(shown).strip())
        return self._wrapped_cells((self._shade(token), printable(token.text)) for token in tokens)

    @property
    def key(self) -> str:
        """What the backgrounds mean; empty without colours."""
        steps = (self._style(f"30;48;5;{colour}", f" {limit:g} ") for limit, colour in _SHADES)
        return f"nats from {''.join(steps)}" if self.colours else ""

    def _shade(self, token: TokenLoss) -> str:
        if token.nll is None:
            return "2"
        passed = [colour for limit, colour in _SHADES if token.nll >= limit]
        return f"30;48;5;{passed[-1]}" if passed else ""

    def _wrapped_cells(self, cells: Iterable[tuple[str, str]]) -> str:
        lines: list[list[tuple[str, str]]] = [[]]
        column = 0
        for style, text in cells:
            for part in text.splitlines(keepends=True):
                bare = part.rstrip("\n")
                if column + len(bare) > self.width and column:
                    lines.append([])
                    column = 0
                bare = bare if column else bare.lstrip(" ")
                lines[-1].append((style, bare))
                column += len(bare)
                if part.endswith("\n"):
                    lines.append([])
                    column = 0
        return "\n".join(map(self._joined, lines))

    def _joined(self, cells: Sequence[tuple[str, str]]) -> str:
        """One escape sequence for neighbours of one style."""
        runs = itertools.groupby(cells, key=operator.itemgetter(0))
        return "".join(self._style(style, "".join(t for _, t in run)) for style, run in runs)

    def _fill(self, line: str) -> str:
        return textwrap.fill(
            line, self.width, replace_whitespace=False, drop_whitespace=True, tabsize=4
        )

    def _style(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.colours and code and text else text


def this_terminal(width: int | None = None) -> Terminal:
    """Standard output; NO_COLOR in the environment switches colours off."""
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return Terminal(width or min(shutil.get_terminal_size().columns, _MOST_COLUMNS), colours)


def printable(text: str) -> str:
    """Text that moves no cursor: controls can be seen, and do nothing."""
    return visible(text).translate(_SAFE)


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        yield "  ".join([first.ljust(widths[0]), *cells]).rstrip()
