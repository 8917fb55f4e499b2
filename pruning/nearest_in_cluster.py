"""The nearest neighbour of every document in its cluster, tile by tile, never N x N.

Documents stand cluster by cluster. Square tiles of that one sequence are compared with
those before them that share a cluster, and pairs of two clusters are masked: large
clusters take many tiles, and many small ones share a tile, by one compiled program.
"""

import collections
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from pruning.progress import progress

# A document without another one in its cluster, or none before it.
NOBODY = -1.0

TILE_ROWS = 1024

# Tiles that stay on the device for those that follow: 1.6 MB each at 768 dimensions.
TILES_ON_DEVICE = 512

# Pairs of tiles that are computed or wait for it.
PAIRS_IN_FLIGHT = 16


def nearest_in_cluster(x_ND: np.ndarray, cluster_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Highest cosine similarity of each document to the others of its cluster.

    Args:
      x_ND: embeddings with a direction, float16, in order of cluster.
      cluster_N: of each, ascending.

    Returns:
      The highest to any other document of the cluster, and the highest to those that stand
      before it; float32 [N], -1 where there is none.
    """
    n = len(x_ND)
    before_N, after_N = np.full(n, NOBODY, np.float32), np.full(n, NOBODY, np.float32)
    tiles = _Tiles(x_ND, cluster_N)
    waiting: collections.deque = collections.deque()

    def take() -> None:
        i, j, after_i, before_j = waiting.popleft()
        for highest_N, tile, value in ((after_N, i, after_i), (before_N, j, before_j)):
            part = highest_N[tile * TILE_ROWS : (tile + 1) * TILE_ROWS]
            np.maximum(part, np.asarray(value)[: len(part)], out=part)

    with progress("compare", n, "documents") as advance:
        for i, j in _pairs(cluster_N):
            waiting.append((i, j, *_compare(*tiles[i], *tiles[j], i == j)))
            if len(waiting) > PAIRS_IN_FLIGHT:
                take()
            if i == j:  # the last pair of each
                advance(min(TILE_ROWS, n - i * TILE_ROWS))
        while waiting:
            take()
    return np.maximum(before_N, after_N), before_N


def _pairs(cluster_N: np.ndarray) -> Iterator[tuple[int, int]]:
    """Tiles i <= j that share a cluster, in order of j."""
    for j, first in enumerate(range(0, len(cluster_N), TILE_ROWS)):
        begin = int(np.searchsorted(cluster_N, cluster_N[first]))
        for i in range(begin // TILE_ROWS, j + 1):
            yield i, j


class _Tiles:
    """TILE_ROWS rows and their clusters on the device; the last is filled up with no cluster."""

    def __init__(self, x_ND: np.ndarray, cluster_N: np.ndarray):
        self._x_ND, self._cluster_N = x_ND, cluster_N
        self._there: collections.OrderedDict[int, tuple[jax.Array, jax.Array]] = (
            collections.OrderedDict()
        )

    def __getitem__(self, tile: int) -> tuple[jax.Array, jax.Array]:
        if tile not in self._there:
            rows = slice(tile * TILE_ROWS, (tile + 1) * TILE_ROWS)
            n = len(self._cluster_N[rows])
            x_ND = np.zeros((TILE_ROWS, self._x_ND.shape[1]), np.float16)
            cluster_N = np.full(TILE_ROWS, -1, np.int32)
            x_ND[:n], cluster_N[:n] = self._x_ND[rows], self._cluster_N[rows]
            self._there[tile] = (jnp.asarray(x_ND), jnp.asarray(cluster_N))
            if len(self._there) > TILES_ON_DEVICE:
                self._there.popitem(last=False)
        self._there.move_to_end(tile)
        return self._there[tile]


@jax.jit
def _compare(
    x_ID: jax.Array, cluster_I: jax.Array, x_JD: jax.Array, cluster_J: jax.Array, is_same: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """For each row of the first tile the highest similarity to one of the second, and back."""
    similarity_IJ = jnp.matmul(_directions(x_ID), _directions(x_JD).T, precision="highest")
    rows = jnp.arange(TILE_ROWS)
    is_pair_IJ = (cluster_I[:, None] == cluster_J[None]) & (cluster_I[:, None] >= 0)
    is_pair_IJ &= ~is_same | (rows[:, None] < rows[None])
    similarity_IJ = jnp.where(is_pair_IJ, jnp.clip(similarity_IJ, -1, 1), NOBODY)
    return similarity_IJ.max(axis=1), similarity_IJ.max(axis=0)


def _directions(x_ND: jax.Array) -> jax.Array:
    x_ND = x_ND.astype(jnp.float32)
    length_N = jnp.linalg.norm(x_ND, axis=1)
    return x_ND / jnp.where(length_N > 0, length_N, 1)[:, None]
