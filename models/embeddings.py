"""Pooled encoder embeddings, one for each document of a packed batch, as Sentence-T5 makes them."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from models.batch_fn import BatchFn, make_batch_fn
from models.configs import Config, T5Config
from models.t5 import T5
from models.t5_layers import segment_mask

_INPUTS = ("encoder_input_tokens", "encoder_segment_ids")


def make_embedding_fn(
    config: Config,
    params: Mapping[str, Any],
    mesh: Mesh | None = None,
    *,
    normalize: bool = True,
) -> BatchFn:
    """Makes the function that embeds each document by a T5's encoder (Ni et al. 2022).

    An embedding is the mean of the encoder's outputs over the tokens of a document, its end of
    sequence included; then Sentence-T5's projection if the model has one; then scaled to length
    1. Only the encoder's parameters go to the devices, and the decoder is not run.

    Args:
        config: Of a T5, with a decoder or without.
        params: Its parameters; those of the decoder may be missing.
        mesh: Splits rows over `data` and parameters over `model`; None uses one device.
        normalize: Whether embeddings are scaled to length 1.

    Returns:
        A `BatchFn` that gives `embedding` [B, T, D]: at each decoder position that of the
        document with the same segment id in the row. One position a document is enough.

    Raises:
        ValueError: The model has no encoder.
    """
    if not isinstance(config, T5Config):
        raise ValueError(
            "This model is decoder-only, and embeddings are pooled from an encoder's outputs. Give "
            "a T5, such as sentence-transformers/sentence-t5-base."
        )
    model = T5(config)

    def statistics(params, batch):
        tokens_BS, segment_ids_BS = (batch[name] for name in _INPUTS)
        encoded_BSD: Any = model.apply(
            {"params": params}, tokens_BS, segment_ids_BS, method=T5.encode
        )
        embedding_BTD: Any = mean_by_segment(
            encoded_BSD, segment_ids_BS, batch["decoder_segment_ids"]
        )
        if config.embedding_dim is not None:
            embedding_BTD = model.apply({"params": params}, embedding_BTD, method=T5.project)
        if normalize:
            norm_BT1 = jnp.linalg.norm(embedding_BTD, axis=-1, keepdims=True)
            embedding_BTD /= jnp.maximum(norm_BT1, 1e-12)
        return {"embedding": embedding_BTD}

    encoder = {name: tree for name, tree in params.items() if name != "decoder"}
    return make_batch_fn(config, encoder, mesh, inputs=_INPUTS, statistics=statistics)


def mean_by_segment(
    values_BSD: jax.Array, segment_ids_BS: jax.Array, segment_ids_BT: jax.Array
) -> jax.Array:
    """Returns float32 means_BTD of the values in the segment that each position t belongs to.

    Positions of segment 0, and of one that has no values, get zeros.
    """
    is_same_BTS = segment_mask(segment_ids_BT, segment_ids_BS)[:, 0]
    # Zeros and ones are exact in bfloat16, and sums are float32.
    sums_BTD = jnp.einsum(
        "BTS,BSD->BTD",
        is_same_BTS.astype(values_BSD.dtype),
        values_BSD,
        preferred_element_type=jnp.float32,
    )
    counts_BT1 = is_same_BTS.sum(-1, keepdims=True)
    return sums_BTD / jnp.maximum(counts_BT1, 1)
