"""A whole export as a pruning Source that stands for the files it was written from."""

from collections.abc import Sequence

import tensorflow as tf
from etils import epath

from pruning.documents import SourceFile
from pruning.sources.files import absolute, file_mark
from seqio_tasks.exported import EXPORT_JSON, TEXT_FEATURE, Export, read_export
from seqio_tasks.layout import FileSlice
from seqio_tasks.rows import ReaderElements
from seqio_tasks.slice_source import SliceSource


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
    export = _whole_export(absolute(folder))
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


class ExportSource(SliceSource):
    """The files that a whole export was written from, with the rows of the export.

    A row that had no text when it was exported has an empty one.
    """

    def __init__(self, export: Export, fields: Sequence[str]):
        described = {
            "spec": f"export:{export.folder}",
            "text_field": TEXT_FEATURE,
            "fields": list(fields),
            "split": "train",
        }
        self._exported = {f.source.path: f for f in export.files}
        slices = [
            FileSlice(
                path=str(export.folder / (f.path or "")),
                name=f.source.path,
                first_row=f.source.first_row,
                end_row=f.source.end_row,
                num_rows=f.source.num_rows,
            )
            for f in export.files
        ]
        # TensorFlow's own reader, because it compares the checksums of the records.
        super().__init__(
            described, slices, ReaderElements(tf.data.TFRecordDataset, as_examples=True)
        )

    def _file(self, file: FileSlice, known: SourceFile | None) -> SourceFile:
        exported = self._exported[file.name]
        if exported.path:
            try:
                found = f"has {file_mark(file.path)[0]:,} bytes"
            except FileNotFoundError:
                found = "does not exist"
            if found != f"has {exported.size:,} bytes":
                raise ValueError(
                    f"{file.path} {found}, expected {exported.size:,} bytes as when it was "
                    "exported. Export again, to another folder."
                )
        return exported.source


def _whole_export(folder: str) -> Export:
    path = epath.Path(folder) / EXPORT_JSON
    if not path.exists():
        raise FileNotFoundError(
            f"{folder} has no {EXPORT_JSON}. `prune export --output DIR` writes it when all files "
            "are there: name its folder, or let it finish."
        )
    export = read_export(path)
    if export.selection_digest:
        raise ValueError(
            f"{folder} was exported already pruned, by a selection with digest "
            f"{export.selection_digest[:12]}: its records are not the rows of its source files. "
            "Name a whole export (`prune export` without --selection)."
        )
    return export
