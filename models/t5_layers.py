"""Layers of T5. Kernels are float32 parameters; matmuls run in `dtype`, accumulate in float32.

What is added up, normalised or gated between two matmuls is float32.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from models import attention, decoding_cache
from models.configs import T5Config

_FAN_IN_NORMAL = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
_FAN_IN_TRUNCATED = nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")


def segment_mask(query_segment_ids_BQ: jax.Array, key_segment_ids_BC: jax.Array) -> jax.Array:
    """Returns the boolean mask_B1QC: true where query and key share a segment other than 0."""
    queries, keys = query_segment_ids_BQ[:, None, :, None], key_segment_ids_BC[:, None, None, :]
    return (queries == keys) & (keys != 0)


def causal_mask(segment_ids_BC: jax.Array, queries: int, at: jax.Array | int = 0) -> jax.Array:
    """Returns `segment_mask` for the queries at positions `at` onwards, blind to what follows."""
    mask_B1QC = segment_mask(
        jax.lax.dynamic_slice_in_dim(segment_ids_BC, at, queries, axis=1), segment_ids_BC
    )
    keys, rows = jnp.arange(segment_ids_BC.shape[1]), at + jnp.arange(queries)
    return mask_B1QC & (keys[None] <= rows[:, None])[None, None]


class RMSNorm(nn.Module):
    """Divides by the root mean square, in float32; no mean is subtracted, no bias added."""

    epsilon: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x):
        scale_D = self.param("scale", nn.initializers.ones, (x.shape[-1],), jnp.float32)
        x = x.astype(jnp.float32)
        x = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + self.epsilon)
        return (x * jnp.expand_dims(scale_D, range(x.ndim - 1))).astype(self.dtype)


class Dense(nn.Module):
    """A matrix product in `dtype`, and a bias where asked for; the result is float32.

    XLA rounds each partial product of a bfloat16 dot on CPU unless it may accumulate in
    float32, which is also twice as fast there.
    """

    features: int
    dtype: jnp.dtype
    kernel_init: jax.nn.initializers.Initializer = _FAN_IN_TRUNCATED
    use_bias: bool = False

    @nn.compact
    def __call__(self, x):
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32).astype(self.dtype)
        # Rows in one axis: XLA on CPU is several times slower at gradients of 3-D products.
        rows = x.reshape(-1, x.shape[-1]).astype(self.dtype)
        y = jnp.matmul(rows, kernel, preferred_element_type=jnp.float32)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            y += bias.astype(jnp.float32)[None]
        return y.reshape(*x.shape[:-1], self.features)


class _Kernel(nn.Module):
    """The kernel of a `Dense` layer of the same name, where its product is not what is needed."""

    shape: tuple[int, int]

    @nn.compact
    def __call__(self):
        return self.param("kernel", _FAN_IN_NORMAL, self.shape, jnp.float32)


class Attention(nn.Module):
    """Multi-head attention without T5's missing 1/sqrt(K), which its initializer holds.

    While a model writes token after token, self-attention adds to its cache `at` a position, and
    attention to the encoder remembers its keys and values.
    """

    config: T5Config

    @nn.compact
    def __call__(
        self,
        x_BQD,
        memory_BCD,
        mask_B1QC,
        bias_1HQC=None,
        *,
        deterministic=True,
        at=None,
        remember=False,
    ):
        config, dtype = self.config, jnp.dtype(self.config.dtype)
        heads, width = config.num_heads, config.head_dim

        def query_init(*args):
            return _FAN_IN_NORMAL(*args) / jnp.sqrt(width)

        def weights(scores_BHQC):
            weights_BHQC = attention.masked_softmax(scores_BHQC, mask_B1QC, bias_1HQC)
            return nn.Dropout(config.dropout_rate, broadcast_dims=(-2,))(
                weights_BHQC.astype(dtype), deterministic=deterministic
            )

        def project(name, x, init=_FAN_IN_NORMAL):
            x = Dense(heads * width, dtype, init, name=name)(x).astype(dtype)
            return x.reshape(*x.shape[:2], heads, width)

        def kernel(name):
            kernel_DN = _Kernel((memory_BCD.shape[-1], heads * width), name=name)()
            return kernel_DN.astype(dtype).reshape(-1, heads, width)

        def keys_and_values():
            return project("key", memory_BCD), project("value", memory_BCD)

        query_BQHK = project("query", x_BQD, query_init)
        queries, (keys, depth) = x_BQD.shape[1], memory_BCD.shape[1:]
        if at is not None or remember:
            if remember:
                key_BCHK, value_BCHK = decoding_cache.once(self, keys_and_values)
            else:
                key_BCHK, value_BCHK = keys_and_values()
                length = mask_B1QC.shape[-1]
                key_BCHK, value_BCHK = decoding_cache.append(self, key_BCHK, value_BCHK, at, length)
            y_BQHK = attention.attend(query_BQHK, key_BCHK, value_BCHK, weights)
        elif attention.is_memory_cheaper(queries, keys, depth, width):
            y_BQHK = attention.attend_to_memory(
                query_BQHK, memory_BCD, kernel("key"), kernel("value"), weights
            )
        else:
            key_BCHK, value_BCHK = keys_and_values()
            if config.attention == "cudnn" and deterministic:
                y_BQHK = attention.attend_with_cudnn(
                    query_BQHK, key_BCHK, value_BCHK, mask_B1QC, bias_1HQC
                )
            else:
                y_BQHK = attention.attend(query_BQHK, key_BCHK, value_BCHK, weights)
        y = y_BQHK.reshape(*x_BQD.shape[:2], heads * width)
        return Dense(config.d_model, dtype, _FAN_IN_NORMAL, name="out")(y).astype(dtype)


class Mlp(nn.Module):
    """The feed-forward layer: relu (T5 1.0), or a gelu times a linear one (T5 1.1)."""

    config: T5Config

    @nn.compact
    def __call__(self, x, *, deterministic=True):
        config, dtype = self.config, jnp.dtype(self.config.dtype)
        if config.mlp == "relu":
            x = jax.nn.relu(Dense(config.d_ff, dtype, name="wi")(x))
        else:
            gate = jax.nn.gelu(Dense(config.d_ff, dtype, name="wi_0")(x), approximate=True)
            x = gate * Dense(config.d_ff, dtype, name="wi_1")(x)
        x = nn.Dropout(config.dropout_rate, broadcast_dims=(-2,))(x, deterministic=deterministic)
        return Dense(config.d_model, dtype, name="wo")(x).astype(dtype)
