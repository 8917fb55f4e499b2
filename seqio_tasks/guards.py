"""Checks, before anything is read, that a selection fits the files of a task.

Counts of files whose format tells them only by reading are left to the graph
(`kept_records.py`), which fails at the end of a file that has others.
"""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pruning.export_formats import TEXT_FEATURE
from pruning.exported import ExportedFile, find_export
from pruning.hashing import text_hash
from pruning.keep_bits import FileGuard, Selection
from pruning.sources.files import absolute, file_mark
from seqio_tasks.layout import FileSlice, Layout

_THREADS = 16
_MOST_PROBLEMS_SHOWN = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuardedFile:
    """A slice of a file of the task, and what the selection says about that file.

    Attributes:
      slice: what the task reads.
      guard: the selection's entry, whose path may be that of the exported file's source.
      size: bytes that the file must have on disk.
      text_field: the feature that holds the hashed text.
    """

    slice: FileSlice
    guard: FileGuard
    size: int
    text_field: str

    @property
    def end_row(self) -> int:
        return self.guard.num_rows if self.slice.end_row is None else self.slice.end_row

    def num_kept(self, selection: Selection) -> int:
        """Kept rows within the slice. Reads keep bits only for a part of a file."""
        if (self.slice.first_row, self.end_row) == (0, self.guard.num_rows):
            return self.guard.num_kept
        return int(selection.keep(self.guard.path)[self.slice.first_row : self.end_row].sum())


def match_files(selection: Selection, layout: Layout) -> list[GuardedFile]:
    """Finds each file of the task in the selection, by its own name or through export.json.

    Raises:
      ValueError: the task reads files that the selection does not know, or a
        pruned export.
    """
    missing = [s.name for s in layout.slices if s.name not in selection.files]
    if missing:
        return _match_exported(selection, layout, missing)
    text_field = selection.source.get("text_field", "text")
    guards = [selection.files[s.name] for s in layout.slices]
    return [
        GuardedFile(slice=s, guard=g, size=g.size, text_field=text_field)
        for s, g in zip(layout.slices, guards, strict=True)
    ]


def _match_exported(
    selection: Selection, layout: Layout, missing: Sequence[str]
) -> list[GuardedFile]:
    export = find_export(layout.root)
    if export is None:
        raise ValueError(
            f"Selection {selection.folder} has no file {missing[0]!r}, which the task reads below "
            f"{layout.root} ({len(missing)} of {len(layout.slices)} files are not in it). The "
            f"selection was made on {dict(selection.source)} and has files such as "
            f"{next(iter(selection.files))!r}. Make a selection on what the task reads."
        )
    if export.selection_digest:
        raise ValueError(
            f"{export.folder} was exported already pruned, by a selection with digest "
            f"{export.selection_digest[:12]}: its records are not the rows that selection "
            f"{selection.folder} (digest {selection.digest[:12]}) speaks of. Use the task as it "
            "is, or export the whole source (`prune export` without --selection) and prune that."
        )
    by_path = {absolute(str(export.folder / f.path)): f for f in export.files if f.path}
    return [_match_one(selection, str(export.folder), s, by_path) for s in layout.slices]


def _match_one(
    selection: Selection, folder: str, file: FileSlice, by_path: dict[str, ExportedFile]
) -> GuardedFile:
    exported = by_path.get(absolute(file.path))
    if exported is None:
        raise ValueError(
            f"{file.path} is neither in selection {selection.folder} nor in {folder}/export.json. "
            "Leave it out of the task's files, or export it with the rest."
        )
    source = exported.source
    guard = selection.files.get(source.path)
    if guard is None:
        raise ValueError(
            f"{file.path} was exported from {source.path!r}, which selection {selection.folder} "
            f"does not have; it was made on {dict(selection.source)}."
        )
    found, expected = (source.size, source.num_rows), (guard.size, guard.num_rows)
    if found != expected:
        raise ValueError(
            f"{file.path} was exported from {source.path!r} when that had {found[0]:,} bytes and "
            f"{found[1]:,} rows; selection {selection.folder} was made when it had "
            f"{expected[0]:,} bytes and {expected[1]:,} rows. Export again, or score and select "
            "again, so that both are of the same corpus."
        )
    return GuardedFile(
        slice=dataclasses.replace(file, num_rows=exported.num_records),
        guard=guard,
        size=exported.size,
        text_field=TEXT_FEATURE,
    )


def check_files(selection: Selection, layout: Layout, files: Sequence[GuardedFile]) -> None:
    """Compares sizes, counts, keep bits and the texts of guard rows with the selection's.

    Raises:
      ValueError: a file differs, or keep bits have changed.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        problems = [p for p in pool.map(lambda f: _problem(selection, layout, f), files) if p]
    if problems:
        shown = "; ".join(problems[:_MOST_PROBLEMS_SHOWN])
        more = len(problems) - _MOST_PROBLEMS_SHOWN
        raise ValueError(
            f"Selection {selection.folder} was made on another corpus than the one below "
            f"{layout.root}: {shown}{f'; and {more} more files differ' if more > 0 else ''}. "
            "Restore those files, or score and select again on the corpus as it is."
        )


def _problem(selection: Selection, layout: Layout, file: GuardedFile) -> str | None:
    path, guard = file.slice.path, file.guard
    try:
        size, _ = file_mark(path)
    except FileNotFoundError:
        return f"{path} does not exist"
    if size != file.size:
        return f"{path} has {size:,} bytes, expected {file.size:,}"
    if file.slice.num_rows not in (None, guard.num_rows):
        return f"{path} has {file.slice.num_rows:,} records, expected {guard.num_rows:,}"
    selection.keep(guard.path)  # its digest is checked on the way
    return _text_problem(layout, file)


def _text_problem(layout: Layout, file: GuardedFile) -> str | None:
    hashes = file.guard.row_hashes
    if not hashes:
        return None
    path = file.slice.path
    try:
        read = layout.rows.open(path, file.text_field, ())
        for document in read(0, max(hashes) + 1):
            if document.row not in hashes:
                continue
            found = None if document.text is None else text_hash(document.text)
            if found != hashes[document.row]:
                return (
                    f"row {document.row} of {path} has text hash {found}, "
                    f"expected {hashes[document.row]}"
                )
    except ValueError as error:
        return str(error).rstrip(".")
    return None
