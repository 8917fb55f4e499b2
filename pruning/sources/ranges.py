"""Reading ranges of rows from a file that is only cheap to read forwards."""

import abc
import itertools
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class RangeReader(abc.ABC, Generic[T]):
    """Reads ranges of rows of one file; a range that follows the last one costs no second look."""

    def __init__(self, path: str):
        self.path = path
        self._cursor: tuple[int, Iterator[T]] | None = None

    @abc.abstractmethod
    def _open_at(self, first_row: int) -> tuple[int, Iterator[T]]:
        """The nearest row at or before `first_row` to start from, and the rows from there on.

        Nothing may be read before the first row is asked for: the reader may
        find that it stands nearer already.
        """

    def read(self, first_row: int, num_rows: int) -> Iterator[T]:
        """Rows `first_row .. first_row + num_rows - 1`.

        Raises:
          ValueError: the file has fewer rows.
        """
        # Taken, not shared: a second range read meanwhile gets a place of its own.
        cursor, self._cursor = self._cursor, None
        opened = self._open_at(first_row)
        row, rows = cursor if cursor and opened[0] <= cursor[0] <= first_row else opened
        end_row = first_row + num_rows
        try:
            for record in itertools.islice(rows, end_row - row):
                row += 1
                if row > first_row:
                    yield record
        except GeneratorExit:
            self._cursor = row, rows
            raise
        if row < end_row:
            raise ValueError(
                f"{self.path} has {row:,} rows, and rows {first_row:,} to {end_row - 1:,} were asked "
                "for. It has changed since its rows were counted: put the old file back, or start "
                "again with another --output."
            )
        self._cursor = row, rows
