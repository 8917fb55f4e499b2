"""Tables of scores made elsewhere: Parquet, JSON Lines or CSV, a row a document or a text."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset
import pyarrow.json

from pruning.hashing import text_hash
from pruning.sources.files import absolute, expand, file_system

By = Literal["id", "text_hash"]

# Larger than Arrow's own: a row with a text must fit into one.
_BLOCK_BYTES = 16 << 20
_FORMATS = {
    "parquet": pa.dataset.ParquetFileFormat(),
    "jsonl": pa.dataset.JsonFileFormat(
        read_options=pa.json.ReadOptions(block_size=_BLOCK_BYTES),
        parse_options=pa.json.ParseOptions(newlines_in_values=False),
    ),
    "csv": pa.dataset.CsvFileFormat(
        read_options=pa.csv.ReadOptions(block_size=_BLOCK_BYTES),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
    ),
}
# What a key is called where nobody says; the first that is there.
KEYS: Mapping[By, Sequence[tuple[str, ...]]] = {
    "id": (("file", "row"), ("id",)),
    "text_hash": (("text_hash",), ("text",)),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TablePart:
    """Rows of a table as they stand in it.

    Attributes:
      files: that the rows name, each once; one without a name where a text hash is the key.
      file: index into `files` of each row, int32.
      key: row of the document in its file, or hash of its text, int64.
      scores: float32 by column; NaN where the table has no finite number.
      check: hash of the text that the table has beside an id, int64; None if it has none.
    """

    files: Sequence[str]
    file: np.ndarray
    key: np.ndarray
    scores: Mapping[str, np.ndarray]
    check: np.ndarray | None


def read_parts(
    spec: str, columns: Sequence[str], *, by: By, key: Sequence[str] = ()
) -> Iterator[TablePart]:
    """Reads a table, some rows at a time.

    Args:
      spec: `parquet:`, `jsonl:` or `csv:`, and patterns separated by commas.
      columns: with numbers.
      by: what names the document of a row.
      key: its columns. By id: two, with file and row, or one that holds `file__row` as TFDS
        writes it. By text hash: one, with hashes as integers or with the texts themselves.
        By default those of KEYS.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: a file cannot be read, or has no such column, or one of another type.
    """
    kind, _, rest = spec.partition(":")
    if kind not in _FORMATS or not rest:
        raise ValueError(
            f"{spec!r} names no table. Write parquet:PATTERN, jsonl:PATTERN or csv:PATTERN."
        )
    root, names = expand(sorted(absolute(p.strip()) for p in rest.split(",") if p.strip()))
    fs, root_path = file_system(root)
    for name in names:
        path = f"{root_path.rstrip('/')}/{name}"
        try:
            dataset = pa.dataset.dataset(path, format=_FORMATS[kind], filesystem=fs)
            if kind != "parquet":  # there a column's type is a guess from the first rows
                schema = _widened(dataset.schema, columns)
                dataset = pa.dataset.dataset(path, schema, _FORMATS[kind], fs)
            yield from _read_file(path, dataset, columns, by, tuple(key))
        except pa.ArrowInvalid as error:
            raise ValueError(f"{path} cannot be read as {kind}: {error}.") from error


def _read_file(
    path: str,
    dataset: pa.dataset.Dataset,
    columns: Sequence[str],
    by: By,
    key: tuple[str, ...],
) -> Iterator[TablePart]:
    there = dataset.schema.names
    key = key or next((k for k in KEYS[by] if set(k) <= set(there)), KEYS[by][0])
    if len(key) > (2 if by == "id" else 1):
        raise ValueError(f"--key {' '.join(key)}: a key by {by} has no so many columns.")
    check = next((k[0] for k in KEYS["text_hash"] if k[0] in there), None) if by == "id" else None
    wanted = [*dict.fromkeys([*key, *columns, *([check] if check else [])])]
    if missing := [name for name in wanted if name not in there]:
        raise ValueError(
            f"{path} has no column {missing[0]!r}; it has {', '.join(there)}. The key by {by} is "
            f"looked for in {' '.join(key)}: name it with --key, and scores with --columns."
        )
    for batch in dataset.to_batches(columns=wanted):
        if not len(batch):
            continue
        values = {name: _decoded(batch[name]) for name in wanted}
        if by == "id":
            files, file_N, key_N = _ids(path, [values[name] for name in key])
        else:
            files, file_N = [""], np.zeros(len(batch), np.int32)
            key_N = _hashes(path, key[0], values[key[0]])
        yield TablePart(
            files=files,
            file=file_N,
            key=key_N,
            scores={name: _numbers(path, name, values[name]) for name in columns},
            check=_hashes(path, check, values[check]) if check else None,
        )


def _decoded(values: pa.Array) -> pa.Array:
    is_dictionary = pa.types.is_dictionary(values.type)
    return values.dictionary_decode() if is_dictionary else values


def _widened(schema: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    """Whole numbers at the beginning of a column of scores may be followed by fractions."""
    for i, field in enumerate(schema):
        if field.name in columns and (pa.types.is_integer(field.type) or field.type == pa.null()):
            schema = schema.set(i, pa.field(field.name, pa.float64()))
    return schema


def _numbers(path: str, name: str, values: pa.Array) -> np.ndarray:
    kind = values.type
    if not any(is_a(kind) for is_a in (pa.types.is_integer, pa.types.is_floating, _is_bool)):
        raise ValueError(f"Column {name!r} of {path} holds {kind}; a score is a number.")
    with np.errstate(over="ignore"):  # beyond float32 is not finite
        score_N = values.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float32)
    return np.where(np.isfinite(score_N), score_N, np.float32(np.nan))


def _is_bool(kind: pa.DataType) -> bool:
    return kind == pa.bool_()


def _ids(path: str, key: Sequence[pa.Array]) -> tuple[list[str], np.ndarray, np.ndarray]:
    if len(key) == 1:
        parts = pc.extract_regex(_text(path, "id", key[0]), r"^(?P<file>.*)__(?P<row>[0-9]+)$")
        if parts.null_count:
            wrong = key[0].filter(pc.is_null(parts))[0].as_py()
            raise ValueError(f"{path} has the id {wrong!r}; an id is written file__row.")
        key = parts.flatten()
        key = [key[0], key[1].cast(pa.int64())]
    file, row = key
    if not pa.types.is_integer(row.type) or row.null_count:
        raise ValueError(
            f"{path} has rows of type {row.type}, {row.null_count:,} of {len(row):,} missing; a row "
            "is the whole number of a record in its file, from 0."
        )
    encoded = _text(path, "file", file).dictionary_encode()
    files = encoded.dictionary.to_pylist()
    return files, encoded.indices.to_numpy(), row.cast(pa.int64()).to_numpy()


def _text(path: str, name: str, values: pa.Array) -> pa.Array:
    if values.null_count or not _is_text(values.type):
        raise ValueError(
            f"Column {name!r} of {path} holds {values.type}, {values.null_count:,} of "
            f"{len(values):,} missing; it must be text, and everywhere."
        )
    return values.cast(pa.string())


def _hashes(path: str, name: str, values: pa.Array) -> np.ndarray:
    """Text hashes, from themselves or from texts."""
    if values.null_count:
        raise ValueError(f"Column {name!r} of {path} is missing in {values.null_count:,} rows.")
    if values.type == pa.uint64():
        return values.to_numpy().view(np.int64)  # the same 64 bits
    if values.type == pa.int64():
        return values.to_numpy()
    if not _is_text(values.type):
        raise ValueError(
            f"Column {name!r} of {path} holds {values.type}; text hashes are 64-bit integers "
            "(FarmHash Fingerprint64), and texts are strings."
        )
    texts: list[Any] = values.cast(pa.large_binary()).to_pylist()
    return np.array([text_hash(text) for text in texts], np.int64)


def _is_text(kind: pa.DataType) -> bool:
    return kind in (
        pa.string(),
        pa.large_string(),
        pa.binary(),
        pa.large_binary(),
        pa.string_view(),
    )
