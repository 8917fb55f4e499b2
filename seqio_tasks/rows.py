"""What a row of a file is, seen from Python: the formats that seqio sources read.

Each format counts the rows of a file and reads ranges of them as documents.
The readers of training jobs (`layout.py`) see the same rows under the same numbers.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from pruning.documents import Document
from pruning.sources.lines import LineReader, count_rows
from pruning.tfrecord import RecordReader, count_records

OpenFile = Callable[[str], tf.data.Dataset]

# Elements taken from a graph at once.
_BATCH = 256


class RowFormat(Protocol):
    """Rows of one kind of file."""

    def count(self, path: str) -> int:
        """Rows of the file. Reads all of it."""
        ...

    def open(self, path: str, text_field: str, fields: Sequence[str]) -> "RowReader":
        """A reader of one file's rows; it keeps its place between calls."""
        ...


class RowReader(Protocol):
    """Reads documents `first_row .. first_row + num_rows - 1` of one file."""

    def __call__(self, first_row: int, num_rows: int) -> Iterator[Document]: ...


class TextLines:
    """A row is a line, and its text the line's bytes."""

    def count(self, path: str) -> int:
        return count_rows(path)

    def open(self, path: str, text_field: str, fields: Sequence[str]) -> RowReader:
        lines = LineReader(path)

        def read(first_row: int, num_rows: int) -> Iterator[Document]:
            for row, line in enumerate(lines.read(first_row, num_rows), first_row):
                if line is None:
                    yield Document(row=row, text=None, reason="truncated_file")
                else:
                    yield Document(row=row, text=line, fields=dict.fromkeys(fields))

        return read


class ExampleRecords:
    """A row is a `tf.train.Example` in a TFRecord file."""

    def count(self, path: str) -> int:
        return count_records(path)

    def open(self, path: str, text_field: str, fields: Sequence[str]) -> RowReader:
        records = RecordReader(path)

        def read(first_row: int, num_rows: int) -> Iterator[Document]:
            for row, record in enumerate(records.read(first_row, num_rows), first_row):
                if record is None:
                    yield Document(row=row, text=None, reason="truncated_file")
                else:
                    yield _example_document(row, record, text_field, fields)

        return read


@dataclasses.dataclass(frozen=True)
class ReaderElements:
    """A row is an element of what a seqio source's own reader gives for a file.

    Attributes:
      open_file: the reader, which must give the same elements every time.
      as_examples: whether the elements are serialized `tf.train.Example`s.
    """

    open_file: OpenFile
    as_examples: bool = False

    def count(self, path: str) -> int:
        return int(self.open_file(path).reduce(np.int64(0), lambda n, _: n + 1))

    def open(self, path: str, text_field: str, fields: Sequence[str]) -> RowReader:
        dataset = self.open_file(path)
        cursor: tuple[int, Iterator[Any]] | None = None

        def read(first_row: int, num_rows: int) -> Iterator[Document]:
            nonlocal cursor
            # Taken, not shared: a second range read meanwhile gets its own iterator.
            taken, cursor = cursor, None
            if taken is None or taken[0] != first_row:
                taken = first_row, _elements(dataset.skip(first_row))
            elements = taken[1]
            for row in range(first_row, first_row + num_rows):
                try:
                    element = next(elements)
                except StopIteration:
                    raise ValueError(
                        f"{path} ends after {row:,} rows, and a row after that was asked for. "
                        "The file has changed since its rows were counted."
                    ) from None
                except tf.errors.DataLossError as error:
                    raise ValueError(
                        f"{path} is damaged at or shortly after row {row:,}: a record's checksum "
                        "does not fit, or the file ends within it. Restore the file, or write it again."
                    ) from error
                if self.as_examples:
                    yield _example_document(row, element, text_field, fields)
                else:
                    yield _element_document(row, element, text_field, fields)
            cursor = first_row + num_rows, elements

        return read


def _elements(dataset: tf.data.Dataset) -> Iterator[Any]:
    if dataset.element_spec != tf.TensorSpec([], tf.string):
        return iter(dataset.as_numpy_iterator())
    # A step of the iterator costs 0.1 ms, whatever it gives.
    return itertools.chain.from_iterable(dataset.batch(_BATCH).as_numpy_iterator())


def _example_document(row: int, record: bytes, text_field: str, fields: Sequence[str]) -> Document:
    try:
        features = tf.train.Example.FromString(record).features.feature
    except Exception:  # protobuf's DecodeError, whose module depends on its version
        return Document(row=row, text=None, reason="broken_record")
    text, reason = None, None
    if text_field not in features or not features[text_field].WhichOneof("kind"):
        reason = "missing_field"
    elif not features[text_field].HasField("bytes_list"):
        reason = "not_text"
    elif len(features[text_field].bytes_list.value) != 1:
        reason = "missing_field" if not features[text_field].bytes_list.value else "not_text"
    else:
        text = features[text_field].bytes_list.value[0]
    carried = {name: _feature_text(features[name]) if name in features else None for name in fields}
    return Document(row=row, text=text, reason=reason, fields=carried)


def _feature_text(feature: tf.train.Feature) -> str | None:
    kind = feature.WhichOneof("kind")
    return _as_text(list(getattr(feature, kind).value)) if kind else None


def _element_document(row: int, element: Any, text_field: str, fields: Sequence[str]) -> Document:
    if not isinstance(element, Mapping):
        element = {text_field: element}
    carried = {
        name: _as_text(np.ravel(element[name]).tolist()) for name in fields if name in element
    }
    fields_of_row = {**dict.fromkeys(fields), **carried}
    if text_field not in element:
        return Document(row=row, text=None, reason="missing_field", fields=fields_of_row)
    text = element[text_field]
    if not isinstance(text, bytes):
        return Document(row=row, text=None, reason="not_text", fields=fields_of_row)
    return Document(row=row, text=text, fields=fields_of_row)


def _as_text(values: list[Any]) -> str | None:
    texts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values]
    return ", ".join(texts) if texts else None
