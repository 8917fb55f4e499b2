"""Parquet files: each row is a document with its text in one column."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pruning.documents import Document
from pruning.sources.file_source import FileSource, field_text
from pruning.sources.files import file_system
from pruning.sources.ranges import RangeReader

_BATCH_ROWS = 1024
_TEXT_TYPES = (
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.binary(),
    pa.large_binary(),
    pa.binary_view(),
)

Record = tuple[bytes | None, tuple[Any, ...]]


class ParquetSource(FileSource[Record]):
    """A `Source` of Parquet files; only the columns that are needed are read.

    The text column holds strings or binary. Text is taken as the bytes that
    are stored, whether they are valid UTF-8 or not.
    """

    kind = "parquet"

    def _count_rows(self, path: str) -> int:
        file = _open_file(path)
        _check_columns(path, file.schema_arrow, self._text_field, self._fields)
        return file.metadata.num_rows

    def _open(self, path: str) -> RangeReader[Record]:
        return ParquetReader(path, self._text_field, self._fields)

    def _document(self, row: int, record: Record) -> Document:
        text, values = record
        return Document(
            row=row,
            text=text,
            reason="missing_field" if text is None else None,
            fields=dict(zip(self._fields, map(field_text, values), strict=True)),
        )


class ParquetReader(RangeReader[Record]):
    """Reads ranges of rows as (text, carried values); starts at row groups.

    Raises:
      ValueError: the file is no Parquet file, has no such column, or the text
        column holds something else than text.
    """

    def __init__(self, path: str, text_field: str, fields: Iterable[str]):
        super().__init__(path)
        self._columns = [text_field, *fields]
        self._file = _open_file(path)
        _check_columns(path, self._file.schema_arrow, text_field, self._columns[1:])
        groups = range(self._file.num_row_groups)
        sizes = (self._file.metadata.row_group(g).num_rows for g in groups)
        self._group_starts = list(itertools.accumulate(sizes, initial=0))

    def _open_at(self, first_row: int) -> tuple[int, Iterator[Record]]:
        last_group = max(self._file.num_row_groups - 1, 0)
        group = 0
        while group < last_group and self._group_starts[group + 1] <= first_row:
            group += 1
        return self._group_starts[group], self._records(group)

    def _records(self, first_group: int) -> Iterator[Record]:
        groups = range(first_group, self._file.num_row_groups)
        # One name may lead into another (`meta` and `meta.domain`), and Arrow takes each once.
        columns = list(dict.fromkeys(self._columns))
        for batch in self._file.iter_batches(_BATCH_ROWS, row_groups=groups, columns=columns):
            texts, *values = (_values(batch, name) for name in self._columns)
            carried = zip(*values, strict=True) if values else itertools.repeat((), len(texts))
            yield from zip(texts, carried, strict=True)


def _open_file(path: str) -> pq.ParquetFile:
    fs, fs_path = file_system(path)
    try:
        return pq.ParquetFile(fs_path, filesystem=fs)
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"{path} cannot be read as Parquet ({str(error).rstrip('.')}). If it was cut off while it was written, "
            "write it again: a Parquet file without its end has no readable rows."
        ) from error


def _check_columns(path: str, schema: pa.Schema, text_field: str, fields: Iterable[str]) -> None:
    for name in (text_field, *fields):
        if _column_type(schema, name) is None:
            raise ValueError(
                f"{path} has no column {name!r}; it has {', '.join(schema.names)}. "
                "Name one of them, or one inside a struct as `struct.field`."
            )
    text_type = _column_type(schema, text_field)
    if not _is_text(text_type):
        raise ValueError(
            f"Column {text_field!r} of {path} holds {text_type}; a text is a string or binary. "
            f"The columns are {', '.join(schema.names)}."
        )


def _column_type(schema: pa.Schema, name: str) -> pa.DataType | None:
    if name in schema.names:
        return schema.field(name).type
    top, *inner = name.split(".")
    found = schema.field(top).type if top in schema.names else None
    for part in inner:
        if found is None or not pa.types.is_struct(found) or found.get_field_index(part) < 0:
            return None
        found = found.field(part).type
    return found


def _values(batch: pa.RecordBatch, name: str) -> list[Any]:
    """A column as Python values; strings as their stored bytes, which may not be UTF-8."""
    if name in batch.schema.names:
        column = batch.column(name)
    else:
        top, *inner = name.split(".")
        column = pc.struct_field(batch.column(top), inner)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if _is_text(column.type):
        column = column.cast(pa.large_binary())
    return column.to_pylist()


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return kind in _TEXT_TYPES
