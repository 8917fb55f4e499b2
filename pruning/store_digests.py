"""What names a score store and its texts in a selection."""

import hashlib
from collections.abc import Set

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pruning.documents import Unit
from pruning.hashing import text_hash
from pruning.score_store import ScoreStore


def manifest_digest(store: ScoreStore) -> str:
    """SHA-256 of the manifest: what was scored, with what."""
    return hashlib.sha256((store.folder / "manifest.json").read_bytes()).hexdigest()


def digest(store: ScoreStore, there: Set[Unit]) -> str:
    """SHA-256 over the manifest and the files of units, in order: as read, where they were read.

    Args:
      store: of the scores.
      there: units that were on disk.
    """
    total = hashlib.sha256((store.folder / "manifest.json").read_bytes())
    for unit in (unit for unit in store.units if unit in there):
        if unit not in store.digests:
            store.read(unit, [])
        total.update(store.digests[unit])
    return total.hexdigest()


def text_hashes_digest(text_hash_N: pa.ChunkedArray) -> str:
    """SHA-256 of a unit's text hashes as little-endian int64.

    0 stands for a record without text and for one with an empty text: an export
    cannot tell the two apart, and neither is ever kept.
    """
    hashes_N = (pc.fill_null(text_hash_N, 0) if text_hash_N.null_count else text_hash_N).to_numpy()
    is_empty_N = hashes_N == text_hash(b"")
    if is_empty_N.any():
        hashes_N = np.where(is_empty_N, 0, hashes_N)
    return hashlib.sha256(np.ascontiguousarray(hashes_N, "<i8").data).hexdigest()
