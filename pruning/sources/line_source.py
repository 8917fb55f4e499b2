"""What text and JSON Lines sources share: a record is a line."""

import abc
from collections.abc import Sequence

from pruning.documents import Document
from pruning.sources.file_source import FileSource
from pruning.sources.lines import LineReader, Row, check_compression, count_rows


class LineSource(FileSource[Row]):
    """A source of files made of lines, plain, .gz or .zst."""

    def __init__(
        self, patterns: Sequence[str], *, text_field: str = "text", fields: Sequence[str] = ()
    ):
        super().__init__(patterns, text_field=text_field, fields=fields)
        check_compression(self._paths)

    @abc.abstractmethod
    def _line_document(self, row: int, line: bytes) -> Document:
        """The document that a line holds."""

    def _count_rows(self, path: str) -> int:
        return count_rows(path)

    def _open(self, path: str) -> LineReader:
        return LineReader(path)

    def _document(self, row: int, record: Row) -> Document:
        if record is None:
            fields = dict.fromkeys(self._fields)
            return Document(row=row, text=None, reason="truncated_file", fields=fields)
        return self._line_document(row, record)
