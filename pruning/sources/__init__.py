"""Corpora with stable rows: text, JSON Lines, Parquet, and the embedded one.

`open_source` turns what a person writes (`jsonl:/data/c4/*.jsonl.gz`) into a
`pruning.documents.Source`.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pruning.documents import Source
from pruning.sources.jsonl import JsonlSource as JsonlSource
from pruning.sources.parquet import ParquetSource as ParquetSource
from pruning.sources.python_docs import PythonDocsOptions as PythonDocsOptions
from pruning.sources.python_docs import PythonDocsSource as PythonDocsSource
from pruning.sources.text import TextSource as TextSource

_FILE_SOURCES: Mapping[str, Callable[..., Source]] = MappingProxyType(
    {"jsonl": JsonlSource, "parquet": ParquetSource, "text": TextSource}
)

# Kinds that need TensorFlow: `seqio_tasks` opens them.
SEQIO_KINDS = ("seqio", "tfds")
KINDS = (*_FILE_SOURCES, "python_docs", "export", *SEQIO_KINDS)

_EXAMPLES = (
    "jsonl:PATTERN, parquet:PATTERN, text:PATTERN, python_docs:, export:DIR, and through "
    "seqio_tasks tfds:NAME/CONFIG:VERSION and seqio:TASK"
)
_SUFFIXES = {".jsonl": "jsonl", ".json": "jsonl", ".parquet": "parquet", ".txt": "text"}


def spec_kind(spec: str) -> str:
    """The kind of source that a spec names: what stands before its first colon, one of `KINDS`.

    Raises:
      ValueError: there is none, or an unknown one.
    """
    kind, colon, _ = spec.partition(":")
    if colon and kind in KINDS:
        return kind
    path = spec.removesuffix(".gz")
    fitting = next((k for suffix, k in _SUFFIXES.items() if path.endswith(suffix)), None)
    meant = f" Did you mean {fitting}:{spec}?" if fitting else ""
    raise ValueError(f"{spec!r} does not say what kind of source it is.{meant} Known: {_EXAMPLES}.")


def open_source(
    spec: str,
    *,
    text_field: str = "text",
    fields: Sequence[str] = (),
    split: str = "train",
    data_dir: str | None = None,
) -> Source:
    """Opens a corpus.

    Args:
      spec: `jsonl:`, `parquet:` or `text:` and patterns separated by commas, `python_docs:` and
        options (see `PythonDocsOptions`), or `export:` and the folder of a whole export.
      text_field: field or column with the text; dots lead into nested records.
      fields: other fields to carry along.
      split, data_dir: only for sources that have them: exports of such a source.

    Raises:
      ValueError: the spec cannot be understood, or asks for what the source has not.
      FileNotFoundError: a pattern matches no file.
    """
    kind = spec_kind(spec)
    if kind in SEQIO_KINDS:
        raise ValueError(
            f"{spec!r} needs TensorFlow: open it through `seqio_tasks`, or write the corpus as "
            "JSON Lines or Parquet."
        )
    rest = spec.partition(":")[2]
    if kind == "export":
        from pruning.sources.export import open_export  # its formats are read by the sources here

        return open_export(
            rest, text_field=text_field, fields=fields, split=split, data_dir=data_dir
        )
    if split != "train":
        raise ValueError(
            f"{kind}: has no splits, and split {split!r} was asked for. "
            "Name the files of that split in the pattern."
        )
    if kind == "python_docs":
        if text_field != "text":
            raise ValueError(f"python_docs: has its text in 'text', not in {text_field!r}.")
        return PythonDocsSource(_options(rest), fields=fields)
    patterns = [p for part in rest.split(",") if (p := part.strip())]
    if not patterns:
        raise ValueError(f"{spec!r} names no file. Write {kind}:PATTERN[,PATTERN...].")
    return _FILE_SOURCES[kind](patterns, text_field=text_field, fields=fields)


def _options(text: str) -> PythonDocsOptions:
    types = {
        f.name: float if f.type is float else int for f in dataclasses.fields(PythonDocsOptions)
    }
    options: dict[str, Any] = {}
    for setting in filter(None, text.split(",")):
        name, _, value = (s.strip() for s in setting.partition("="))
        try:
            options[name] = types[name](value)
        except (KeyError, ValueError):
            raise ValueError(
                f"python_docs: cannot take {setting!r}; expected NAME=NUMBER, with NAME one of "
                f"{', '.join(types)}."
            ) from None
    return PythonDocsOptions(**options)
