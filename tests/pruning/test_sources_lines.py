"""Rows of text files: where they end, how many there are, and what a broken gzip file gives."""

import gzip
import io
import itertools
import random
import zlib

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruning.sources import lines
from pruning.sources.lines import LineReader, check_compression, count_rows

# Everything that some reader or other takes for the end of a line.
AWKWARD = [
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\x0b",
    b"\x0c",
    b"\x1c",
    "\x85\u2028\u2029".encode(),
    b"a",
    b"\xff",
]
contents = st.lists(st.sampled_from(AWKWARD), max_size=40).map(b"".join)


def zstd(data):
    return pa.compress(data, "zstd", asbytes=True)


COMPRESS = {".gz": lambda data: gzip.compress(data, mtime=0), "zst": zstd}


def rows_of(data):
    rows = data.split(b"\n")
    return rows[:-1] if rows[-1] == b"" else rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lines")


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(lines, "_BLOCK_BYTES", 7)
    monkeypatch.setattr(lines, "_COMPRESSED_BYTES", 11)


def write(folder, data, suffix):
    path = folder / f"data{suffix}"
    path.write_bytes(COMPRESS[suffix[-3:]](data) if suffix[-3:] in COMPRESS else data)
    return str(path)


@pytest.mark.parametrize("suffix", [".txt", ".txt.gz", ".txt.zst"])
@given(data=contents)
@settings(deadline=None)
def test_rows_end_at_newline_and_nothing_else(folder, suffix, data):
    path = write(folder, data, suffix)
    expected = rows_of(data)
    assert count_rows(path) == len(expected)
    assert list(LineReader(path).read(0, len(expected))) == expected


@pytest.mark.parametrize("suffix", [".txt", ".txt.gz", ".txt.zst"])
@given(data=contents, draw=st.data())
@settings(deadline=None)
def test_any_ranges_in_any_order_equal_the_whole(folder, suffix, data, draw):
    path = write(folder, data, suffix)
    expected = rows_of(data)
    reader = LineReader(path)
    for _ in range(draw.draw(st.integers(1, 6))):
        first = draw.draw(st.integers(0, len(expected)))
        number = draw.draw(st.integers(0, len(expected) - first))
        taken = draw.draw(st.integers(0, number))  # the rest is left unread
        found = list(itertools.islice(reader.read(first, number), taken))
        assert found == expected[first : first + taken]


@pytest.mark.parametrize("suffix", [".txt", ".txt.gz", ".txt.zst"])
def test_two_ranges_can_be_read_at_the_same_time(folder, suffix):
    data = b"".join(b"%d\n" % i for i in range(50))
    reader = LineReader(write(folder, data, suffix))
    list(reader.read(0, 10))  # leaves a place that only one of the two can take
    pairs = list(zip(reader.read(10, 20), reader.read(30, 20), strict=True))
    assert pairs == [(b"%d" % i, b"%d" % (i + 20)) for i in range(10, 30)]


@pytest.mark.parametrize("suffix", [".txt", ".txt.gz", ".txt.zst"])
def test_consecutive_ranges_cost_one_pass(folder, suffix, monkeypatch):
    path = write(folder, b"some line\n" * 100, suffix)
    opened = count_openings(monkeypatch)
    reader = LineReader(path)
    for first in range(0, 100, 10):
        # zip stops the reader at its last row, before it is exhausted.
        assert len(list(zip(range(10), reader.read(first, 10), strict=False))) == 10
    assert len(opened) == 1


def test_going_back_and_forth_in_a_plain_file_reads_little(folder, monkeypatch):
    path = write(folder, b"some line\n" * 1000, ".txt")
    reader = LineReader(path)
    list(reader.read(0, 1000))
    read = []
    blocks = lines._blocks

    def counted(path, offset=0):
        for block in blocks(path, offset):
            read.append(block)
            yield block

    monkeypatch.setattr(lines, "_blocks", counted)
    for first in (500, 100, 900):
        assert list(reader.read(first, 10)) == [b"some line"] * 10
    assert sum(map(len, read)) < 450


@pytest.mark.parametrize("suffix", [".txt", ".txt.gz", ".txt.zst"])
def test_a_file_that_ends_early_is_an_error(folder, suffix):
    path = write(folder, b"a\nb\nc", suffix)
    reader = LineReader(path)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"has 3 rows, and rows 1 to 4 were asked for"):
            list(reader.read(1, 4))
    assert list(reader.read(1, 2)) == [b"b", b"c"]


def test_gzip_members_and_padding_between_them_are_one_file(folder):
    path = folder / "members.gz"
    members = [b"a\nb", b"", b"c\n", b"d\ne\n"]
    path.write_bytes((b"\0" * 30).join(gzip.compress(m) for m in members) + b"\0" * 100)
    assert list(LineReader(str(path)).read(0, 4)) == [b"a", b"bc", b"d", b"e"]
    assert count_rows(str(path)) == 4


def read_whole(path):
    found = list(LineReader(path).read(0, count_rows(path)))
    with pytest.raises(ValueError, match="rows"):
        list(LineReader(path).read(0, len(found) + 1))
    return found


