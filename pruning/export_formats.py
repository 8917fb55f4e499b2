"""The formats of exported files: how documents are written, and read back.

TFRecord and ArrayRecord hold `tf.train.Example`s, and any bytes. JSON is text,
so a text that is not valid UTF-8 cannot stand in JSON Lines. Parquet has a
column of strings, and one of binary in a file with such a text. The same
documents give the same bytes: nothing depends on when or where they are written.
"""

import dataclasses
import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from pruning import array_record
from pruning.documents import Document
from pruning.examples import decode_example, encode_example
from pruning.sources.file_source import FileSource
from pruning.sources.files import absolute
from pruning.sources.jsonl import JsonlSource
from pruning.sources.parquet import ParquetSource
from pruning.tfrecord import RecordReader, frame

# The feature, field or column that holds the text in every exported file, whatever its name was.
TEXT_FEATURE = "text"

_GROUP_ROWS = 16_384
_GROUP_BYTES = 64 << 20

# Documents `first_row .. first_row + num_rows - 1` of one exported file.
Reader = Callable[[int, int], Iterator[Document]]


class NotTextError(ValueError):
    """A text is not valid UTF-8, which the file cannot hold."""


class Writer(Protocol):
    """Writes documents to a file."""

    def write(self, document: Document) -> None:
        """Adds a document; one without text gets an empty text.

        Raises:
          NotTextError: the text cannot be written. Nothing was.
        """
        ...

    def close(self) -> None: ...


Compress = Callable[[IO[bytes]], IO[bytes]]
OpenWriter = Callable[[str, Sequence[str]], Writer]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """One format.

    Attributes:
      write: opens a writer of the local file at a path, for documents with these fields.
      read: opens a reader of the file at a path, of these fields.
      write_any_bytes: in place of `write` in a file with a text that is not valid UTF-8;
        None where the format has no place for it.
    """

    write: OpenWriter
    read: Callable[[str, Sequence[str]], Reader]
    write_any_bytes: OpenWriter | None = None


class _TFRecordWriter:
    def __init__(self, path: str, fields: Sequence[str]):
        self._file = open(path, "wb")  # noqa: SIM115 closed in `close`
        self._fields = fields

    def write(self, document: Document) -> None:
        self._file.write(frame(_example(document, self._fields)))

    def close(self) -> None:
        self._file.close()


class _ArrayRecordWriter:
    def __init__(self, path: str, fields: Sequence[str]):
        self._writer = array_record.open_writer(path)
        self._fields = fields

    def write(self, document: Document) -> None:
        self._writer.write(_example(document, self._fields))

    def close(self) -> None:
        self._writer.close()


class _JsonlWriter:
    def __init__(self, path: str, fields: Sequence[str], compress: Compress | None = None):
        self._file = open(path, "wb")  # noqa: SIM115 closed in `close`
        self._stream = compress(self._file) if compress else self._file
        self._fields = fields

    def write(self, document: Document) -> None:
        record = {TEXT_FEATURE: _string(document), **_carried(document, self._fields)}
        self._stream.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._file.close()


def _gzip(file: IO[bytes]) -> IO[bytes]:
    # The header of a gzip file may hold a name and a time.
    return gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6)  # type: ignore[return-value]


def _zstd(file: IO[bytes]) -> IO[bytes]:
    return pa.CompressedOutputStream(pa.PythonFile(file, "w"), "zstd")


class _ParquetWriter:
    def __init__(self, path: str, fields: Sequence[str], any_bytes: bool = False):
        self._fields = fields
        self._any_bytes = any_bytes
        text = pa.field(TEXT_FEATURE, pa.binary() if any_bytes else pa.string())
        self._schema = pa.schema([text, *((name, pa.string()) for name in fields)])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._num_bytes = 0

    def write(self, document: Document) -> None:
        text = (document.text or b"") if self._any_bytes else _string(document)
        self._rows.append({TEXT_FEATURE: text, **_carried(document, self._fields)})
        self._num_bytes += len(text)
        if len(self._rows) == _GROUP_ROWS or self._num_bytes >= _GROUP_BYTES:
            self._write_group()

    def close(self) -> None:
        if self._rows:
            self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        table = pa.Table.from_pylist(self._rows, schema=self._schema)
        self._writer.write_table(table, row_group_size=len(self._rows))
        self._rows, self._num_bytes = [], 0


def _carried(document: Document, fields: Sequence[str]) -> dict[str, str | None]:
    """All of the fields; a record that could not be parsed has none of its own."""
    return {name: document.fields.get(name) for name in fields}


def _example(document: Document, fields: Sequence[str]) -> bytes:
    carried = _carried(document, fields)
    values = {name: (value or "").encode() for name, value in carried.items()}
    return encode_example({**values, TEXT_FEATURE: document.text or b""})


def _string(document: Document) -> str:
    try:
        return (document.text or b"").decode()
    except UnicodeDecodeError as error:
        raise NotTextError(f"Row {document.row}: {error}") from error


def _read_tfrecord(path: str, fields: Sequence[str]) -> Reader:
    return _example_reader(RecordReader(path, compare_checksums=True).read, fields)


def _read_array_record(path: str, fields: Sequence[str]) -> Reader:
    return _example_reader(array_record.RecordReader(path).read, fields)


def _example_reader(
    records: Callable[[int, int], Iterator[bytes | None]], fields: Sequence[str]
) -> Reader:
    def read(first_row: int, num_rows: int) -> Iterator[Document]:
        for row, record in enumerate(records(first_row, num_rows), first_row):
            features = decode_example(record or b"")
            carried = {n: features[n].decode() if n in features else None for n in fields}
            yield Document(row=row, text=features[TEXT_FEATURE], fields=carried)

    return read


def _file_reader(source: type[FileSource]) -> Callable[[str, Sequence[str]], Reader]:
    def open_reader(path: str, fields: Sequence[str]) -> Reader:
        opened = source([path], text_field=TEXT_FEATURE, fields=fields)
        name = absolute(path)[len(opened.root.rstrip("/")) + 1 :]
        return lambda first_row, num_rows: opened.read(name, first_row, num_rows)

    return open_reader


_read_jsonl = _file_reader(JsonlSource)

# What is added to the name of a source file is a dot and the format.
FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "tfrecord": Format(write=_TFRecordWriter, read=_read_tfrecord),
        "array_record": Format(write=_ArrayRecordWriter, read=_read_array_record),
        "jsonl": Format(write=_JsonlWriter, read=_read_jsonl),
        "jsonl.gz": Format(write=partial(_JsonlWriter, compress=_gzip), read=_read_jsonl),
        "jsonl.zst": Format(write=partial(_JsonlWriter, compress=_zstd), read=_read_jsonl),
        "parquet": Format(
            write=_ParquetWriter,
            read=_file_reader(ParquetSource),
            write_any_bytes=partial(_ParquetWriter, any_bytes=True),
        ),
    }
)
