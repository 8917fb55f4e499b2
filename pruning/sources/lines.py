"""Rows of text and JSON Lines files, plain or gzip.

A row ends at byte `\\n` and nothing else, so rows are found in bytes: Python's
text mode also splits at `\\r`, and TensorFlow's TextLineDataset drops it. A last
line without `\\n` is a row, an empty file has none. A gzip file that breaks off
yields the rows that can be read whole, and then one row of None, which stands
for whatever is lost; so does one of no bytes at all, which no gzip writer makes.
"""

import bisect
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Any

from pruning.sources.files import open_bytes
from pruning.sources.ranges import RangeReader

_BLOCK_BYTES = 1 << 20
_COMPRESSED_BYTES = 1 << 16
_OTHER_COMPRESSIONS = (".bz2", ".lz4", ".xz", ".zip", ".zst")
_GZIP = 31  # zlib's wbits for a gzip header and trailer

Row = bytes | None


def count_rows(path: str) -> int:
    """The number of rows that `LineReader` finds in the file."""
    newlines, last = 0, b"\n"
    for block in _blocks(path):
        if block is None:
            return newlines + 1
        newlines += block.count(b"\n")
        last = block[-1:]
    return newlines + (last != b"\n")


def check_compression(paths: Iterable[str]) -> None:
    """Refuses files whose name says that they are compressed in a way that is not read.

    Raises:
      ValueError: naming the first such file.
    """
    for path in paths:
        if path.endswith(_OTHER_COMPRESSIONS):
            raise ValueError(
                f"{path} is compressed in a way that is not read here. "
                "Compress it as .gz, or unpack it."
            )


class LineReader(RangeReader[Row]):
    """Reads ranges of rows without their `\n`; None stands for what is lost.

    In a plain file, going back is cheap: the places where blocks of rows begin
    are kept. In a gzip file, going back starts anew.
    """

    def __init__(self, path: str):
        super().__init__(path)
        self._starts = [(0, 0)]  # (row, byte offset), ascending

    def _open_at(self, first_row: int) -> tuple[int, Iterator[Row]]:
        nearest = bisect.bisect_right(self._starts, first_row, key=lambda start: start[0]) - 1
        row, offset = self._starts[nearest]
        return row, self._rows(row, offset)

    def _rows(self, row: int, offset: int) -> Iterator[Row]:
        begun: list[bytes] = []  # joined once per row: a row may span thousands of blocks
        for block in _blocks(self.path, offset):
            if block is None:
                yield None
                return
            offset += len(block)
            head, *lines = block.split(b"\n")
            begun.append(head)
            if lines:
                yield b"".join(begun)
                begun = [lines.pop()]
                row += 1 + len(lines)
                if row > self._starts[-1][0] and not _is_gzip(self.path):
                    self._starts.append((row, offset - len(begun[0])))
                yield from lines
        if last := b"".join(begun):
            yield last


def _is_gzip(path: str) -> bool:
    return path.endswith(".gz")


def _blocks(path: str, offset: int = 0) -> Iterator[Row]:
    """The file's bytes in pieces, none empty; None at the end of a broken gzip file."""
    with open_bytes(path) as file:
        if _is_gzip(path):
            yield from _gunzip(file)
        else:
            file.seek(offset)
            while block := file.read(_BLOCK_BYTES):
                yield block


def _gunzip(file: IO[bytes]) -> Iterator[Row]:
    member: Any = zlib.decompressobj(wbits=_GZIP)
    while compressed := file.read(_COMPRESSED_BYTES):
        while compressed:
            if member is None:
                compressed = compressed.lstrip(b"\0")  # members may be padded
                if not compressed:
                    break
                member = zlib.decompressobj(wbits=_GZIP)
            before = member.copy()
            try:
                block = member.decompress(compressed)
            except zlib.error:
                yield from _until_error(before, compressed)
                return
            if block:
                yield block
            compressed = member.unused_data
            if member.eof:
                member = None
    if member is not None:
        yield None


def _until_error(member: Any, compressed: bytes) -> Iterator[Row]:
    # zlib gives nothing of a piece that has an error in it, so the piece is a byte.
    for byte in compressed:
        try:
            block = member.decompress(bytes([byte]))
        except zlib.error:
            break
        if block:
            yield block
    yield None
