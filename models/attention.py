"""The core of attention, and which way of computing it is taken where.

- `attend`: a product, a softmax and a product, which XLA fuses as far as it can. Right on every
  backend, with dropout and in any dtype; the scores [B, H, Q, C] go to memory in float32.
- `attend_to_memory`: for few queries over a long memory, as in Ask-LLM's decoder with one query a
  document. Taken wherever `is_memory_cheaper`.
- `attend_with_cudnn`: cuDNN's fused kernel, which never writes the scores, but reads mask and
  bias as one array [B, H, Q, C], rounded to bfloat16. It needs an NVIDIA GPU of
  compute capability 8.0 or later, bfloat16, and no dropout. It has to be asked for
  (`T5Config.attention`, `--attention cudnn`), and its scores should be compared with `xla`'s first.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

# Finite, so that a row that sees nothing (padding) becomes an average and not NaN.
_MASKED = -1e10

# From scores to what the values are multiplied by: bias, mask, softmax, dropout.
Weights = Callable[[jax.Array], jax.Array]


def masked_softmax(
    scores_BHQC: jax.Array, mask_B1QC: jax.Array, bias_1HQC: jax.Array | None
) -> jax.Array:
    """Returns the float32 softmax over keys of scores plus bias, where the mask is true."""
    if bias_1HQC is not None:
        scores_BHQC = scores_BHQC + bias_1HQC
    return jax.nn.softmax(jnp.where(mask_B1QC, scores_BHQC, _MASKED))


def attend(
    query_BQHK: jax.Array, key_BCHK: jax.Array, value_BCHK: jax.Array, weights: Weights
) -> jax.Array:
    """Returns y_BQHK, float32."""
    weights_BHQC = weights(_product("BQHK,BCHK->BHQC", query_BQHK, key_BCHK))
    return _product("BHQC,BCHK->BQHK", weights_BHQC, value_BCHK)


def attend_to_memory(
    query_BQHK: jax.Array,
    memory_BCD: jax.Array,
    key_kernel_DHK: jax.Array,
    value_kernel_DHK: jax.Array,
    weights: Weights,
) -> jax.Array:
    """As `attend`, but the memory is not projected to keys and values.

    q (W x) equals (q W) x, so the projections move to the few queries and their results. Heads
    count as queries: XLA on CPU has bfloat16 products with float32 results for plain ones only.

    Returns:
        y_BQHK, float32.
    """
    dtype = query_BQHK.dtype
    batch, queries, heads, _ = query_BQHK.shape
    keys, depth = memory_BCD.shape[1:]
    key_kernel_HKD, value_kernel_HKD = (
        kernel.transpose(1, 2, 0) for kernel in (key_kernel_DHK, value_kernel_DHK)
    )
    query_HBQK = query_BQHK.transpose(2, 0, 1, 3)
    query_HBQD = _product("HBQK,HKD->HBQD", query_HBQK, key_kernel_HKD).astype(dtype)
    query_BND = query_HBQD.transpose(1, 0, 2, 3).reshape(batch, heads * queries, depth)
    scores_BNC = _product("BND,BCD->BNC", query_BND, memory_BCD)
    weights_BHQC = weights(scores_BNC.reshape(batch, heads, queries, keys))
    weights_BNC = weights_BHQC.reshape(batch, heads * queries, keys)
    mean_BND = _product("BNC,BCD->BND", weights_BNC, memory_BCD).astype(dtype)
    mean_HBQD = mean_BND.reshape(batch, heads, queries, depth).transpose(1, 0, 2, 3)
    return _product("HBQD,HKD->HBQK", mean_HBQD, value_kernel_HKD).transpose(1, 2, 0, 3)


def is_memory_cheaper(queries: int, keys: int, d_model: int, head_dim: int) -> bool:
    """Whether `attend_to_memory` multiplies less than projecting the memory and `attend`.

    Per head, and for keys and values alike, a projection of C positions takes C D K
    multiplications and the product with Q queries Q C K; otherwise these are Q D K and Q C D.
    """
    projected = keys * d_model * head_dim + queries * keys * head_dim
    return queries * d_model * head_dim + queries * keys * d_model < projected


def attend_with_cudnn(
    query_BQHK: jax.Array,
    key_BCHK: jax.Array,
    value_BCHK: jax.Array,
    mask_B1QC: jax.Array,
    bias_1HQC: jax.Array | None,
) -> jax.Array:
    """Returns y_BQHK in the queries' dtype. Bias and mask go into the kernel as one bias."""
    if bias_1HQC is not None:
        bias_1HQC = bias_1HQC.astype(query_BQHK.dtype)
    return jax.nn.dot_product_attention(
        query_BQHK,
        key_BCHK,
        value_BCHK,
        bias=bias_1HQC,
        mask=mask_B1QC,
        scale=1.0,  # T5 has none
        implementation="cudnn",
    )


def _product(equation: str, *factors: jax.Array) -> jax.Array:
    return jnp.einsum(equation, *factors, preferred_element_type=jnp.float32)
