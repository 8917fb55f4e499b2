"""The T5 encoder-decoder, with the parameter tree of t5x's `examples/t5/network.py`.

So t5x's checkpoints load without a mapping and t5x restores ours.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from models import decoding_cache
from models.configs import T5Config
from models.decoding_cache import DecodingStep
from models.t5_layers import Dense
from models.t5_stacks import Decoder, Encoder

# What the network reads of a batch.
INPUTS = (
    "encoder_input_tokens",
    "encoder_segment_ids",
    "decoder_input_tokens",
    "decoder_segment_ids",
)


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
        if self.config.num_decoder_layers:
            self.decoder = Decoder(self.config)
        if self.config.embedding_dim is not None:
            self.projection_layer = Dense(self.config.embedding_dim, jnp.dtype("float32"))

    def initialize(self, tokens: jax.Array) -> None:
        """Calls every part, so that it has parameters."""
        encoded_BSD = self.encode(tokens, tokens)
        if self.config.num_decoder_layers:
            self.decode(encoded_BSD, tokens, tokens, tokens)
        if self.config.embedding_dim is not None:
            self.project(encoded_BSD)

    def project(self, pooled_BTD: jax.Array) -> jax.Array:
        """Returns pooled encodings after Sentence-T5's projection, in float32."""
        return self.projection_layer(pooled_BTD)

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
        decoder_input_tokens_BQ: jax.Array,
        decoder_segment_ids_BT: jax.Array,
        *,
        deterministic: bool = True,
        at: jax.Array | int | None = None,
    ) -> jax.Array:
        """Decodes whole rows, or the next positions of rows.

        Args:
            encoded_BSD, encoder_segment_ids_BS: From the encoder.
            decoder_input_tokens_BQ: Of whole rows (Q = T), or of the positions from `at` on.
            decoder_segment_ids_BT: Of whole rows.
            deterministic: Whether there is no dropout.
            at: Where the tokens stand. Keys and values are then kept in the collection `cache`,
                where those of the positions before are.

        Returns:
            hidden_BQD, after the final norm and before the head, in the config's dtype.
        """
        return self.decoder(
            self.token_embedder(decoder_input_tokens_BQ),
            decoder_segment_ids_BT,
            encoded_BSD,
            encoder_segment_ids_BS,
            deterministic=deterministic,
            at=at,
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


def hidden_states(
    config: T5Config,
    params: Mapping[str, Any],
    batch: Mapping[str, jax.Array],
    *,
    deterministic: bool = True,
    rngs: dict[str, jax.Array] | None = None,
) -> jax.Array:
    """Returns hidden_BTD of a packed batch.

    Raises:
        ValueError: The model is an encoder alone.
    """
    if not config.num_decoder_layers:
        raise ValueError(
            "This model is an encoder without a decoder, as Sentence-T5 is, and predicts nothing. It "
            "gives embeddings only; for other scores give an encoder-decoder."
        )
    hidden_BTD: Any = T5(config).apply(
        {"params": params},
        *(batch[name] for name in INPUTS),
        deterministic=deterministic,
        rngs=rngs,
    )
    return hidden_BTD


def begin_decoding(
    config: T5Config, params: Mapping[str, Any], batch: Mapping[str, jax.Array]
) -> tuple[jax.Array, DecodingStep]:
    """Encodes, and gives what `models.greedy_match` continues.

    Args:
        config: Of the model.
        params: Its parameters.
        batch: One document a row; `decoder_target_tokens` says how many tokens will be written.

    Returns:
        The tokens that the decoder begins with, and the function that runs it.
    """
    model = T5(config)
    tokens_BS, segment_ids_BS = batch["encoder_input_tokens"], batch["encoder_segment_ids"]
    encoded_BSD = model.apply({"params": params}, tokens_BS, segment_ids_BS, method=T5.encode)
    segment_ids_BT = jnp.ones_like(batch["decoder_target_tokens"])

    def step(tokens_BQ, at, cache):
        return model.apply(
            {"params": params, **cache},
            encoded_BSD,
            segment_ids_BS,
            tokens_BQ,
            segment_ids_BT,
            at=at,
            method=T5.decode,
            mutable=[decoding_cache.COLLECTION],
        )

    return jnp.zeros_like(segment_ids_BT[:, :1]), step


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
    return T5(config).init(key, tokens, method=T5.initialize)["params"]
