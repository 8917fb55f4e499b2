"""Progress of everything that takes more than a few seconds: rate and time left."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from tqdm import tqdm

if TYPE_CHECKING:
    from pruning.scorers.scorer import Corpus, ScorableDocuments

# Between two lines in a log file, where a bar cannot be redrawn.
LOG_INTERVAL_SECONDS = 15.0


class Advance(Protocol):
    """Reports `n` more units done, and what else a reader wants to see."""

    def __call__(self, n: int, **also: str) -> None: ...


@contextlib.contextmanager
def progress(what: str, total: int | None, unit: str, done: int = 0) -> Iterator[Advance]:
    """A bar on a terminal, a line now and then in a log.

    Args:
      what: is being done.
      total: units in all, or None where nobody knows.
      unit: plural, such as "documents".
      done: units that an earlier run has finished; they do not count for the rate.
    """
    on_terminal = sys.stderr.isatty()
    with _Bar(
        desc=what,
        total=total,
        initial=done,
        unit=f" {unit}",
        unit_scale=unit == "bytes",
        file=sys.stderr if on_terminal else _OneLineEach(sys.stderr),
        mininterval=0.2 if on_terminal else LOG_INTERVAL_SECONDS,
        miniters=1,
        dynamic_ncols=on_terminal,
        ascii=not on_terminal,
    ) as bar:

        def advance(n: int, **also: str) -> None:
            if also:
                bar.set_postfix(also, refresh=False)
            bar.update(n)

        yield advance


def watched(what: str, corpus: "Corpus") -> Iterator["ScorableDocuments"]:
    """A corpus whose documents are counted as they go by."""
    with progress(what, corpus.num_rows, "documents") as advance:
        left = corpus.num_rows
        for documents in corpus:
            yield documents
            advance(len(documents.rows_N))
            left -= len(documents.rows_N)
        advance(left)  # records that cannot be scored


class _Bar(tqdm):
    """A bar that writes `2.50s/steps` where tqdm leaves the space before its unit in."""

    @staticmethod
    def format_meter(*args: Any, **kwargs: Any) -> str:
        return tqdm.format_meter(*args, **kwargs).replace("s/ ", "s/")


class _OneLineEach:
    """A log file's view of a progress bar: every redraw is a line of its own."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        line = text.strip("\r\n ")
        return self._stream.write(line + "\n") if line else 0

    def flush(self) -> None:
        self._stream.flush()
