"""Text files: each line is a document."""

from collections.abc import Sequence

from pruning.documents import Document
from pruning.sources.line_source import LineSource


class TextSource(LineSource):
    """A `Source` of text files (plain or .gz): a document is a line without its `\\n`.

    A line with a raw `\\r` or NUL gets the note `control_characters`:
    TensorFlow's TextLineDataset drops `\\r`, so training would see other bytes.
    """

    kind = "text"

    def __init__(
        self, patterns: Sequence[str], *, text_field: str = "text", fields: Sequence[str] = ()
    ):
        if fields:
            raise ValueError(
                f"A line of text has no fields, and {', '.join(fields)} was asked for. "
                "Leave it out, or write the corpus as JSON Lines."
            )
        super().__init__(patterns, text_field=text_field)

    def _line_document(self, row: int, line: bytes) -> Document:
        note = "control_characters" if b"\r" in line or b"\0" in line else None
        return Document(row=row, text=line, note=note)
