"""The encoder and the decoder of a T5: layers, masks and position bias.

Initialisers and the places of dropout are those of t5x's `examples/t5/network.py`; unlike there,
masks come from segment ids alone (0 is padding), and are made once a stack. The position bias is
one a stack, or one a layer in the layers themselves (umT5, and t5x's `scalable_t5`).
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from models.relative_positions import RelativePositionBias
from models.t5_configs import T5Config
from models.t5_layers import Attention, Mlp, RMSNorm, causal_mask, segment_mask


def _norm(config: T5Config, name: str) -> RMSNorm:
    return RMSNorm(config.layer_norm_epsilon, jnp.dtype(config.dtype), name=name)


def _dropout(config: T5Config, x: jax.Array, deterministic: bool) -> jax.Array:
    # One mask for all positions of a row, as T5 was trained.
    return nn.Dropout(config.dropout_rate, broadcast_dims=(-2,))(x, deterministic=deterministic)


def _position_bias(
    config: T5Config, length: int, *, bidirectional: bool, rows: tuple[Any, int] | None = None
) -> jax.Array:
    """bias_1HQC of all positions, or of a number of rows from one on."""
    bias_1HQC = RelativePositionBias(
        num_heads=config.num_heads,
        num_buckets=config.relative_attention_num_buckets,
        max_distance=config.relative_attention_max_distance,
        bidirectional=bidirectional,
        name="relpos_bias",
    )(length)
    return bias_1HQC if rows is None else jax.lax.dynamic_slice_in_dim(bias_1HQC, *rows, axis=2)


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward layer, each normalised first and added to its input."""

    config: T5Config

    @nn.compact
    def __call__(self, x, mask, bias, *, deterministic):
        config = self.config
        if config.position_bias == "per_layer":
            bias = _position_bias(config, x.shape[1], bidirectional=True)
        y = _norm(config, "pre_attention_layer_norm")(x)
        y = Attention(config, name="attention")(y, y, mask, bias, deterministic=deterministic)
        x = x + _dropout(config, y, deterministic)
        y = _norm(config, "pre_mlp_layer_norm")(x)
        y = Mlp(config, name="mlp")(y, deterministic=deterministic)
        return x + _dropout(config, y, deterministic)


class DecoderLayer(nn.Module):
    """As the encoder's, with attention to the encoder (which has no position bias) between."""

    config: T5Config

    @nn.compact
    def __call__(self, x, encoded, mask, bias, cross_mask, *, deterministic, at=None):
        config = self.config
        if config.position_bias == "per_layer":
            bias = _decoder_bias(config, mask, at)
        y = _norm(config, "pre_self_attention_layer_norm")(x)
        y = Attention(config, name="self_attention")(
            y, y, mask, bias, deterministic=deterministic, at=at
        )
        x = x + _dropout(config, y, deterministic)
        y = _norm(config, "pre_cross_attention_layer_norm")(x)
        y = Attention(config, name="encoder_decoder_attention")(
            y, encoded, cross_mask, deterministic=deterministic, remember=at is not None
        )
        x = x + _dropout(config, y, deterministic)
        y = _norm(config, "pre_mlp_layer_norm")(x)
        y = Mlp(config, name="mlp")(y, deterministic=deterministic)
        return x + _dropout(config, y, deterministic)


def _decoder_bias(config: T5Config, mask_B1QC: jax.Array, at: Any) -> jax.Array:
    queries, length = mask_B1QC.shape[2:]
    rows = None if at is None else (at, queries)
    return _position_bias(config, length, bidirectional=False, rows=rows)


class Encoder(nn.Module):
    """The stack of encoder layers over embedded tokens."""

    config: T5Config

    @nn.compact
    def __call__(self, x_BSD, segment_ids_BS, *, deterministic):
        config = self.config
        mask = segment_mask(segment_ids_BS, segment_ids_BS)
        bias = None
        if config.position_bias == "shared":
            bias = _position_bias(config, x_BSD.shape[1], bidirectional=True)
        x = _dropout(config, x_BSD, deterministic)
        for layer in range(config.num_encoder_layers):
            x = EncoderLayer(config, name=f"layers_{layer}")(
                x, mask, bias, deterministic=deterministic
            )
        x = _norm(config, "encoder_norm")(x)
        return nn.Dropout(config.dropout_rate)(x, deterministic=deterministic)


class _LogitsDense(nn.Module):
    """Holds the head's kernel, which `head_kernel` hands to the fused losses."""

    config: T5Config

    @nn.compact
    def __call__(self):
        init = nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")
        self.param("kernel", init, (self.config.d_model, self.config.vocab_size), jnp.float32)


class Decoder(nn.Module):
    """The stack of decoder layers over embedded tokens."""

    config: T5Config

    @nn.compact
    def __call__(
        self,
        x_BQD,
        segment_ids_BT,
        encoded_BSD,
        encoder_segment_ids_BS,
        *,
        deterministic,
        at=None,
    ):
        config, queries, first = self.config, x_BQD.shape[1], 0 if at is None else at
        mask = causal_mask(segment_ids_BT, queries, first)
        segment_ids_BQ = jax.lax.dynamic_slice_in_dim(segment_ids_BT, first, queries, axis=1)
        cross_mask = segment_mask(segment_ids_BQ, encoder_segment_ids_BS)
        bias = None
        if config.position_bias == "shared":
            bias = _decoder_bias(config, mask, at)
        x = _dropout(config, x_BQD, deterministic)
        for layer in range(config.num_decoder_layers):
            x = DecoderLayer(config, name=f"layers_{layer}")(
                x, encoded_BSD, mask, bias, cross_mask, deterministic=deterministic, at=at
            )
        x = _norm(config, "decoder_norm")(x)
        if not config.tied_embedding:
            _LogitsDense(config, name="logits_dense")()
        return _dropout(config, x, deterministic)
