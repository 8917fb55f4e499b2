"""Embeddings as directions on a grid, so that their products are the same numbers everywhere.

A float32 holds every whole number up to 2**24. Where the parts of two vectors are
whole multiples of 2**-a and 2**-b, and no partial sum of their product exceeds
2**(24-a-b), the product has no rounding in it: any device, any shape of a batch and any
order of summation give the same bits. What is decided by such a product (a bucket, the
nearest centroid) then depends on nothing but the two vectors. float32 has room for
grids a few hundred times finer than what the decisions need.
"""

from collections.abc import Iterator

import numpy as np

# Bits of a float32's significand, the leading one included.
SIGNIFICAND_BITS = 24


def unit_vectors(embedding_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Divides vectors by their lengths.

    Args:
      embedding_ND: any floats.

    Returns:
      float32 [N, D], zero where there is no direction (a vector of zeros, or one that is
      not finite); and bool [N], where there is one.
    """
    x_ND = np.asarray(embedding_ND, np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        # In float64, whose rounding no other machine's float32 length shows.
        length_N = np.sqrt(np.einsum("nd,nd->n", x_ND, x_ND, dtype=np.float64))
        length_N = length_N.astype(np.float32)
    has_direction_N = np.isfinite(length_N) & (length_N > 0)
    if not has_direction_N.all():
        x_ND = np.where(has_direction_N[:, None], x_ND, np.float32(0))
    return x_ND / np.where(has_direction_N, length_N, np.float32(1))[:, None], has_direction_N


def on_grid(unit_ND: np.ndarray, bits: int) -> np.ndarray:
    """The nearest multiples of 2**-bits, as int16 multiples; `bits` is at most 14."""
    return np.rint(unit_ND * np.float32(2.0**bits)).astype(np.int16)


def blocks(x_ND: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, int]]:
    """Cuts rows into blocks of one shape, so that one compiled program serves all.

    Args:
      x_ND: N rows.
      size: rows of a block.

    Yields:
      `size` rows, zeros at the end of the last, and how many of them are rows of `x_ND`.
    """
    for first in range(0, len(x_ND), size):
        block_ND = x_ND[first : first + size]
        n = len(block_ND)
        if n < size:
            block_ND = np.concatenate([block_ND, np.zeros((size - n, *x_ND.shape[1:]), x_ND.dtype)])
        yield block_ND, n
