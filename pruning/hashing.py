"""The two hashes that the files on disk depend on. Golden values stand in the tests.

The text hash guards against reading scores beside another text; it is never a
key. hash(id, seed) breaks ties, draws samples and makes the random control.
"""

import farmhash
import numpy as np

_GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MASK_64 = (1 << 64) - 1


def text_hash(text: bytes) -> int:
    """FarmHash Fingerprint64 of the stored bytes, as a signed 64-bit integer.

    Equals `tf.fingerprint(text)` read as little-endian int64, and FARM_FINGERPRINT
    of BigQuery.
    """
    unsigned = farmhash.fingerprint64(text)
    return unsigned - (1 << 64) if unsigned >> 63 else unsigned


def splitmix64(x: np.ndarray) -> np.ndarray:
    """The splitmix64 finalizer over uint64, element by element."""
    x = np.asarray(x, np.uint64)
    with np.errstate(over="ignore"):
        x = x + _GOLDEN_GAMMA
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def id_hash(file: str, rows: np.ndarray, seed: int) -> np.ndarray:
    """hash(id, seed) = splitmix64(fingerprint(file) ^ seed ^ row * 0x9E3779B97F4A7C15).

    Args:
      file: path of the physical file relative to its root; hashed as UTF-8.
      rows: integer rows, any shape.
      seed: any integer; its low 64 bits count.

    Returns:
      uint64 of the shape of `rows`.
    """
    key = np.uint64((farmhash.fingerprint64(file.encode("utf-8")) ^ seed) & _MASK_64)
    with np.errstate(over="ignore"):
        return splitmix64(key ^ (np.asarray(rows).astype(np.uint64) * _GOLDEN_GAMMA))


def id_uniform(file: str, rows: np.ndarray, seed: int) -> np.ndarray:
    """hash(id, seed) as float64 in [0, 1): its upper 53 bits over 2**53."""
    return (id_hash(file, rows, seed) >> np.uint64(11)).astype(np.float64) * 2.0**-53
