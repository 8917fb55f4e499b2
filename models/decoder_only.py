"""Decoder-only language models: GPT-2's network, and MPT's with ALiBi and without biases.

Takes the decoder's half of a T5 batch: a document's input is its targets shifted by one, and
begins with the padding token, which so stands for the beginning of a text. What the encoder would
get is ignored. Parameters have the names that t5x gives a decoder's; the embedding is the head.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from models import decoding_cache
from models.causal_positions import alibi_bias, segment_positions
from models.decoder_only_configs import DecoderOnlyConfig
from models.decoder_only_layers import Layer, LayerNorm
from models.decoding_cache import DecodingStep
from models.t5_layers import causal_mask

# What the network reads of a batch.
INPUTS = ("decoder_input_tokens", "decoder_segment_ids")


class Decoder(nn.Module):
    """The stack of layers over embedded tokens."""

    config: DecoderOnlyConfig

    @nn.compact
    def __call__(self, x_BQD, segment_ids_BC, *, deterministic, at=None):
        config, queries, first = self.config, x_BQD.shape[1], 0 if at is None else at
        bias = None
        if config.architecture == "mpt":
            bias = alibi_bias(config.num_heads, queries, segment_ids_BC.shape[1], first)
        else:
            positions_BC = segment_positions(segment_ids_BC)
            positions_BQ = jax.lax.dynamic_slice_in_dim(positions_BC, first, queries, axis=1)
            embed = _Embedding(config.context_length, config, name="position_embedder")
            x_BQD = x_BQD + embed(positions_BQ)
        mask = causal_mask(segment_ids_BC, queries, first)
        x = nn.Dropout(config.dropout_rate)(x_BQD, deterministic=deterministic)
        for layer in range(config.num_layers):
            x = Layer(config, name=f"layers_{layer}")(
                x, mask, bias, deterministic=deterministic, at=at
            )
        return LayerNorm(config, name="decoder_norm")(x)


class _Embedding(nn.Module):
    rows: int
    config: DecoderOnlyConfig

    @nn.compact
    def __call__(self, ids_BQ):
        shape = (self.rows, self.config.d_model)
        table_VD = self.param("embedding", nn.initializers.normal(0.02), shape, jnp.float32)
        return table_VD[ids_BQ].astype(self.config.dtype)


class DecoderOnly(nn.Module):
    """A decoder-only model up to the hidden states before the head.

    A position sees those before it in its own segment, and positions count from the beginning
    of a segment, so documents packed into one row give what each gives alone. Hidden states of
    padding (segment 0) are finite and mean nothing.
    """

    config: DecoderOnlyConfig

    def setup(self):
        self.token_embedder = _Embedding(self.config.vocab_size, self.config)
        self.decoder = Decoder(self.config)

    def __call__(
        self,
        tokens_BQ: jax.Array,
        segment_ids_BC: jax.Array,
        *,
        deterministic: bool = True,
        at: jax.Array | int | None = None,
    ) -> jax.Array:
        """Runs the network over whole rows, or over the next positions of rows.

        Args:
            tokens_BQ: Of whole rows (Q = C), or of the positions from `at` on.
            segment_ids_BC: Of whole rows.
            deterministic: Whether there is no dropout.
            at: Where the tokens stand. Keys and values are then kept in the collection `cache`,
                where those of the positions before are.

        Returns:
            hidden_BQD, after the final norm, in the config's dtype.
        """
        x_BQD = self.token_embedder(tokens_BQ)
        return self.decoder(x_BQD, segment_ids_BC, deterministic=deterministic, at=at)


def hidden_states(
    config: DecoderOnlyConfig,
    params: Mapping[str, Any],
    batch: Mapping[str, jax.Array],
    *,
    deterministic: bool = True,
    rngs: dict[str, jax.Array] | None = None,
) -> jax.Array:
    """Returns hidden_BTD of a packed batch.

    Raises:
        ValueError: Rows are longer than a model with learned positions has positions.
    """
    tokens_BT, segment_ids_BT = (batch[name] for name in INPUTS)
    check_length(config, tokens_BT.shape[1])
    hidden_BTD: Any = DecoderOnly(config).apply(
        {"params": params}, tokens_BT, segment_ids_BT, deterministic=deterministic, rngs=rngs
    )
    return hidden_BTD


def begin_decoding(
    config: DecoderOnlyConfig, params: Mapping[str, Any], batch: Mapping[str, jax.Array]
) -> tuple[jax.Array, DecodingStep]:
    """Gives what `models.greedy_match` continues; the text so far is in the encoder's arrays.

    Args:
        config: Of the model.
        params: Its parameters.
        batch: One document a row. Its first tokens are `encoder_input_tokens` [B, S] where
            `encoder_segment_ids` is not 0, followed by padding if they are fewer than S.
            `decoder_target_tokens` says how many tokens will be written.

    Returns:
        The tokens that the decoder begins with, padded at the front, and the function that runs
        it.

    Raises:
        ValueError: A model with learned positions has too few.
    """
    prefix_BS = batch["encoder_input_tokens"]
    num_rows, length = prefix_BS.shape
    to_write = batch["decoder_target_tokens"].shape[1]
    check_length(config, length + to_write)
    # All texts end in the same column, so that what follows stands at one position in all rows.
    missing_B = (batch["encoder_segment_ids"] == 0).sum(1)
    index_BQ = jnp.arange(length + 1)[None] - missing_B[:, None]
    tokens_BQ = jnp.take_along_axis(
        jnp.pad(prefix_BS, ((0, 0), (1, 0))), jnp.maximum(index_BQ, 0), axis=1
    )
    written_BT = jnp.ones((num_rows, to_write - 1), jnp.int32)
    segment_ids_BC = jnp.concatenate([(index_BQ >= 0).astype(jnp.int32), written_BT], axis=1)

    def step(tokens_BQ, at, cache):
        return DecoderOnly(config).apply(
            {"params": params, **cache},
            tokens_BQ,
            segment_ids_BC,
            at=at,
            mutable=[decoding_cache.COLLECTION],
        )

    return tokens_BQ, step


def check_length(config: DecoderOnlyConfig, length: int) -> None:
    """Checks that the model has a position for each token of a row.

    Raises:
        ValueError: It has fewer.
    """
    if config.architecture == "gpt2" and length > config.context_length:
        raise ValueError(
            f"A row has {length} positions, but the model has learned only "
            f"{config.context_length}. Use a window and a row of at most that length."
        )


def head_kernel(params: Mapping[str, Any], config: DecoderOnlyConfig) -> jax.Array:
    """Returns kernel_DV: logits are hidden states times this."""
    del config
    return params["token_embedder"]["embedding"].T


def init_params(config: DecoderOnlyConfig, key: jax.Array) -> dict[str, Any]:
    """Returns freshly initialised float32 parameters, as nested dicts of plain arrays."""
    tokens = jnp.ones((1, 1), jnp.int32)
    return DecoderOnly(config).init(key, tokens, tokens)["params"]
