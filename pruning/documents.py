"""What a document is, how it is named, and what a source of documents offers.

A document's id is (file, row): the physical file's path relative to its root,
and the record's index in that file. It does not depend on the order in which
anything is read. Two documents with the same text are two documents.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

# Why a row has no score. Stores carry the key, reports show the sentence.
REASONS: dict[str, str] = {
    "empty": "the text is empty or white space only",
    "invalid_utf8": "the text is not valid UTF-8",
    "missing_field": "the record has no such text field",
    "not_text": "the text field holds something else than text",
    "broken_json": "the line is not a JSON object",
    "broken_record": "the record cannot be parsed",
    "truncated_file": "the file ends in the middle of a record or a compressed block",
    "too_long": "the text is as large as --max_document_bytes or larger",
    "too_short": "the text has fewer tokens than the scorer looks at",
    "not_finite": "there is no finite number for the text",
    "not_imported": "the table of scores has no row for the text",
    "no_score": "the store has no number for the text in this column",
    "undefined": "the expression has no finite value at the text's numbers",
    "no_tokens": "the store has no token count for the text, and the budget is one of tokens",
    "excluded": "--where leaves the row out",
    "not_sampled": "--sample leaves the row's unit out",
    "outside_split": "the row lies outside the split that was asked for",
}

# Reasons that say what was asked for, not that something is wrong.
REASONS_ASKED_FOR = frozenset({"excluded", "not_sampled", "outside_split"})


class DocumentId(NamedTuple):
    """(file, row); prints as TFDS writes it, `file__row`."""

    file: str
    row: int

    def __str__(self) -> str:
        return f"{self.file}__{self.row}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One record of a file.

    Attributes:
      row: index of the record in its physical file.
      text: the stored bytes, or None where the record has no readable text.
      reason: a key of REASONS if the record cannot be scored, else None.
      note: something to count that does not stop scoring, such as
        `control_characters` (a raw `\\r` or NUL inside a line).
      fields: the source fields carried along (`domain`, `url`, ...), as text.
    """

    row: int
    text: bytes | None
    reason: str | None = None
    note: str | None = None
    fields: Mapping[str, str | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One physical file of a source.

    Attributes:
      path: relative to the source's root, with forward slashes.
      size: bytes on disk.
      mark: changes when the file is written again (modification time in
        nanoseconds for local files, a content digest for generated ones).
      num_rows: records in the whole physical file.
      first_row, end_row: the rows that the split asks for; all by default.
    """

    path: str
    size: int
    mark: str
    num_rows: int
    first_row: int = 0
    end_row: int | None = None


class Unit(NamedTuple):
    """A range of records of one file: what a run resumes by and machines share."""

    file: str
    first_row: int
    num_rows: int


class Source(Protocol):
    """A corpus with stable rows."""

    def describe(self) -> dict[str, Any]:
        """What names this source, as JSON; `open_source(**describe())` opens it again."""
        ...

    def files(self, known: Mapping[str, SourceFile] | None = None) -> Sequence[SourceFile]:
        """All physical files, sorted by path.

        Args:
          known: files counted earlier, by path. One whose size and mark are
            unchanged is not counted again (counting reads the whole file).
        """
        ...

    def read(self, path: str, first_row: int, num_rows: int) -> Iterator[Document]:
        """Documents `first_row .. first_row + num_rows - 1` of one file, in order.

        A row that cannot be read is yielded with its reason: rows never shift.
        Reading on from where the last call stopped is cheap.

        Raises:
          ValueError: the file ends before the rows do.
        """
        ...


DEFAULT_UNIT_ROWS = 16_384


def cut_into_units(files: Sequence[SourceFile], unit_rows: int = DEFAULT_UNIT_ROWS) -> list[Unit]:
    """Cuts every file into ranges of at most `unit_rows` rows, in order of path and row.

    >>> cut_into_units([SourceFile(path="a", size=9, mark="", num_rows=5)], unit_rows=2)
    [Unit(file='a', first_row=0, num_rows=2), Unit(file='a', first_row=2, num_rows=2), Unit(file='a', first_row=4, num_rows=1)]
    """
    if unit_rows < 1:
        raise ValueError(f"unit_rows is {unit_rows}; a unit needs at least one row.")
    return [
        Unit(file.path, first, min(unit_rows, file.num_rows - first))
        for file in sorted(files, key=lambda f: f.path)
        for first in range(0, file.num_rows, unit_rows)
    ]


def text_problem(text: bytes, max_bytes: int) -> str | None:
    """The reason why a text cannot be scored, or None.

    Args:
      text: stored bytes.
      max_bytes: texts of this many bytes or more are `too_long`.
    """
    if len(text) >= max_bytes:
        return "too_long"
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError:
        return "invalid_utf8"
    # NUL alone is as empty as white space: no vocabulary has a piece for it.
    return "empty" if not decoded.replace("\x00", "").strip() else None
