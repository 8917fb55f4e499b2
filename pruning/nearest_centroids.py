"""Which centroid is nearest to each direction, and the sums of those nearest to each.

Similarities that decide have no rounding in them (`unit_vectors`), and sums are sums of
whole numbers: neither depends on the order of the documents, nor on their blocks. The
grid moves a similarity by about 2e-4, far less than what lies between two centroids.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from pruning.unit_vectors import blocks, on_grid, unit_vectors

# A product of two directions, at most 1, is exact: 12 + 11 bits are less than 24.
DIRECTION_BITS = 12
CENTROID_BITS = 11

# Documents and centroids whose similarities are computed together, which bounds the memory.
BLOCK_ROWS = 4096
TILE_CENTROIDS = 1024

# So many directions can be summed in 32 bits.
MOST_SUMMED = 2 ** (31 - DIRECTION_BITS - 1)


class Assignment:
    """Finds the nearest centroids.

    Args:
      centroid_KD: float32, of length 1.
    """

    def __init__(self, centroid_KD: np.ndarray):
        self._num_clusters = len(centroid_KD)
        grid_KD = on_grid(centroid_KD, CENTROID_BITS) / np.float32(2.0**CENTROID_BITS)
        tile = min(TILE_CENTROIDS, len(grid_KD))
        self._centroid_GKD = jnp.asarray(
            np.stack([tile_KD for tile_KD, _ in blocks(grid_KD, tile)])
        )

    def labels(self, direction_ND: np.ndarray) -> tuple[np.ndarray, float]:
        """The number of each direction's centroid, int32 [N], and the sum of the similarities.

        Args:
          direction_ND: int16, multiples of 2**-DIRECTION_BITS.
        """
        found = [
            (*_nearest(block_ND, self._centroid_GKD, self._num_clusters), n)
            for block_ND, n in blocks(direction_ND, BLOCK_ROWS)
        ]
        labels = [np.asarray(label_N)[:n] for label_N, _, n in found]
        total = sum(float(np.asarray(best_N)[:n].sum(dtype=np.float64)) for _, best_N, n in found)
        return np.concatenate([np.zeros(0, np.int32), *labels]), total


class ClusterSums:
    """Sums and numbers of the members of K clusters, exact whatever the order."""

    def __init__(self, num_clusters: int, size: int):
        self.sum_KD = np.zeros((num_clusters, size), np.int64)
        self.count_K = np.zeros(num_clusters, np.int64)
        self._part_KD = jnp.zeros((num_clusters, size), jnp.int32)
        self._in_part = 0

    def add(self, direction_ND: np.ndarray, label_N: np.ndarray) -> None:
        """Adds N directions, multiples of 2**-DIRECTION_BITS, to their clusters."""
        self.count_K += np.bincount(label_N, minlength=len(self.count_K))
        for first in range(0, len(label_N), BLOCK_ROWS):
            (block_ND, n), *_ = blocks(direction_ND[first : first + BLOCK_ROWS], BLOCK_ROWS)
            block_label_N = np.zeros(BLOCK_ROWS, np.int32)  # padding adds zeros to cluster 0
            block_label_N[:n] = label_N[first : first + n]
            self._part_KD = _add_members(self._part_KD, block_ND, block_label_N)
            self._in_part += n
            if self._in_part + BLOCK_ROWS > MOST_SUMMED:
                self.flush()

    def flush(self) -> None:
        """Brings what is on the device into `sum_KD`."""
        self.sum_KD += np.asarray(self._part_KD)
        self._part_KD = jnp.zeros_like(self._part_KD)
        self._in_part = 0


def similarity_to_centroid(
    embedding_ND: np.ndarray, centroid_KD: np.ndarray, label_N: np.ndarray
) -> np.ndarray:
    """Cosine similarity of each document to the centroid of its number, float64 [N]."""
    x_ND = unit_vectors(embedding_ND)[0].astype(np.float64)
    return np.clip((x_ND * centroid_KD[label_N]).sum(axis=1), -1.0, 1.0)


@functools.partial(jax.jit, static_argnames="num_clusters")
def _nearest(
    direction_ND: jax.Array, centroid_GKD: jax.Array, num_clusters: int
) -> tuple[jax.Array, jax.Array]:
    """Number and similarity of the nearest centroid, tile by tile of centroids."""
    x_ND = direction_ND.astype(jnp.float32) * 2.0**-DIRECTION_BITS
    tile = centroid_GKD.shape[1]

    def look_at(best, numbered):
        first, centroid_KD = numbered
        similarity_NK = jnp.matmul(x_ND, centroid_KD.T, precision="highest")
        number_K = first + jnp.arange(tile, dtype=jnp.int32)
        similarity_NK = jnp.where(number_K[None] < num_clusters, similarity_NK, -jnp.inf)
        highest_N = similarity_NK.max(axis=1)
        # What argmax gives; XLA makes that several times slower on a CPU.
        is_highest_NK = similarity_NK == highest_N[:, None]
        label_N = jnp.where(is_highest_NK, number_K[None], num_clusters).min(axis=1)
        # Not >=: of two that are equal, the first.
        is_better_N = highest_N > best[1]
        return (
            jnp.where(is_better_N, label_N, best[0]),
            jnp.where(is_better_N, highest_N, best[1]),
        ), None

    begin = (jnp.zeros(len(x_ND), jnp.int32), jnp.full(len(x_ND), -jnp.inf, jnp.float32))
    firsts = jnp.arange(len(centroid_GKD), dtype=jnp.int32) * tile
    return jax.lax.scan(look_at, begin, (firsts, centroid_GKD))[0]


@functools.partial(jax.jit, donate_argnums=0)
def _add_members(sum_KD: jax.Array, direction_ND: jax.Array, label_N: jax.Array) -> jax.Array:
    return sum_KD.at[label_N].add(direction_ND.astype(jnp.int32))
