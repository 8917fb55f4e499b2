"""Parquet files that know their own digest, so that no flipped bit passes for a score.

The digest stands in the file's metadata, under SEAL, and is that of the file with zeros in
its place. Any Parquet reader opens such a file; `read_sealed` checks it first.
"""

import hashlib
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

SEAL = "sha256"
_UNSEALED = b"0" * 64


def sealed_bytes(table: pa.Table) -> bytes:
    """A table as a file in one row group; the same table gives the same bytes."""
    buffer = pa.BufferOutputStream()
    with pq.ParquetWriter(buffer, table.schema, compression="zstd") as writer:
        writer.write_table(table, row_group_size=max(table.num_rows, 1))
        writer.add_key_value_metadata({SEAL: _UNSEALED.decode()})
    data = buffer.getvalue().to_pybytes()
    at, seal = _seal_at(data), hashlib.sha256(data).hexdigest().encode()
    return data[:at] + seal + data[at + len(seal) :]


def read_sealed(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The table of a file, whole or some columns of it.

    Raises:
      OSError: the file is not as it was written.
    """
    at = _seal_at(data)
    seal = data[at : at + len(_UNSEALED)]
    digest, whole = hashlib.sha256(), memoryview(data)
    for part in (whole[:at], _UNSEALED, whole[at + len(seal) :]):
        digest.update(part)
    found = digest.hexdigest()
    if found.encode() != seal:
        raise OSError(f"its SHA-256 is {found}, and was {seal!r} when it was written")
    # Not `pq.read_table`: it leaves the buffer to a thread of Arrow's, and when that
    # lets go of it while the interpreter exits, the process aborts.
    file = pq.ParquetFile(pa.BufferReader(data))
    return file.read(None if columns is None else list(columns), use_threads=False)


def _seal_at(data: bytes) -> int:
    """Where the digest begins: after its name and, in Thrift, two bytes for a string of 64."""
    name = SEAL.encode() + b"\x18@"
    at = data.rfind(name)
    if at < 0:
        raise OSError("it is no file of scores, or a damaged one")
    return at + len(name)