@pytest.mark.parametrize("block_bytes", [1, 11, 10_000])
def test_gzip_cut_anywhere_keeps_whole_rows_and_one_for_the_loss(folder, monkeypatch, block_bytes):
    monkeypatch.setattr(lines, "_COMPRESSED_BYTES", block_bytes)
    rng = random.Random(0)
    expected = [bytes(rng.choices(b"abcdef", k=rng.randrange(30))) for _ in range(40)]
    data = b"".join(row + b"\n" for row in expected)
    half = len(data) // 2
    whole = gzip.compress(data[:half], mtime=0) + gzip.compress(data[half:], mtime=0)
    first_member = len(gzip.compress(data[:half], mtime=0))
    path = folder / "cut.gz"
    numbers = []
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        found = read_whole(str(path))
        if cut == first_member:  # a whole file that happens to be shorter
            assert found == rows_of(data[:half])
            continue
        assert found[-1] is None
        assert found[:-1] == expected[: len(found) - 1]
        numbers.append(len(found))
    assert numbers == sorted(numbers)
    assert numbers[-1] == len(expected) + 1  # only the trailer is cut


@pytest.mark.parametrize("block_bytes", [1, 10_000])
def test_gzip_with_a_wrong_byte_counts_as_it_reads(folder, monkeypatch, block_bytes):
    monkeypatch.setattr(lines, "_COMPRESSED_BYTES", block_bytes)
    data = b"".join(b"row number %d\n" % i for i in range(60))
    whole = gzip.compress(data, mtime=0)
    path = folder / "corrupt.gz"
    for place in range(len(whole)):
        spoilt = bytearray(whole)
        spoilt[place] ^= 0x55
        path.write_bytes(spoilt)
        found = read_whole(str(path))
        readable = gzip_is_fine(bytes(spoilt))
        assert (found[-1] is None) != readable
        assert None not in found[:-1]


def gzip_is_fine(data):
    try:
        gzip.decompress(data)
    except (EOFError, OSError, zlib.error):
        return False
    return True


def test_a_wrong_checksum_keeps_all_rows_before_it(folder, monkeypatch):
    monkeypatch.setattr(lines, "_COMPRESSED_BYTES", 10_000)
    whole = bytearray(gzip.compress(b"a\nb\n", mtime=0))
    whole[-6] ^= 1
    path = folder / "checksum.gz"
    path.write_bytes(whole)
    assert read_whole(str(path)) == [b"a", b"b", None]


def test_rubbish_after_gzip_is_one_lost_row(folder):
    path = folder / "rubbish.gz"
    path.write_bytes(gzip.compress(b"a\nb\n") + b"rubbish")
    assert read_whole(str(path)) == [b"a", b"b", None]


def test_a_line_of_many_blocks_is_joined_once(folder, monkeypatch):
    """A reader that joins per block copies 20,000 blocks of this line 10,000 times over."""
    monkeypatch.setattr(lines, "_BLOCK_BYTES", 1 << 10)
    long = b"x" * (20_000 << 10)
    path = write(folder, b"a\n" + long + b"\nb", ".txt")
    assert count_rows(path) == 3
    first, second, third = LineReader(path).read(0, 3)
    assert (first, len(second), third) == (b"a", len(long), b"b")


def test_a_plain_file_without_a_byte_has_no_row_but_a_gzip_file_is_broken(folder):
    assert read_whole(write(folder, b"", ".txt")) == []
    assert read_whole(write(folder, b"", ".gz")) == []
    (folder / "nothing.gz").write_bytes(b"")
    assert read_whole(str(folder / "nothing.gz")) == [None]


def test_zstd_frames_one_after_another_are_one_file(folder):
    path = folder / "frames.zst"
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
    path.write_bytes(zstd(b"a\nb") + skippable + zstd(b"") + zstd(b"c\n") + zstd(b"d\ne\n"))
    assert read_whole(str(path)) == [b"a", b"bc", b"d", b"e"]


@pytest.mark.parametrize("block_bytes", [11, 10_000])
def test_zstd_cut_anywhere_keeps_whole_rows_and_one_for_the_loss(folder, monkeypatch, block_bytes):
    monkeypatch.setattr(lines, "_COMPRESSED_BYTES", block_bytes)
    rng = random.Random(0)
    expected = [bytes(rng.choices(b"abcdef", k=rng.randrange(30))) for _ in range(40)]
    data = b"".join(row + b"\n" for row in expected)
    half = len(data) // 2
    first = zstd(data[:half])
    whole = first + zstd(data[half:])
    path = folder / "cut.zst"
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        found = read_whole(str(path))
        if cut == len(first):  # a whole file that happens to be shorter
            assert found == rows_of(data[:half])
            continue
        assert found[-1] is None
        assert found[:-1] == expected[: len(found) - 1]


def test_rubbish_after_zstd_and_a_file_of_nothing_are_one_lost_row(folder):
    path = folder / "rubbish.zst"
    path.write_bytes(zstd(b"a\nb\n") + b"rubbish")
    assert read_whole(str(path))[-1] is None
    path.write_bytes(b"")
    assert read_whole(str(path)) == [None]


def test_a_zstd_file_that_cannot_be_read_is_not_taken_for_one_that_breaks_off(folder, monkeypatch):
    path = write(folder, b"a\n" * 100_000, ".zst")

    class Breaking(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 1:
                raise OSError("connection lost")
            return super().read(5)

    content = (folder / "data.zst").read_bytes()
    monkeypatch.setattr(lines, "open_bytes", lambda _: Breaking(content))
    with pytest.raises(OSError, match="connection lost"):
        count_rows(path)


def test_other_compressions_are_refused():
    check_compression(["a.txt", "b.jsonl.gz", "c.jsonl.zst"])
    with pytest.raises(ValueError, match=r"b\.jsonl\.xz is compressed in a way"):
        check_compression(["a.txt", "b.jsonl.xz"])


def count_openings(monkeypatch):
    opened: list[str] = []
    open_bytes = lines.open_bytes

    def counted(path) -> io.IOBase:
        opened.append(path)
        return open_bytes(path)

    monkeypatch.setattr(lines, "open_bytes", counted)
    return opened
