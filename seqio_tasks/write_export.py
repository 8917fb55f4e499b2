"""Writes the files of an export: TFRecord files of tf.Example, and export.json."""

import collections
import dataclasses
import os
from collections.abc import Iterator

import tensorflow as tf

from pruning.documents import Document, Source, SourceFile
from pruning.hashing import text_hash
from pruning.keep_bits import Selection
from pruning.progress import Advance
from pruning.publishing import publish, publish_bytes, temporary_name
from pruning.sources.files import file_mark
from seqio_tasks.exported import TEXT_FEATURE, Export, ExportedFile

# Rows read at a time; between two reads the file's place is remembered.
_ROWS = 16_384


def write_file(
    source: Source,
    file: SourceFile,
    so_far: Export,
    selection: Selection | None,
    advance: Advance,
) -> Export:
    """Writes one source file as a TFRecord file, and returns the export with that file in it.

    Raises:
      ValueError: a guard row of the selection has another text.
    """
    counts = collections.Counter(so_far.counts)
    name = f"{file.path}.tfrecord"
    path = so_far.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    records = 0
    try:
        with tf.io.TFRecordWriter(os.fspath(temporary)) as writer:
            for document in _chosen(source, file, selection, advance):
                if document.text is None:
                    counts[document.reason or "missing_field"] += 1
                writer.write(_example(document))
                records += 1
        if records:
            publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if records:
        size, _ = file_mark(os.fspath(path))
        exported = ExportedFile(path=name, size=size, num_records=records, source=file)
    else:
        # An empty file would be an empty share for some reader, and training on nothing hangs.
        exported = ExportedFile(path=None, size=0, num_records=0, source=file)
    return dataclasses.replace(so_far, files=(*so_far.files, exported), counts=dict(counts))


def _chosen(
    source: Source, file: SourceFile, selection: Selection | None, advance: Advance
) -> Iterator[Document]:
    keep_N = None if selection is None else selection.keep(file.path)
    guard = None if selection is None else selection.files[file.path]
    for first_row in range(0, file.num_rows, _ROWS):
        num_rows = min(_ROWS, file.num_rows - first_row)
        for document in source.read(file.path, first_row, num_rows):
            expected = guard.row_hashes.get(document.row) if guard else None
            if expected is not None and expected != text_hash(document.text or b""):
                raise ValueError(
                    f"Row {document.row} of {file.path} has another text than when the selection "
                    "was made. Score and select again."
                )
            if keep_N is None or keep_N[document.row]:
                yield document
        advance(num_rows)


def _example(document: Document) -> bytes:
    values = {name: (value or "").encode() for name, value in document.fields.items()}
    values[TEXT_FEATURE] = document.text or b""
    feature = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in values.items()
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def write_json(export: Export, name: str) -> None:
    """Writes what is known of the export to a file in its folder, in one step."""
    path = export.folder / name
    publish_bytes(path, export.to_json().encode())
