"""The T5 encoder-decoder, with the parameter tree of t5x's `examples/t5/network.py`.

So t5x's checkpoints load without a mapping and t5x restores ours. Initialisers and the places
of dropout are t5x's too; unlike there, masks come from segment ids alone (0 is padding), and
masks are made once a stack. The position bias is one a stack, or one a layer in the layers
themselves (umT5, and t5x's `scalable_t5`).
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from models.configs import T5Config
from models.relative_positions import RelativePositionBias
from models.t5_layers import Attention, Mlp, RMSNorm, segment_mask


def _norm(config: T5Config, name: str) -> RMSNorm:
    return RMSNorm(config.layer_norm_epsilon, jnp.dtype(config.dtype), name=name)


def _dropout(config: T5Config, x: jax.Array, deterministic: bool) -> jax.Array:
    # One mask for all positions of a row, as T5 was trained.
    return nn.Dropout(config.dropout_rate, broadcast_dims=(-2,))(x, deterministic=deterministic)


def _position_bias(config: T5Config, *, bidirectional: bool) -> RelativePositionBias:
    return RelativePositionBias(
        num_heads=config.num_heads,
        num_buckets=config.relative_attention_num_buckets,
        max_distance=config.relative_attention_max_distance,
        bidirectional=bidirectional,
        name="relpos_bias",
    )


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward layer, each normalised first and added to its input."""

    config: T5Config

    @nn.compact
    def __call__(self, x, mask, bias, *, deterministic):
        config = self.config
        if config.position_bias == "per_layer":
            bias = _position_bias(config, bidirectional=True)(x.shape[1])
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
    def __call__(self, x, encoded, mask, bias, cross_mask, *, deterministic):
        config = self.config
        if config.position_bias == "per_layer":
            bias = _position_bias(config, bidirectional=False)(x.shape[1])
        y = _norm(config, "pre_self_attention_layer_norm")(x)
        y = Attention(config, name="self_attention")(y, y, mask, bias, deterministic=deterministic)
        x = x + _dropout(config, y, deterministic)
        y = _norm(config, "pre_cross_attention_layer_norm")(x)
        y = Attention(config, name="encoder_decoder_attention")(
            y, encoded, cross_mask, deterministic=deterministic
        )
        x = x + _dropout(config, y, deterministic)
        y = _norm(config, "pre_mlp_layer_norm")(x)
        y = Mlp(config, name="mlp")(y, deterministic=deterministic)
        return x + _dropout(config, y, deterministic)


class Encoder(nn.Module):
    """The stack of encoder layers over embedded tokens."""

    config: T5Config

    @nn.compact
    def __call__(self, x_BSD, segment_ids_BS, *, deterministic):
        config = self.config
        mask = segment_mask(segment_ids_BS, segment_ids_BS)
        bias = None
        if config.position_bias == "shared":
            bias = _position_bias(config, bidirectional=True)(x_BSD.shape[1])
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
        self, x_BTD, segment_ids_BT, encoded_BSD, encoder_segment_ids_BS, *, deterministic
    ):
        config, length = self.config, x_BTD.shape[1]
        causal = jnp.tril(jnp.ones((1, 1, length, length), bool))
        mask = segment_mask(segment_ids_BT, segment_ids_BT) & causal
        cross_mask = segment_mask(segment_ids_BT, encoder_segment_ids_BS)
        bias = None
        if config.position_bias == "shared":
            bias = _position_bias(config, bidirectional=False)(length)
        x = _dropout(config, x_BTD, deterministic)
        for layer in range(config.num_decoder_layers):
            x = DecoderLayer(config, name=f"layers_{layer}")(
                x, encoded_BSD, mask, bias, cross_mask, deterministic=deterministic
            )
        x = _norm(config, "decoder_norm")(x)
        if not config.tied_embedding:
            _LogitsDense(config, name="logits_dense")()
        return _dropout(config, x, deterministic)


class _Embedding(nn.Module):
    config: T5Config

    @nn.compact
    def __call__(self, tokens_BS):
        shape = (self.config.vocab_size, self.config.d_model)
        table_VD = self.param("embedding", nn.initializers.normal(1.0), shape, jnp.float32)
        return table_VD[tokens_BS].astype(self.config.dtype)


class T5(nn.Module):
    """A T5 up to the hidden states before the head; `token_losses` does the rest.

    A position sees positions of its own segment only: in the encoder, causally in the
    decoder, and from the decoder to the encoder. Relative positions are offsets within the
    row, so documents packed into one row give what each gives alone. Hidden states of
    padding (segment 0) are finite and mean nothing.
    """

    config: T5Config

    def setup(self):
        self.token_embedder = _Embedding(self.config)
        self.encoder = Encoder(self.config)
        self.decoder = Decoder(self.config)

    def encode(
        self,
        encoder_input_tokens_BS: jax.Array,
        encoder_segment_ids_BS: jax.Array,
        *,
        deterministic: bool = True,
    ) -> jax.Array:
        """Returns encoded_BSD, after the final norm, in the config's dtype."""
        x_BSD = self.token_embedder(encoder_input_tokens_BS)
        return self.encoder(x_BSD, encoder_segment_ids_BS, deterministic=deterministic)

    def decode(
        self,
        encoded_BSD: jax.Array,
        encoder_segment_ids_BS: jax.Array,
        decoder_input_tokens_BT: jax.Array,
        decoder_segment_ids_BT: jax.Array,
        *,
        deterministic: bool = True,
    ) -> jax.Array:
        """Returns hidden_BTD, after the final norm and before the head, in the config's dtype."""
        return self.decoder(
            self.token_embedder(decoder_input_tokens_BT),
            decoder_segment_ids_BT,
            encoded_BSD,
            encoder_segment_ids_BS,
            deterministic=deterministic,
        )

    def __call__(
        self,
        encoder_input_tokens_BS: jax.Array,
        encoder_segment_ids_BS: jax.Array,
        decoder_input_tokens_BT: jax.Array,
        decoder_segment_ids_BT: jax.Array,
        *,
        deterministic: bool = True,
    ) -> jax.Array:
        """Encodes and decodes; returns hidden_BTD as `decode` does."""
        encoded_BSD = self.encode(
            encoder_input_tokens_BS, encoder_segment_ids_BS, deterministic=deterministic
        )
        return self.decode(
            encoded_BSD,
            encoder_segment_ids_BS,
            decoder_input_tokens_BT,
            decoder_segment_ids_BT,
            deterministic=deterministic,
        )


def head_kernel(params: Mapping[str, Any], config: T5Config) -> jax.Array:
    """Returns kernel_DV: logits are hidden states times this.

    A tied embedding is scaled by 1/sqrt(D), which T5 1.0 applies to its logits.
    """
    if config.tied_embedding:
        return params["token_embedder"]["embedding"].T / config.d_model**0.5
    return params["decoder"]["logits_dense"]["kernel"]


def init_params(config: T5Config, key: jax.Array) -> dict[str, Any]:
    """Returns freshly initialised float32 parameters, as nested dicts of plain arrays."""
    tokens = jnp.ones((1, 1), jnp.int32)
    return T5(config).init(key, tokens, tokens, tokens, tokens)["params"]


def param_shapes(config: T5Config) -> dict[str, Any]:
    """Returns the tree of `init_params` as `jax.ShapeDtypeStruct`s, computing nothing."""
    return jax.eval_shape(lambda: init_params(config, jax.random.key(0)))
