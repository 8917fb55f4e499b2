"""T5's relative position bias: one table a stack, looked up by the offset between positions."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn


def relative_position_buckets(
    offsets: np.ndarray, *, bidirectional: bool, num_buckets: int, max_distance: int
) -> np.ndarray:
    """Maps offsets to rows of the bias table (Raffel et al. 2020, section 2.1).

    Half of the buckets hold one offset each, the other half grow logarithmically up to
    `max_distance`; beyond, all share the last.

    Args:
        offsets: Key position minus query position, in tokens, any shape.
        bidirectional: Whether keys after the query have buckets of their own (half of them);
            otherwise they fall into bucket 0.
        num_buckets: Rows of the table.
        max_distance: In tokens.

    Returns:
        int32 buckets in [0, num_buckets), of the same shape.
    """
    first = np.zeros_like(offsets)
    if bidirectional:
        num_buckets //= 2
        first = np.where(offsets > 0, num_buckets, 0)
        distances = np.abs(offsets)
    else:
        distances = np.maximum(-offsets, 0)
    exact = num_buckets // 2
    # float32 with this epsilon, as in t5x: near powers of two other precisions round elsewhere.
    logs = np.log(distances.astype(np.float32) / exact + np.finfo(np.float32).eps)
    coarse = exact + (logs / np.log(max_distance / exact) * (num_buckets - exact)).astype(np.int32)
    buckets = np.where(distances < exact, distances, np.minimum(coarse, num_buckets - 1))
    return (first + buckets).astype(np.int32)


class RelativePositionBias(nn.Module):
    """Bias added to the attention scores of every layer of one stack.

    Depends on offsets only, so packed documents see the same bias as alone.
    """

    num_heads: int
    num_buckets: int
    max_distance: int
    bidirectional: bool

    @nn.compact
    def __call__(self, length: int) -> jax.Array:
        """Returns the float32 bias_1HQC of self-attention over `length` positions."""
        table = self.param(
            "rel_embedding",
            nn.initializers.variance_scaling(1.0, "fan_avg", "uniform"),
            (self.num_heads, self.num_buckets),
            jnp.float32,
        )
        # Entry i is offset i, and counted from the end for negative ones.
        offsets = np.concatenate([np.arange(length), np.arange(-length, 0)])
        buckets = relative_position_buckets(
            offsets,
            bidirectional=self.bidirectional,
            num_buckets=self.num_buckets,
            max_distance=self.max_distance,
        )
        bias = table.astype(jnp.float32)[:, buckets]
        # Rows of one entry less than the period shift by one from row to row, which makes the
        # matrix without a gather (whose gradient would be a slow scatter over all pairs).
        period = 2 * length
        rows = jnp.broadcast_to(bias[:, None], (self.num_heads, length, period))
        flat = rows.reshape(self.num_heads, -1)[:, : length * (period - 1)]
        return flat.reshape(1, self.num_heads, length, period - 1)[..., :length]
