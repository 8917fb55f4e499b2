"""What tells a decoder-only model where a token stands: its position, or a bias of attention."""

import math

import jax
import jax.numpy as jnp
import numpy as np


def segment_positions(segment_ids_BC: jax.Array) -> jax.Array:
    """Returns int32 positions_BC that count from 0 in every run of equal segment ids."""
    index_BC = jnp.broadcast_to(jnp.arange(segment_ids_BC.shape[1]), segment_ids_BC.shape)
    is_inside_BC = jnp.pad(segment_ids_BC[:, 1:] == segment_ids_BC[:, :-1], ((0, 0), (1, 0)))
    return index_BC - jax.lax.cummax(jnp.where(is_inside_BC, 0, index_BC), axis=1)


def alibi_bias(num_heads: int, queries: int, keys: int, at: jax.Array | int = 0) -> jax.Array:
    """Returns float32 bias_1HQC: minus a slope of the head's, times the distance to the key.

    Slopes are 2^(-8 i / n) for i = 1 ... n, where n is the next power of two; of more slopes than
    heads MPT takes every second, and then the others.
    """
    n = 2 ** math.ceil(math.log2(num_heads))
    slopes = 2.0 ** (-8 * np.arange(1, n + 1) / n)
    if n != num_heads:
        slopes = np.concatenate([slopes[1::2], slopes[::2]])[:num_heads]
    offsets_QC = jnp.arange(keys)[None] - (at + jnp.arange(queries))[:, None]
    return jnp.asarray(slopes, jnp.float32)[None, :, None, None] * offsets_QC[None, None]
