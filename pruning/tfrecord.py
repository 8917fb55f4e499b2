"""TFRecord files in plain Python: counting records, reading ranges of them, writing them.

A record is an 8-byte length, a 4-byte checksum of it, the data, and a 4-byte
checksum of the data.
"""

import struct
from collections.abc import Iterator
from typing import IO

import google_crc32c

from pruning.sources.files import file_mark, open_bytes

_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8


def frame(data: bytes) -> bytes:
    """A record as it stands in a file."""
    length = struct.pack("<Q", len(data))
    checksums = _CHECKSUM.pack(_masked_checksum(length)), _CHECKSUM.pack(_masked_checksum(data))
    return b"".join((length, checksums[0], data, checksums[1]))


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

    def __init__(self, path: str, *, compare_checksums: bool = False):
        """Opens no file yet.

        Args:
          path: of the file.
          compare_checksums: where TensorFlow does not do it later, in a training job.
        """
        self.path = path
        self._compare_checksums = compare_checksums
        self._size, _ = file_mark(path)
        self._offsets = {0: 0}

    def read(self, first_row: int, num_rows: int) -> Iterator[bytes | None]:
        """Records `first_row .. first_row + num_rows - 1`; None is one that breaks off.

        Raises:
          ValueError: the file has fewer records, or a checksum does not fit.
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
                    yield self._data(file, row, length)
                row += 1
        self._offsets[row] = offset

    def _data(self, file: IO[bytes], row: int, length: int | None) -> bytes | None:
        if not self._compare_checksums:
            return None if length is None else file.read(length)
        data, checksum = file.read(length or 0), file.read(_CHECKSUM.size)
        if length is None or _CHECKSUM.pack(_masked_checksum(data)) != checksum:
            raise ValueError(
                f"{self.path} is damaged at row {row:,}: the record's checksum does not fit, or "
                "the file ends within it. Restore the file, or write it again."
            )
        return data


def _span(file: IO[bytes], offset: int, size: int) -> tuple[int | None, int]:
    """The data's length (None where it breaks off) with the file at its beginning; the next record's offset."""
    file.seek(offset)
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None, size
    length, _ = _HEADER.unpack(header)
    end = offset + _HEADER.size + length + _CHECKSUM.size
    return (length, end) if end <= size else (None, size)


def _masked_checksum(data: bytes) -> int:
    checksum = google_crc32c.value(data)
    return ((checksum >> 15 | checksum << 17) + _MASK_DELTA) & 0xFFFFFFFF
