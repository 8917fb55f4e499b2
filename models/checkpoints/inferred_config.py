"""The config of a model whose folder does not say it."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from flax import traverse_util

from models.configs import T5Config


def config_from_params(params: Mapping[str, Any]) -> T5Config:
    """Infers a config from the shapes of a parameter tree.

    Shapes do not tell the largest relative distance, epsilon or dropout: those keep their
    defaults, which all public T5 models share.

    Args:
        params: The tree of t5x's `examples/t5/network.py`, or a flat dict by path, with leaves
            that have a `shape`.

    Raises:
        ValueError: The tree is another one; names a missing leaf.
    """
    shapes = {
        path: tuple(leaf.shape)
        for path, leaf in traverse_util.flatten_dict(params, sep="/").items()
    }

    def shape(path: str) -> tuple[int, ...]:
        if path not in shapes:
            raise ValueError(
                f"These parameters have no {path}, so they are not a T5 of t5x's examples/t5 or "
                "scalable_t5, and a decoder-only model needs its config.json beside the checkpoint. "
                f"Found: {', '.join(sorted(shapes)[:5])}, ..."
            )
        return shapes[path]

    def num_layers(stack: str) -> int:
        found = {re.match(rf"{stack}/layers_(\d+)/", path) for path in shapes}
        return len({match[1] for match in found if match})

    vocab_size, d_model = shape("token_embedder/embedding")
    bias: Literal["shared", "per_layer"] = "shared"
    if "encoder/layers_0/relpos_bias/rel_embedding" in shapes:
        bias = "per_layer"
    layer = "layers_0/" if bias == "per_layer" else ""
    num_heads, num_buckets = shape(f"encoder/{layer}relpos_bias/rel_embedding")
    projection = shapes.get("projection_layer/kernel")
    gated = "encoder/layers_0/mlp/wi_0/kernel" in shapes
    return T5Config(
        vocab_size=vocab_size,
        d_model=d_model,
        num_heads=num_heads,
        head_dim=shape("encoder/layers_0/attention/query/kernel")[1] // num_heads,
        d_ff=shape("encoder/layers_0/mlp/wo/kernel")[0],
        num_encoder_layers=num_layers("encoder"),
        num_decoder_layers=num_layers("decoder"),
        relative_attention_num_buckets=num_buckets,
        position_bias=bias,
        mlp="gated_gelu" if gated else "relu",
        embedding_dim=projection[1] if projection else None,
        tied_embedding="decoder/logits_dense/kernel" not in shapes,
    )
