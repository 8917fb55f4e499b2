"""How many documents lie near a point: counters of locality-sensitive hashes.

"How to Train Data-Efficient LLMs" Algorithm 2. Each of R rows has one
p-stable hash function (Datar et al. 2004) of B buckets,

    h_r(x) = floor((<w_r, x> + b_r) / bandwidth) mod B,   w_r ~ N(0, I),  b_r ~ U[0, bandwidth),

and counts the documents in each bucket. The mean count over rows of a point's buckets
estimates the sum over documents of the probability that the two share a bucket.

A bucket's edge is where rounding would decide, so nothing is rounded: directions and
weights lie on grids (`unit_vectors`), offsets and bandwidth are whole multiples of the
product grid, and buckets come of whole numbers. The counters are the same on any device
and for any order and cut of the corpus. Weights are rounded to 2**-5, which changes a
projection's variance by 1 in 10,000.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from pruning.unit_vectors import SIGNIFICAND_BITS, blocks, on_grid, unit_vectors

WEIGHT_BITS = 5

# A direction on the grid is longer than 1 by less than this factor.
LONGEST_ROUNDED = 1.01

BANDWIDTHS = (0.001, 1000.0)
BLOCK_ROWS = 2048


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HashFunctions:
    """R hash functions of D-dimensional directions, in whole numbers.

    Attributes:
      weight_DR: multiples of 2**-WEIGHT_BITS, int16.
      offset_R: b_r in multiples of the product grid, int32.
      bandwidth: of a bucket, in distance between directions (0 to 2).
      num_buckets: B.
    """

    weight_DR: np.ndarray
    offset_R: np.ndarray
    bandwidth: float
    num_buckets: int

    @functools.cached_property
    def direction_bits(self) -> int:
        """The finest grid of directions on which every product is exact."""
        longest = np.linalg.norm(self.weight_DR / 2.0**WEIGHT_BITS, axis=0).max()
        return min(
            14, SIGNIFICAND_BITS - WEIGHT_BITS - math.ceil(math.log2(longest * LONGEST_ROUNDED))
        )

    @property
    def bucket_width(self) -> int:
        """The bandwidth in multiples of the product grid."""
        return round(self.bandwidth * 2 ** (WEIGHT_BITS + self.direction_bits))

    def directions(self, embedding_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """int16 [N, D] on the grid, and bool [N], where a vector has a direction."""
        unit_ND, has_direction_N = unit_vectors(embedding_ND)
        if unit_ND.shape[1] != len(self.weight_DR):
            raise ValueError(
                f"The embeddings have {unit_ND.shape[1]} dimensions, but the hash functions were "
                f"drawn for {len(self.weight_DR)}: they belong to another model. Fit density anew."
            )
        return on_grid(unit_ND, self.direction_bits), has_direction_N


def draw_hash_functions(
    size: int, *, rows: int, buckets: int, bandwidth: float, seed: int
) -> HashFunctions:
    """Draws R hash functions.

    Args:
      size: dimensions D of an embedding.
      rows: R.
      buckets: B.
      bandwidth: of a bucket.
      seed: of the draw.

    Raises:
      ValueError: a number is out of range.
    """
    low, high = BANDWIDTHS
    if not low <= bandwidth <= high:
        raise ValueError(
            f"bandwidth is {bandwidth}; two directions are at most 2 apart. Use {low} to {high:g}."
        )
    # A mean of more rows would need more than 32 bits on a device, and no estimate needs them.
    if not (1 <= rows <= 2**15 and 1 <= buckets <= 2**24):
        raise ValueError(
            f"A sketch of {rows} rows and {buckets} buckets is asked for; use at most {2**15:,} rows "
            f"and {2**24:,} buckets, and at least one of each. The paper has 1,000 and 20,000."
        )
    generator = np.random.default_rng(seed)
    weight_DR = np.rint(generator.standard_normal((size, rows)) * 2.0**WEIGHT_BITS)
    functions = HashFunctions(
        weight_DR=weight_DR.astype(np.int16),
        offset_R=np.zeros(rows, np.int32),
        bandwidth=bandwidth,
        num_buckets=buckets,
    )
    offset_R = np.floor(generator.random(rows) * functions.bucket_width).astype(np.int32)
    return dataclasses.replace(functions, offset_R=offset_R)


class Sketch:
    """Counters [R, B] on the device.

    Args:
      functions: R hash functions.
      count_RB: counters to begin with, int32; zeros by default.
    """

    def __init__(self, functions: HashFunctions, count_RB: np.ndarray | None = None):
        self.functions = functions
        shape = (len(functions.offset_R), functions.num_buckets)
        self._count_RB = jnp.zeros(shape, jnp.int32) if count_RB is None else jnp.asarray(count_RB)
        self._weight_DR = jnp.asarray(functions.weight_DR / np.float32(2.0**WEIGHT_BITS))
        self._offset_R = jnp.asarray(functions.offset_R)
        self._static = {
            "direction_bits": functions.direction_bits,
            "bucket_width": functions.bucket_width,
        }

    def add(self, embedding_ND: np.ndarray) -> int:
        """Counts documents; those without a direction are left out.

        Returns:
          How many were counted.
        """
        direction_ND, has_direction_N = self.functions.directions(embedding_ND)
        direction_ND = direction_ND[has_direction_N]
        for block_ND, n in blocks(direction_ND, BLOCK_ROWS):
            self._count_RB = _add(
                self._count_RB, block_ND, n, self._weight_DR, self._offset_R, **self._static
            )
        return len(direction_ND)

    def mean_counts(self, embedding_ND: np.ndarray) -> np.ndarray:
        """The mean over rows of the counters of each vector's buckets.

        Returns:
          float32 [N], NaN where a vector has no direction.
        """
        direction_ND, has_direction_N = self.functions.directions(embedding_ND)
        sums = [
            _count_sums(self._count_RB, block_ND, self._weight_DR, self._offset_R, **self._static)
            for block_ND, _ in blocks(direction_ND, BLOCK_ROWS)
        ]
        if not sums:
            return np.zeros(0, np.float32)
        high_N, low_N = (
            np.concatenate(parts)[: len(direction_ND)] for parts in zip(*sums, strict=True)
        )
        mean_N = (high_N * 2.0**16 + low_N) / len(self.functions.offset_R)
        return np.where(has_direction_N, mean_N, np.nan).astype(np.float32)

    @property
    def counts(self) -> np.ndarray:
        """int32 [R, B]."""
        return np.asarray(self._count_RB)


def _buckets(
    direction_ND: jax.Array,
    weight_DR: jax.Array,
    offset_R: jax.Array,
    num_buckets: int,
    direction_bits: int,
    bucket_width: int,
) -> jax.Array:
    """h_r of each direction, int32 [N, R]."""
    grid = 2.0 ** (WEIGHT_BITS + direction_bits)
    x_ND = direction_ND.astype(jnp.float32) * 2.0**-direction_bits
    projection_NR = jnp.matmul(x_ND, weight_DR, precision="highest")
    # Division rounds towards zero: shift by whole buckets to where everything is positive.
    shift = -(-(2**SIGNIFICAND_BITS) // bucket_width)
    position_NR = (projection_NR * grid).astype(jnp.int32) + (offset_R + shift * bucket_width)[None]
    bucket_NR = jax.lax.div(position_NR, jnp.int32(bucket_width)) + (-shift % num_buckets)
    return jax.lax.rem(bucket_NR, jnp.int32(num_buckets))


@functools.partial(
    jax.jit, static_argnames=("direction_bits", "bucket_width"), donate_argnames="count_RB"
)
def _add(
    count_RB: jax.Array,
    direction_ND: jax.Array,
    num_real: jax.Array,
    weight_DR: jax.Array,
    offset_R: jax.Array,
    **static: int,
) -> jax.Array:
    rows, num_buckets = count_RB.shape
    bucket_NR = _buckets(direction_ND, weight_DR, offset_R, num_buckets, **static)
    is_real_N = jnp.arange(len(direction_ND)) < num_real
    return count_RB.at[jnp.arange(rows)[None], bucket_NR].add(is_real_N[:, None].astype(jnp.int32))


@functools.partial(jax.jit, static_argnames=("direction_bits", "bucket_width"))
def _count_sums(
    count_RB: jax.Array,
    direction_ND: jax.Array,
    weight_DR: jax.Array,
    offset_R: jax.Array,
    **static: int,
) -> tuple[jax.Array, jax.Array]:
    """Sums over rows of the upper and the lower 16 bits: neither overflows 32 bits."""
    rows, num_buckets = count_RB.shape
    bucket_NR = _buckets(direction_ND, weight_DR, offset_R, num_buckets, **static)
    count_NR = count_RB[jnp.arange(rows)[None], bucket_NR]
    return (count_NR >> 16).sum(axis=1), (count_NR & 0xFFFF).sum(axis=1)
