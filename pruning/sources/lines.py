"""Rows of text and JSON Lines files, plain, gzip or Zstandard.

A row ends at byte `\\n` and nothing else, so rows are found in bytes: Python's
text mode also splits at `\\r`, and TensorFlow's TextLineDataset drops it. A last
line without `\\n` is a row, an empty file has none. A compressed file that breaks
off yields the rows that can be read whole, and then one row of None, which stands
for whatever is lost; so does one of no bytes at all, which no compressor makes.
"""

import bisect
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Any

import pyarrow as pa

from pruning.sources.files import open_bytes
from pruning.sources.ranges import RangeReader

_BLOCK_BYTES = 1 << 20
_COMPRESSED_BYTES = 1 << 16
_COMPRESSIONS = (".gz", ".zst")
_OTHER_COMPRESSIONS = (".bz2", ".lz4", ".xz", ".zip")
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
                "Compress it as .gz or .zst, or unpack it."
            )


class LineReader(RangeReader[Row]):
    """Reads ranges of rows without their `\n`; None stands for what is lost.

    In a plain file, going back is cheap: the places where blocks of rows begin
    are kept. In a compressed file, going back starts anew.
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
                if row > self._starts[-1][0] and not self.path.endswith(_COMPRESSIONS):
                    self._starts.append((row, offset - len(begun[0])))
                yield from lines
        if last := b"".join(begun):
            yield last


def _blocks(path: str, offset: int = 0) -> Iterator[Row]:
    """The file's bytes in pieces, none empty; None at the end of a broken compressed file."""
    with open_bytes(path) as file:
        if path.endswith(".gz"):
            yield from _gunzip(file)
        elif path.endswith(".zst"):
            yield from _unzstd(file)
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


class _Watched:
    """A file that remembers an error of its own, such as of the network."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self.closed = False
        self.error: Exception | None = None

    def read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except Exception as error:
            self.error = error
            raise

    def close(self) -> None:
        """Called by pyarrow; whoever opened the file closes it."""
        self.closed = True


def _unzstd(file: IO[bytes]) -> Iterator[Row]:
    if not file.read(1):
        yield None
        return
    file.seek(0)
    watched = _Watched(file)
    with pa.CompressedInputStream(pa.PythonFile(watched, mode="r"), "zstd") as stream:
        while True:
            try:
                block = stream.read(_COMPRESSED_BYTES)
            except OSError:
                # A file that could not be read to its end is no file that breaks off.
                if watched.error:
                    raise
                yield None
                return
            if not block:
                return
            yield block
