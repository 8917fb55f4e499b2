"""Slices of files as a pruning Source."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pruning.documents import Document, SourceFile
from pruning.sources.files import file_mark
from seqio_tasks.layout import FileSlice
from seqio_tasks.rows import RowFormat, RowReader

_THREADS = 16


class SliceSource:
    """The files of one split; implements `pruning.documents.Source`."""

    def __init__(self, described: Mapping[str, Any], slices: Sequence[FileSlice], rows: RowFormat):
        self._described = dict(described)
        self._slices = _one_slice_per_file(slices, described["spec"])
        self._rows = rows
        self._open: tuple[str, RowReader] | None = None

    def describe(self) -> dict[str, Any]:
        return dict(self._described)

    def files(self, known: Mapping[str, SourceFile] | None = None) -> Sequence[SourceFile]:
        known = known or {}
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(lambda s: self._file(s, known.get(s.name)), self._slices.values()))

    def read(self, path: str, first_row: int, num_rows: int) -> Iterator[Document]:
        file = self._slices[path]
        asked_for = range(file.first_row, first_row + num_rows)
        if file.end_row is not None:
            asked_for = range(file.first_row, file.end_row)
        for document in self._reader(path)(first_row, num_rows):
            if document.row in asked_for:
                yield document
            else:
                yield dataclasses.replace(document, text=None, reason="outside_split")

    def _file(self, file: FileSlice, known: SourceFile | None) -> SourceFile:
        size, mark = file_mark(file.path)
        num_rows = file.num_rows
        if num_rows is None and known and (known.size, known.mark) == (size, mark):
            num_rows = known.num_rows
        if num_rows is None:
            num_rows = self._rows.count(file.path)
        return SourceFile(
            path=file.name,
            size=size,
            mark=mark,
            num_rows=num_rows,
            first_row=min(file.first_row, num_rows),
            end_row=file.end_row,
        )

    def _reader(self, path: str) -> RowReader:
        # One file at a time is read on; a long corpus must not keep all its files open.
        if self._open is None or self._open[0] != path:
            fields = self._described["text_field"], self._described["fields"]
            self._open = path, self._rows.open(self._slices[path].path, *fields)
        return self._open[1]


def _one_slice_per_file(slices: Sequence[FileSlice], spec: str) -> dict[str, FileSlice]:
    by_name: dict[str, FileSlice] = {}
    for file in sorted(slices, key=lambda s: (s.name, s.first_row)):
        before = by_name.get(file.name)
        if before and before.end_row != file.first_row:
            raise ValueError(
                f"{spec} asks for two separate ranges of {file.name}: rows {before.first_row} to "
                f"{before.end_row} and {file.first_row} to {file.end_row}. Name one range; a "
                "task may still read several, pruned by a selection on the whole split."
            )
        by_name[file.name] = (
            dataclasses.replace(file, first_row=before.first_row) if before else file
        )
    return by_name
