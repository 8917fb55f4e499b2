"""Per-token statistics from hidden states and head, without the full [B, T, V] logits.

Logits of a few positions at a time are made, reduced and dropped; the gradient makes them
again. With T5's vocabulary and 64 rows of 114 targets the full float32 logits are 0.94 GB.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from models.partitioning import data_parts


def token_nll(
    hidden_BTD: jax.Array, kernel_DV: jax.Array, targets_BT: jax.Array, *, chunk: int = 512
) -> jax.Array:
    """Negative log-likelihood of each target token.

    Args:
        hidden_BTD: Hidden states before the head. The product runs in their dtype and
            accumulates in float32.
        kernel_DV: The head's kernel, see `models.families.head_kernel`.
        targets_BT: int32 token ids in [0, V), any id at padding.
        chunk: Positions whose logits exist at one time on a device (512 of T5's are 66 MB, or the
            device's share of the vocabulary).

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

    return _in_chunks(_nll_and_logsumexp, hidden_BTD, kernel_DV, targets_BT, chunk=chunk)


def token_nll_and_el2n(
    hidden_BTD: jax.Array, kernel_DV: jax.Array, targets_BT: jax.Array, *, chunk: int = 512
) -> tuple[jax.Array, jax.Array]:
    """As `token_nll`, with the L2 norm of the error of the predicted distribution.

    EL2N is ||p - e_y||, the square root of (1 - p_y)^2 plus the squares of all other
    probabilities ("When Less is More"). The paper's 1 - 2 p_y + sum p^2 is the same
    number, and loses all digits where p_y is near 1.

    Returns:
        nll_BT in nats and el2n_BT in [0, sqrt(2)], float32.
    """

    def statistics(logits_NV, targets_N):
        nll_N, logsumexp_N = _nll_and_logsumexp(logits_NV, targets_N)
        is_target_NV = jnp.arange(logits_NV.shape[1])[None] == targets_N[:, None]
        squares_NV = jnp.exp(2 * (logits_NV - logsumexp_N[:, None]))
        others_N = jnp.where(is_target_NV, 0.0, squares_NV).sum(-1)
        return nll_N, jnp.sqrt(jnp.square(jnp.expm1(-nll_N)) + others_N)

    return _in_chunks(statistics, hidden_BTD, kernel_DV, targets_BT, chunk=chunk)


def summed_log_prob(
    hidden_BTD: jax.Array,
    kernel_DV: jax.Array,
    id_sets: Sequence[Sequence[int]],
    *,
    chunk: int = 512,
) -> tuple[jax.Array, ...]:
    """Logarithm of the probability that a position gives to any of some tokens.

    Args:
        hidden_BTD, kernel_DV, chunk: As for `token_nll`.
        id_sets: Sets of token ids; each gives one result.

    Returns:
        log_prob_BT in nats, float32, for each set, under the softmax over the vocabulary.
    """

    def statistics(logits_NV):
        logsumexp_N = jax.nn.logsumexp(logits_NV, axis=-1)
        return tuple(
            jax.nn.logsumexp(logits_NV[:, np.asarray(ids)], axis=-1) - logsumexp_N
            for ids in id_sets
        )

    return _in_chunks(statistics, hidden_BTD, kernel_DV, chunk=chunk)


def _nll_and_logsumexp(logits_NV, targets_N):
    logsumexp_N = jax.nn.logsumexp(logits_NV, axis=-1)
    target_logits_N = jnp.take_along_axis(logits_NV, targets_N[:, None], axis=-1)[:, 0]
    return logsumexp_N - target_logits_N, logsumexp_N


def _in_chunks(statistics, hidden_BTD, kernel_DV, *values_BT, chunk):
    """Maps `statistics` over the logits of some positions at a time, and what goes with them."""
    shape = hidden_BTD.shape[:2]
    # Each part of a mesh takes its own rows in chunks, so none has to be sent to another.
    parts = data_parts()
    positions = shape[0] * shape[1] // parts
    num_chunks = -(-positions // chunk)
    size = -(-positions // num_chunks)

    def chunked(values):
        rest = values.shape[2:]
        padding = ((0, 0), (0, num_chunks * size - positions), *((0, 0) for _ in rest))
        padded = jnp.pad(values.reshape(parts, positions, *rest), padding)
        chunks = jnp.moveaxis(padded.reshape(parts, size, num_chunks, *rest), 2, 0)
        return chunks.reshape(num_chunks, parts * size, *rest)

    def unchunked(values):
        chunks = jnp.moveaxis(values.reshape(num_chunks, parts, size), 0, 2)
        return chunks.reshape(parts, -1)[:, :positions].reshape(shape)

    @jax.checkpoint
    def chunk_statistics(kernel_DV, chunk):
        hidden_ND, *values_N = chunk
        # Cast here and not outside the loop: gradients of the chunks then add up in float32.
        logits_NV = jnp.matmul(
            hidden_ND, kernel_DV.astype(hidden_ND.dtype), preferred_element_type=jnp.float32
        )
        return statistics(logits_NV, *values_N)

    results = jax.lax.map(
        functools.partial(chunk_statistics, kernel_DV),
        tuple(chunked(values) for values in (hidden_BTD, *values_BT)),
    )
    return tuple(unchunked(values) for values in results)
