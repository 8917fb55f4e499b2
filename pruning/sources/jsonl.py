"""JSON Lines files: each line is an object with a text in one of its fields."""

import json
from collections.abc import Mapping
from typing import Any

from pruning.documents import Document
from pruning.sources.file_source import field_text
from pruning.sources.line_source import LineSource


class JsonlSource(LineSource):
    """A `Source` of JSON Lines files, plain or .gz.

    Every line is a row, blank and broken ones too. Carried fields are filled
    for rows with a reason as well, wherever the line can be parsed.
    """

    kind = "jsonl"

    def field_names(self, path: str, num_rows: int) -> list[str]:
        """All fields that some of a file's first records have, in order of appearance."""
        lines = self._reader(path).read(0, num_rows)
        return [*dict.fromkeys(name for line in lines if line for name in _parse(line)[0])]

    def _line_document(self, row: int, line: bytes) -> Document:
        parsed, reason = _parse(line)
        text = None
        if reason is None:
            text, reason = _text(_lookup(parsed, self._text_field))
        return Document(
            row=row,
            text=text,
            reason=reason,
            note="control_characters" if _has_control_characters(line) else None,
            fields={name: field_text(_lookup(parsed, name)) for name in self._fields},
        )


def _parse(line: bytes) -> tuple[dict[str, Any], str | None]:
    reason = None
    try:
        decoded = line.decode("utf-8")
    except UnicodeDecodeError:
        decoded, reason = line.decode("utf-8", "replace"), "invalid_utf8"
    try:
        parsed = json.loads(decoded)
    except (ValueError, RecursionError):  # ValueError also for an integer of too many digits
        parsed = None
    if not isinstance(parsed, dict):
        return {}, reason or "broken_json"
    return parsed, reason


def _text(value: Any) -> tuple[bytes | None, str | None]:
    if value is None:
        return None, "missing_field"
    if not isinstance(value, str):
        return None, "not_text"
    try:
        return value.encode("utf-8"), None
    except UnicodeEncodeError:  # half of a surrogate pair, escaped
        return None, "invalid_utf8"


def _lookup(record: Mapping[str, Any], name: str) -> Any:
    """The value at `a.b`: of a field of that very name, or of `b` inside `a`."""
    if name in record:
        return record[name]
    value: Any = record
    for part in name.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def _has_control_characters(line: bytes) -> bool:
    # A `\r` at the end is a Windows line end, and no part of the object.
    return line.find(b"\r", 0, len(line) - 1) >= 0 or b"\0" in line
