"""A flipped bit anywhere in a unit's file is noticed."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pruning.sealed_parquet import check_seal, read_sealed, sealed_bytes

TABLE = pa.table({"nll": pa.array([1.5, None, 2.0], pa.float32()), "reason": [None, "empty", None]})


def test_any_reader_opens_it_and_it_reads_back_whole_or_in_part():
    data = sealed_bytes(TABLE)
    assert data == sealed_bytes(TABLE)
    assert read_sealed(data).equals(TABLE)
    assert read_sealed(data, ["reason"]).column_names == ["reason"]
    assert pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False).equals(TABLE)
    assert sealed_bytes(TABLE.slice(0, 0)) != data


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_every_kind_of_column_reads_back_in_any_order(rows):
    columns = {
        "nll": pa.array([np.nan, -0.0, 1e-40], pa.float32()),
        "embedding": pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.float16(), 2)),
        "reason": pa.nulls(3, pa.string()),
        "text_hash": pa.array([-(1 << 63), None, (1 << 63) - 1]),
        "truncated": [True, None, False],
        "domain": ["web", None, ""],
        "url": pa.nulls(3, pa.string()),
    }
    table = pa.table(columns).slice(0, rows)
    for names in ([*columns], [*reversed(columns)], ["url"], ["url", "nll"], []):
        found = read_sealed(sealed_bytes(table), names)
        expected = table.select(names)
        assert (found.schema, found.num_rows) == (expected.schema, rows)
        assert repr(found.to_pydict()) == repr(expected.to_pydict())


def test_the_digest_of_a_sealed_file_is_that_of_its_bytes():
    data = sealed_bytes(TABLE)
    assert check_seal(data) == hashlib.sha256(data).digest()


def test_no_flipped_bit_is_read():
    data = sealed_bytes(TABLE)
    for i in range(len(data)):
        flipped = bytearray(data)
        flipped[i] ^= 1 << i % 8
        with pytest.raises(OSError, match=r"SHA-256|damaged"):
            read_sealed(bytes(flipped), ["nll"])


def test_a_file_cut_off_or_of_another_writer_is_refused():
    data = sealed_bytes(TABLE)
    for broken in (b"", data[:-1], data[:-80], data[: len(data) // 2]):
        with pytest.raises(OSError, match=r"no file of scores, or a damaged one|its SHA-256 is"):
            read_sealed(broken)
    buffer = pa.BufferOutputStream()
    pq.write_table(TABLE, buffer)
    with pytest.raises(OSError, match="no file of scores"):
        read_sealed(buffer.getvalue().to_pybytes())
