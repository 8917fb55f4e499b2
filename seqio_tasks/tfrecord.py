"""TFRecord files read in plain Python: counting records and reading ranges of them.

A record is an 8-byte length, a 4-byte checksum of it, the data, and a 4-byte
checksum of the data. Checksums are left to TensorFlow, which verifies them
whenever a training job reads the file.
"""

import struct
from collections.abc import Iterator
from typing import IO

from pruning.sources.files import file_mark, open_bytes

_HEADER = struct.Struct("<QI")
_CHECKSUM_BYTES = 4


def count_records(path: str) -> int:
    """Records of a file, found by stepping from length to length without reading the data.

    A record in whose middle the file ends is counted too.
    """
    size, _ = file_mark(path)
    count = offset = 0
    with open_bytes(path) as file:
        while offset < size:
            _, offset = _span(file, offset, size)
            count += 1
    return count


class RecordReader:
    """Reads ranges of records of one file; reading on from the last range costs no second look."""

    def __init__(self, path: str):
        self.path = path
        self._size, _ = file_mark(path)
        self._offsets = {0: 0}

    def read(self, first_row: int, num_rows: int) -> Iterator[bytes | None]:
        """Records `first_row .. first_row + num_rows - 1`; None is one that breaks off.

        Raises:
          ValueError: the file has fewer records.
        """
        row = max(known for known in self._offsets if known <= first_row)
        offset = self._offsets[row]
        with open_bytes(self.path) as file:
            while row < first_row + num_rows:
                if offset >= self._size:
                    raise ValueError(
                        f"{self.path} ends after {row:,} records, and a record after that was "
                        "asked for. The file has changed since its records were counted."
                    )
                length, offset = _span(file, offset, self._size)
                if row >= first_row:
                    yield None if length is None else file.read(length)
                row += 1
        self._offsets[row] = offset


def _span(file: IO[bytes], offset: int, size: int) -> tuple[int | None, int]:
    """The data's length (None where it breaks off) with the file at its beginning; the next record's offset."""
    file.seek(offset)
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None, size
    length, _ = _HEADER.unpack(header)
    end = offset + _HEADER.size + length + _CHECKSUM_BYTES
    return (length, end) if end <= size else (None, size)
