"""Per-token statistics from hidden states and head, without the full [B, T, V] logits.

Logits of a few positions at a time are made, reduced and dropped; the gradient makes them
again. With T5's vocabulary and 64 rows of 114 targets the full float32 logits are 0.94 GB.
"""

import functools

import jax
import jax.numpy as jnp


def token_nll(
    hidden_BTD: jax.Array, kernel_DV: jax.Array, targets_BT: jax.Array, *, chunk: int = 512
) -> jax.Array:
    """Negative log-likelihood of each target token.

    Args:
        hidden_BTD: Hidden states before the head. The product runs in their dtype and
            accumulates in float32.
        kernel_DV: The head's kernel, see `models.t5.head_kernel`.
        targets_BT: int32 token ids in [0, V), any id at padding.
        chunk: Positions whose logits exist at one time (512 of T5's are 66 MB).

    Returns:
        nll_BT in nats, float32. Padding has a value too: mask it by the segment ids.
    """
    return token_nll_and_logsumexp(hidden_BTD, kernel_DV, targets_BT, chunk=chunk)[0]


def token_nll_and_logsumexp(
    hidden_BTD: jax.Array, kernel_DV: jax.Array, targets_BT: jax.Array, *, chunk: int = 512
) -> tuple[jax.Array, jax.Array]:
    """As `token_nll`, with the logarithm of the softmax's denominator.

    Returns:
        nll_BT and logsumexp_BT, float32, in nats. T5's z-loss is 1e-4 * logsumexp ** 2.
    """
    positions = targets_BT.size
    num_chunks = -(-positions // chunk)
    size = -(-positions // num_chunks)
    padding = num_chunks * size - positions
    hidden_ND = jnp.pad(hidden_BTD.reshape(positions, -1), ((0, padding), (0, 0)))
    targets_N = jnp.pad(targets_BT.reshape(positions), (0, padding))
    # A chunk takes every num_chunks-th position, so rows laid out over devices stay there.
    nll, logsumexp = jax.lax.map(
        functools.partial(_chunk_statistics, kernel_DV),
        (
            hidden_ND.reshape(size, num_chunks, -1).swapaxes(0, 1),
            targets_N.reshape(size, num_chunks).swapaxes(0, 1),
        ),
    )

    def unchunk(values):
        return values.swapaxes(0, 1).reshape(-1)[:positions].reshape(targets_BT.shape)

    return unchunk(nll), unchunk(logsumexp)


@jax.checkpoint
def _chunk_statistics(kernel_DV, chunk):
    hidden_ND, targets_N = chunk
    # Cast here and not outside the loop: gradients of the chunks then add up in float32.
    logits_NV = jnp.matmul(
        hidden_ND, kernel_DV.astype(hidden_ND.dtype), preferred_element_type=jnp.float32
    )
    logsumexp_N = jax.nn.logsumexp(logits_NV, axis=-1)
    target_logits_N = jnp.take_along_axis(logits_NV, targets_N[:, None], axis=-1)[:, 0]
    return logsumexp_N - target_logits_N, logsumexp_N
