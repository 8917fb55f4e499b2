"""What text, JSON Lines and Parquet sources share: files, their rows, and the spec."""

import abc
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Generic, TypeVar

from pruning.documents import Document, SourceFile
from pruning.sources.files import absolute, expand, file_mark
from pruning.sources.ranges import RangeReader

T = TypeVar("T")

_THREADS = 16
_OPEN_READERS = 8


class FileSource(abc.ABC, Generic[T]):
    """A `pruning.documents.Source` over the files that some patterns match.

    Attributes:
      root: folder or URL that the files' paths are relative to.
    """

    kind: ClassVar[str]

    def __init__(
        self, patterns: Sequence[str], *, text_field: str = "text", fields: Sequence[str] = ()
    ):
        """Finds the files.

        Args:
          patterns: paths or URLs, which may hold wildcards.
          text_field: where a record has its text; dots lead into nested records.
          fields: other fields to carry along, named in the same way.
        """
        self._patterns = sorted({absolute(p) for p in patterns})
        if comma := [p for p in self._patterns if "," in p]:
            raise ValueError(
                f"{comma[0]!r} holds a comma, which separates the patterns of a source. "
                "Rename the folder or file, or write `?` for the comma."
            )
        self._text_field = text_field
        self._fields = tuple(fields)
        self.root, self._paths = expand(self._patterns)
        self._readers: dict[str, RangeReader[T]] = {}

    @abc.abstractmethod
    def _count_rows(self, path: str) -> int:
        """Records in the file at this full path."""

    @abc.abstractmethod
    def _open(self, path: str) -> RangeReader[T]:
        """A reader of the file at this full path."""

    @abc.abstractmethod
    def _document(self, row: int, record: T) -> Document:
        """The document that a record holds."""

    def describe(self) -> dict[str, Any]:
        return {
            "spec": f"{self.kind}:{','.join(self._patterns)}",
            "text_field": self._text_field,
            "fields": list(self._fields),
            "split": "train",
        }

    def files(self, known: Mapping[str, SourceFile] | None = None) -> list[SourceFile]:
        known = known or {}

        def look(path: str) -> SourceFile:
            full_path = self._full_path(path)
            size, mark = file_mark(full_path)
            before = known.get(path)
            if before and (before.size, before.mark) == (size, mark):
                return before
            rows = self._count_rows(full_path)
            return SourceFile(path=path, size=size, mark=mark, num_rows=rows)

        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(look, self._paths))

    def read(self, path: str, first_row: int, num_rows: int) -> Iterator[Document]:
        records = self._reader(path).read(first_row, num_rows)
        return (self._document(row, record) for row, record in enumerate(records, first_row))

    def _reader(self, path: str) -> RangeReader[T]:
        if path not in self._paths:
            raise ValueError(
                f"The source has no file {path!r}. It has {len(self._paths)} files below "
                f"{self.root}, the first {self._paths[0]!r}."
            )
        # Readers hold open files, so only those used last are kept.
        reader = self._readers.pop(path, None) or self._open(self._full_path(path))
        self._readers[path] = reader
        if len(self._readers) > _OPEN_READERS:
            del self._readers[next(iter(self._readers))]
        return reader

    def _full_path(self, path: str) -> str:
        return f"{self.root.removesuffix('/')}/{path}"


def field_text(value: Any) -> str | None:
    """A carried field as text: strings as they are, None as it is, JSON values as JSON."""
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")  # lone surrogates
    if isinstance(value, bool | int | float | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)  # dates, decimals
