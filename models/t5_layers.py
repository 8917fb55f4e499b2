"""Layers of T5. Kernels are float32 parameters; matmuls run in `dtype`, accumulate in float32."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from models.configs import T5Config

# Finite, so that a row that sees nothing (padding) becomes an average and not NaN.
_MASKED = -1e10

_FAN_IN_NORMAL = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
_FAN_IN_TRUNCATED = nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")


def segment_mask(query_segment_ids_BQ: jax.Array, key_segment_ids_BC: jax.Array) -> jax.Array:
    """Returns the boolean mask_B1QC: true where query and key share a segment other than 0."""
    queries, keys = query_segment_ids_BQ[:, None, :, None], key_segment_ids_BC[:, None, None, :]
    return (queries == keys) & (keys != 0)


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
    """A matrix product without bias.

    XLA rounds each partial product of a bfloat16 dot on CPU unless it may accumulate in
    float32, which is also twice as fast there.
    """

    features: int
    dtype: jnp.dtype
    kernel_init: jax.nn.initializers.Initializer = _FAN_IN_TRUNCATED

    @nn.compact
    def __call__(self, x):
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32).astype(self.dtype)
        # Rows in one axis: XLA on CPU is several times slower at gradients of 3-D products.
        rows = x.reshape(-1, x.shape[-1])
        y = jnp.matmul(rows, kernel, preferred_element_type=jnp.float32).astype(self.dtype)
        return y.reshape(*x.shape[:-1], self.features)


class Attention(nn.Module):
    """Multi-head attention without T5's missing 1/sqrt(K), which its initializer holds."""

    config: T5Config

    @nn.compact
    def __call__(self, x_BQD, memory_BCD, mask_B1QC, bias_1HQC=None, *, deterministic=True):
        config, dtype = self.config, jnp.dtype(self.config.dtype)
        heads, width = config.num_heads, config.head_dim

        def query_init(*args):
            return _FAN_IN_NORMAL(*args) / jnp.sqrt(width)

        def project(name, x, init=_FAN_IN_NORMAL):
            x = Dense(heads * width, dtype, init, name=name)(x)
            return x.reshape(*x.shape[:2], heads, width)

        query_BQHK = project("query", x_BQD, query_init)
        key_BCHK = project("key", memory_BCD)
        value_BCHK = project("value", memory_BCD)
        scores_BHQC = jnp.einsum(
            "BQHK,BCHK->BHQC", query_BQHK, key_BCHK, preferred_element_type=jnp.float32
        )
        if bias_1HQC is not None:
            scores_BHQC = scores_BHQC + bias_1HQC
        weights_BHQC = jax.nn.softmax(jnp.where(mask_B1QC, scores_BHQC, _MASKED)).astype(dtype)
        weights_BHQC = nn.Dropout(config.dropout_rate, broadcast_dims=(-2,))(
            weights_BHQC, deterministic=deterministic
        )
        y_BQHK = jnp.einsum(
            "BHQC,BCHK->BQHK", weights_BHQC, value_BCHK, preferred_element_type=jnp.float32
        ).astype(dtype)
        y = y_BQHK.reshape(*x_BQD.shape[:2], heads * width)
        return Dense(config.d_model, dtype, _FAN_IN_NORMAL, name="out")(y)


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
        return Dense(config.d_model, dtype, name="wo")(x)
