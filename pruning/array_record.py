"""ArrayRecord files, through the library `array_record` (extra `array_record`)."""

from collections.abc import Iterator
from typing import Any

# Each record can be read without its neighbours, as a random order of training asks for.
_OPTIONS = "group_size:1"

_ROWS_AT_ONCE = 256


def open_writer(path: str) -> Any:
    """A writer of a local file, with `write` and `close`."""
    return _library().ArrayRecordWriter(path, _OPTIONS)


class RecordReader:
    """Reads ranges of records of one local file."""

    def __init__(self, path: str):
        self._path = path
        self._reader = _library().ArrayRecordReader(path)

    def read(self, first_row: int, num_rows: int) -> Iterator[bytes]:
        """Records `first_row .. first_row + num_rows - 1`.

        Raises:
          ValueError: the file has fewer records, or one is damaged.
        """
        found = self._reader.num_records()
        if first_row + num_rows > found:
            raise ValueError(
                f"{self._path} has {found:,} records, and a record after that was asked for. "
                "The file has changed since its records were counted."
            )
        end_row = first_row + num_rows
        for first in range(first_row, end_row, _ROWS_AT_ONCE):
            end = min(first + _ROWS_AT_ONCE, end_row)
            try:
                yield from self._reader.read(first, end)
            except RuntimeError:
                yield from map(self._read_one, range(first, end))  # names the damaged one

    def _read_one(self, row: int) -> bytes:
        try:
            return self._reader.read([row])[0]
        except RuntimeError as error:
            raise ValueError(
                f"{self._path} is damaged at row {row:,}: {error}. "
                "Restore the file, or write it again."
            ) from error


def _library() -> Any:
    try:
        from array_record.python import array_record_module
    except ImportError as error:
        raise ImportError(
            f"ArrayRecord files need the library array_record ({error}): "
            "pip install 't5x-pruning[array_record]', or choose another --format."
        ) from error
    return array_record_module
