"""The two hashes that the files on disk depend on. Golden values stand in the tests.

The text hash guards against reading scores beside another text; it is never a
key. hash(id, seed) breaks ties, draws samples and makes the random control.
"""

import farmhash
import numpy as np
import numpy.typing as npt

_GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MASK_64 = (1 << 64) - 1


def text_hash(text: bytes) -> int:
    """FarmHash Fingerprint64 of the stored bytes, as a signed 64-bit integer.

    Equals `tf.fingerprint(text)` read as little-endian int64, and FARM_FINGERPRINT
    of BigQuery.
    """
    unsigned = farmhash.fingerprint64(text)
    return unsigned - (1 << 64) if unsigned >> 63 else unsigned


def splitmix64(x: npt.ArrayLike) -> np.ndarray:
    """The splitmix64 finalizer over uint64, element by element."""
    with np.errstate(over="ignore"):
        z = np.asarray(x, np.uint64) + _GOLDEN_GAMMA
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def id_hash(file: str, rows: npt.ArrayLike, seed: int) -> np.ndarray:
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


def id_uniform(file: str, rows: npt.ArrayLike, seed: int) -> np.ndarray:
    """hash(id, seed) as float32 in [0, 1): its upper 24 bits, which float32 holds exactly."""
    upper = (id_hash(file, rows, seed) >> np.uint64(40)).astype(np.float32)
    return upper * np.float32(2.0**-24)
