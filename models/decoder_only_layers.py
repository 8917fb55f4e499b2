"""Layers of decoder-only models: GPT-2's, and MPT's without biases.

Kernels are float32 parameters; products run in `dtype` and accumulate in float32.

Initialisation is GPT-2's: a normal distribution of 0.02, divided by the root of the number of
residual layers where a layer adds to the residual stream.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from models import attention, decoding_cache
from models.decoder_only_configs import DecoderOnlyConfig
from models.t5_layers import Dense


class LayerNorm(nn.Module):
    """Subtracts the mean and divides by the standard deviation, in float32."""

    config: DecoderOnlyConfig

    @nn.compact
    def __call__(self, x):
        config, shape = self.config, (x.shape[-1],)
        scale_D = self.param("scale", nn.initializers.ones, shape, jnp.float32)
        x = x.astype(jnp.float32)
        x = x - jnp.mean(x, axis=-1, keepdims=True)
        variance = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
        x = x * jax.lax.rsqrt(variance + config.layer_norm_epsilon) * scale_D[None, None]
        if config.architecture == "gpt2":
            x += self.param("bias", nn.initializers.zeros, shape, jnp.float32)[None, None]
        return x.astype(config.dtype)


def _dense(config: DecoderOnlyConfig, features: int, name: str, *, is_residual=False) -> Dense:
    init = nn.initializers.normal(0.02 / math.sqrt(2 * config.num_layers if is_residual else 1))
    use_bias = config.architecture == "gpt2"
    return Dense(features, jnp.dtype(config.dtype), init, use_bias, name=name)


class SelfAttention(nn.Module):
    """Multi-head attention of each position to those before it."""

    config: DecoderOnlyConfig

    @nn.compact
    def __call__(self, x_BQD, mask_B1QC, bias_1HQC, *, deterministic, at=None):
        config, dtype = self.config, jnp.dtype(self.config.dtype)

        def weights(scores_BHQC):
            weights_BHQC = attention.masked_softmax(scores_BHQC, mask_B1QC, bias_1HQC)
            dropout = nn.Dropout(config.dropout_rate)
            return dropout(weights_BHQC.astype(dtype), deterministic=deterministic)

        def project(name, scale=1.0):
            x = _dense(config, config.d_model, name)(x_BQD) * scale
            return x.reshape(*x.shape[:2], config.num_heads, config.head_dim).astype(dtype)

        query_BQHK = project("query", config.head_dim**-0.5)
        key_BCHK, value_BCHK = project("key"), project("value")
        if at is not None:
            length = mask_B1QC.shape[-1]
            key_BCHK, value_BCHK = decoding_cache.append(self, key_BCHK, value_BCHK, at, length)
        if config.attention == "cudnn" and deterministic and at is None:
            y_BQHK = attention.attend_with_cudnn(
                query_BQHK, key_BCHK, value_BCHK, mask_B1QC, bias_1HQC
            )
        else:
            y_BQHK = attention.attend(query_BQHK, key_BCHK, value_BCHK, weights)
        y_BQD = y_BQHK.reshape(x_BQD.shape)
        return _dense(config, config.d_model, "out", is_residual=True)(y_BQD).astype(dtype)


class Mlp(nn.Module):
    """The feed-forward layer."""

    config: DecoderOnlyConfig

    @nn.compact
    def __call__(self, x):
        config = self.config
        x = _dense(config, config.d_ff, "wi")(x)
        x = jax.nn.gelu(x, approximate=config.architecture == "gpt2")
        return _dense(config, config.d_model, "wo", is_residual=True)(x).astype(config.dtype)


class Layer(nn.Module):
    """Self-attention and a feed-forward layer, each normalised first and added to its input."""

    config: DecoderOnlyConfig

    @nn.compact
    def __call__(self, x, mask, bias, *, deterministic, at=None):
        config = self.config
        dropout = nn.Dropout(config.dropout_rate, deterministic=deterministic)
        y = LayerNorm(config, name="pre_self_attention_layer_norm")(x)
        attend = SelfAttention(config, name="self_attention")
        x = x + dropout(attend(y, mask, bias, deterministic=deterministic, at=at))
        y = LayerNorm(config, name="pre_mlp_layer_norm")(x)
        return x + dropout(Mlp(config, name="mlp")(y))
