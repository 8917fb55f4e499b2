"""Reads `--where`, and checks that a selection belongs to the source."""

from collections.abc import Sequence

from pruning.documents import SourceFile
from pruning.keep_bits import Selection, read_selection
from pruning.prepared_units import Where


def open_where(where: str | None, files: Sequence[SourceFile]) -> Where | None:
    """The rows that `--where SELECTION` or `--where '!SELECTION'` takes.

    Args:
      where: folder of a selection; with `!` before it, the rows it drops.
      files: of the source.

    Raises:
      ValueError: the selection has other files, sizes or record counts.
    """
    if where is None:
        return None
    selection = read_selection(where.removeprefix("!"))
    check_same_files(selection, files, f"--where {where}")
    return Where(selection, inverted=where.startswith("!"))


def check_same_files(selection: Selection, files: Sequence[SourceFile], what: str) -> None:
    """Refuses a selection that was made on other files than those of the source.

    Args:
      selection: whose files are expected.
      files: of the source, all of them.
      what: the selection as the user named it, for the message.

    Raises:
      ValueError: the selection has other files, sizes or record counts.
    """
    found = {f.path: (f.size, f.num_rows) for f in files}
    expected = {g.path: (g.size, g.num_rows) for g in selection.files.values()}
    for path in sorted({*found} | {*expected}):
        if found.get(path) != expected.get(path):
            raise ValueError(
                f"{what} does not belong to this source: {path} has (bytes, records) "
                f"{found.get(path)} in the source and {expected.get(path)} in the selection. "
                "Make the selection on this corpus."
            )
