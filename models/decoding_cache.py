"""What attention layers remember while a model writes one token after another.

It lies in the Flax collection `cache`, which the first call makes and later ones change.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

COLLECTION = "cache"

# Runs a network over the next positions of rows: of (tokens_BQ, the first of their positions, the
# variables so far), it gives hidden_BQD and the variables, which are {} at the beginning.
DecodingStep = Callable[[jax.Array, Any, Any], tuple[jax.Array, Any]]


def append(
    module: nn.Module, key_BQHK: jax.Array, value_BQHK: jax.Array, at: jax.Array | int, length: int
) -> tuple[jax.Array, jax.Array]:
    """Adds the keys and values of new positions to those of a layer.

    Args:
        module: The layer, inside its call.
        key_BQHK, value_BQHK: Of Q new positions.
        at: The first of them.
        length: Positions that there is room for, C.

    Returns:
        key_BCHK and value_BCHK, zero after the last position so far.
    """

    def grown(name: str, new: jax.Array) -> jax.Array:
        shape = (new.shape[0], length, *new.shape[2:])
        cache = module.variable(COLLECTION, name, jnp.zeros, shape, new.dtype)
        cache.value = jax.lax.dynamic_update_slice_in_dim(cache.value, new, at, axis=1)
        return cache.value

    return grown("cached_key", key_BQHK), grown("cached_value", value_BQHK)


def once(
    module: nn.Module, compute: Callable[[], tuple[jax.Array, jax.Array]]
) -> tuple[jax.Array, jax.Array]:
    """Returns the keys and values that `compute` gave in the first call of a layer."""
    return module.variable(COLLECTION, "key_and_value", compute).value
