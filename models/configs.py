"""The shapes of T5 models: the public sizes, and Hugging Face's config.json."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Literal

from flax import traverse_util


@dataclasses.dataclass(frozen=True, kw_only=True)
class T5Config:
    """What a T5 encoder-decoder is made of.

    Attributes:
        vocab_size: Rows of the embedding, V (the public models pad 32,100 to 32,128).
        d_model: Width of the residual stream, D.
        num_heads: Attention heads, H.
        head_dim: Width of one head, K; H * K need not be D.
        d_ff: Width of the feed-forward layer, F.
        num_encoder_layers: Layers of the encoder.
        num_decoder_layers: Layers of the decoder.
        relative_attention_num_buckets: Rows of the relative position table.
        relative_attention_max_distance: Offset in tokens from which all share the last bucket.
        mlp: 'relu' (T5 1.0) or 'gated_gelu' (T5 1.1, Flan).
        tied_embedding: Whether the head is the embedding; its logits are divided by sqrt(D).
        layer_norm_epsilon: Added to the mean square in RMS norms.
        dropout_rate: Used in training only.
        dtype: Of activations. It says how to run a model, not which one it is, so
            `config_to_json` leaves it out.
    """

    vocab_size: int
    d_model: int
    num_heads: int
    head_dim: int
    d_ff: int
    num_encoder_layers: int
    num_decoder_layers: int
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    mlp: Literal["relu", "gated_gelu"] = "gated_gelu"
    tied_embedding: bool = False
    layer_norm_epsilon: float = 1e-6
    dropout_rate: float = 0.0
    dtype: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self):
        for field, known in (("mlp", ("relu", "gated_gelu")), ("dtype", ("float32", "bfloat16"))):
            if getattr(self, field) not in known:
                raise ValueError(
                    f"T5Config.{field} is {getattr(self, field)!r}; it can be one of: "
                    f"{', '.join(known)}."
                )


def _t5(d_model: int, num_heads: int, head_dim: int, d_ff: int, layers: int, **kwargs) -> T5Config:
    return T5Config(
        vocab_size=32_128,
        d_model=d_model,
        num_heads=num_heads,
        head_dim=head_dim,
        d_ff=d_ff,
        num_encoder_layers=layers,
        num_decoder_layers=layers,
        **kwargs,
    )


def _t5_1_0(*shape: int) -> T5Config:
    return _t5(*shape, mlp="relu", tied_embedding=True)  # type: ignore[arg-type]


SIZES: dict[str, T5Config] = {
    # Reference models that a CPU trains in minutes; the caller replaces vocab_size.
    "tiny": _t5(128, 4, 32, 256, 2),
    "mini": _t5(256, 4, 64, 512, 4),
    # Raffel et al. 2020.
    "t5_small": _t5_1_0(512, 8, 64, 2048, 6),
    "t5_base": _t5_1_0(768, 12, 64, 3072, 12),
    "t5_large": _t5_1_0(1024, 16, 64, 4096, 24),
    "t5_3b": _t5_1_0(1024, 32, 128, 16_384, 24),
    "t5_11b": _t5_1_0(1024, 128, 128, 65_536, 24),
    # T5 1.1, LM-adapted T5 and Flan-T5.
    "t5_1_1_small": _t5(512, 6, 64, 1024, 8),
    "t5_1_1_base": _t5(768, 12, 64, 2048, 12),
    "t5_1_1_large": _t5(1024, 16, 64, 2816, 24),
    "t5_1_1_xl": _t5(2048, 32, 64, 5120, 24),
    "t5_1_1_xxl": _t5(4096, 64, 64, 10_240, 24),
}


def named_config(name: str) -> T5Config:
    """Returns the config of a public size.

    Args:
        name: A key of `SIZES`.

    Raises:
        ValueError: The name is not known; the message lists those that are.
    """
    if name not in SIZES:
        raise ValueError(f"Unknown model size {name!r}. Known sizes: {', '.join(SIZES)}.")
    return SIZES[name]


_FEED_FORWARD = {"relu": "relu", "gated_gelu": "gated-gelu"}
_JSON_KEYS = {
    "vocab_size": "vocab_size",
    "d_model": "d_model",
    "num_heads": "num_heads",
    "head_dim": "d_kv",
    "d_ff": "d_ff",
    "num_encoder_layers": "num_layers",
    "num_decoder_layers": "num_decoder_layers",
    "relative_attention_num_buckets": "relative_attention_num_buckets",
    "relative_attention_max_distance": "relative_attention_max_distance",
    "layer_norm_epsilon": "layer_norm_epsilon",
    "dropout_rate": "dropout_rate",
    "tied_embedding": "tie_word_embeddings",
}


def config_to_json(config: T5Config) -> dict[str, Any]:
    """Returns the config under the keys of Hugging Face's `T5Config`.

    The token ids are those of every T5 vocabulary: 0 pads and starts the decoder, 1 ends.
    """
    return {
        "model_type": "t5",
        "architectures": ["T5ForConditionalGeneration"],
        "is_encoder_decoder": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
        "feed_forward_proj": _FEED_FORWARD[config.mlp],
        **{key: getattr(config, field) for field, key in _JSON_KEYS.items()},
    }


def config_from_json(values: Mapping[str, Any]) -> T5Config:
    """Reads the parsed `config.json` of a Hugging Face T5, or what `config_to_json` gave.

    Args:
        values: The parsed file. Keys that say nothing about the network are ignored; those
            that early T5 files leave out have Hugging Face's defaults (relu, tied).

    Returns:
        The config, with float32 activations.

    Raises:
        ValueError: A required key is missing, or the model is no T5 of version 1.0 or 1.1.
    """
    values = {"feed_forward_proj": "relu", "tie_word_embeddings": True, **values}
    # Since transformers 5 all T5 configs say they are tied, and this tells T5 1.0 from 1.1.
    values["tie_word_embeddings"] = values.get(
        "scale_decoder_outputs", values["tie_word_embeddings"]
    )
    if values.get("num_decoder_layers") is None:
        values["num_decoder_layers"] = values.get("num_layers")
    if values.get("model_type", "t5") not in ("t5", "mt5"):
        raise ValueError(
            f"config.json has model_type {values['model_type']!r}; only 't5' and 'mt5' can be read."
        )
    missing = [key for key in list(_JSON_KEYS.values())[:7] if values.get(key) is None]
    if missing:
        raise ValueError(f"config.json has no {', '.join(missing)}; every T5 config has these.")
    mlps = {name: mlp for mlp, name in _FEED_FORWARD.items()}
    if values["feed_forward_proj"] not in mlps:
        raise ValueError(
            f"config.json has feed_forward_proj {values['feed_forward_proj']!r}; known are: "
            f"{', '.join(mlps)}."
        )
    fields = {field: values[key] for field, key in _JSON_KEYS.items() if key in values}
    return T5Config(mlp=mlps[values["feed_forward_proj"]], **fields)  # type: ignore[arg-type]


def config_from_params(params: Mapping[str, Any]) -> T5Config:
    """Infers a config from the shapes of a parameter tree.

    Shapes do not tell the largest relative distance, epsilon or dropout: those keep their
    defaults, which all public T5 models share.

    Args:
        params: The tree of t5x's `examples/t5/network.py`, with leaves that have a `shape`.

    Raises:
        ValueError: The tree is another one (e.g. of `scalable_t5`); names a missing leaf.
    """
    shapes = {
        path: tuple(leaf.shape)
        for path, leaf in traverse_util.flatten_dict(params, sep="/").items()
    }

    def shape(path: str) -> tuple[int, ...]:
        if path not in shapes:
            raise ValueError(
                f"These parameters have no {path}, so they are not a T5 of t5x's examples/t5 "
                f"(scanned layers are not supported). Found: {', '.join(sorted(shapes)[:5])}, ..."
            )
        return shapes[path]

    def num_layers(stack: str) -> int:
        found = {re.match(rf"{stack}/layers_(\d+)/", path) for path in shapes}
        return len({match[1] for match in found if match})

    vocab_size, d_model = shape("token_embedder/embedding")
    num_heads, num_buckets = shape("encoder/relpos_bias/rel_embedding")
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
        mlp="gated_gelu" if gated else "relu",
        tied_embedding="decoder/logits_dense/kernel" not in shapes,
    )
