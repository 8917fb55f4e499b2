"""A whole export as a Source that stands for the files it was written from."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etils import epath

from pruning.documents import Document, SourceFile
from pruning.export_formats import FORMATS, TEXT_FEATURE, Reader
from pruning.exported import EXPORT_JSON, Export, ExportedFile, read_export
from pruning.sources.files import absolute, file_mark


def open_export(
    folder: str,
    *,
    text_field: str = TEXT_FEATURE,
    fields: Sequence[str] = (),
    split: str = "train",
    data_dir: str | None = None,
) -> "ExportSource":
    """Opens a folder written by `prune export`.

    Args:
      folder: with its export.json.
      text_field, split, data_dir: of the original source, or left out.
      fields: exported fields to carry along.

    Raises:
      ValueError: the export is a pruned one, or was made with other options.
      FileNotFoundError: the folder has no finished export.
    """
    export = finished_export(folder)
    if export.selection_digest:
        raise ValueError(
            f"{export.folder} was exported already pruned, by a selection with digest "
            f"{export.selection_digest[:12]}: its records are not the rows of its source files. "
            "Name a whole export (`prune export` without --selection)."
        )
    # What describes the original source describes its export too.
    original = export.settings["source"]
    for name, value, default in (
        ("text_field", text_field, TEXT_FEATURE),
        ("split", split, "train"),
        ("data_dir", data_dir, None),
    ):
        if value not in (default, original.get(name)):
            raise ValueError(
                f"{export.folder} was exported with {name} {original.get(name)!r}, and {name} "
                f"{value!r} was asked for. Leave {name} out, or export again with another."
            )
    return ExportSource(export, fields)


def finished_export(folder: str) -> Export:
    """Reads the export.json of a folder.

    Raises:
      FileNotFoundError: there is none.
    """
    path = epath.Path(absolute(folder)) / EXPORT_JSON
    if not path.exists():
        raise FileNotFoundError(
            f"{path.parent} has no {EXPORT_JSON}. `prune export --output DIR` writes it when all "
            "files are there: name its folder, or let it finish."
        )
    return read_export(path)


class ExportSource:
    """The files that a whole export was written from, with the rows of the export.

    A row that had no text when it was exported has an empty one.
    """

    def __init__(self, export: Export, fields: Sequence[str]):
        self._export = export
        self._fields = list(fields)
        self._files = {f.source.path: f for f in export.files}
        self._open: tuple[str, Reader] | None = None

    def describe(self) -> dict[str, Any]:
        return {
            "spec": f"export:{self._export.folder}",
            "text_field": TEXT_FEATURE,
            "fields": list(self._fields),
            "split": "train",
        }

    def files(self, known: Mapping[str, SourceFile] | None = None) -> list[SourceFile]:
        del known  # export.json has counted them
        for file in self._files.values():
            if file.path:
                self._check_size(file)
        return [file.source for file in self._files.values()]

    def read(self, path: str, first_row: int, num_rows: int) -> Iterator[Document]:
        source = self._files[path].source
        if not num_rows:
            return  # nothing of an empty file was written
        end_row = source.num_rows if source.end_row is None else source.end_row
        for document in self._reader(path)(first_row, num_rows):
            if source.first_row <= document.row < end_row:
                yield document
            else:
                yield dataclasses.replace(document, text=None, reason="outside_split")

    def _reader(self, path: str) -> Reader:
        # One file at a time is read on; a long corpus must not keep all its files open.
        if self._open is None or self._open[0] != path:
            exported = self._files[path]
            full_path = str(self._export.folder / (exported.path or ""))
            self._open = path, FORMATS[self._export.format].read(full_path, self._fields)
        return self._open[1]

    def _check_size(self, file: ExportedFile) -> None:
        path = str(self._export.folder / (file.path or ""))
        try:
            size, _ = file_mark(path)
        except FileNotFoundError:
            found = "does not exist"
        else:
            if size == file.size:
                return
            found = f"has {size:,} bytes"
        raise ValueError(
            f"{path} {found}, expected {file.size:,} bytes as when it was exported. "
            "Export again, to another folder."
        )
