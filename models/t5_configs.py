"""The shapes of T5 models: the public sizes, and Hugging Face's config.json."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Literal

from models.dtypes import Dtype, check_dtype


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
        num_decoder_layers: Layers of the decoder; 0 for an encoder alone, as Sentence-T5 is.
        relative_attention_num_buckets: Rows of the relative position table.
        relative_attention_max_distance: Offset in tokens from which all share the last bucket.
        position_bias: 'shared' by the layers of a stack, or one 'per_layer' (umT5).
        mlp: 'relu' (T5 1.0) or 'gated_gelu' (all others).
        tied_embedding: Whether the head is the embedding; its logits are divided by sqrt(D).
        embedding_dim: Width of Sentence-T5's projection of pooled embeddings; None without one.
        layer_norm_epsilon: Added to the mean square in RMS norms.
        dropout_rate: Used in training only.
        dtype: Of activations. This and `attention` say how to run a model, not which one it
            is, so `config_to_json` leaves them out.
        attention: 'xla', or 'cudnn' (NVIDIA GPUs, bfloat16); see `models.attention`.
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
    position_bias: Literal["shared", "per_layer"] = "shared"
    mlp: Literal["relu", "gated_gelu"] = "gated_gelu"
    tied_embedding: bool = False
    embedding_dim: int | None = None
    layer_norm_epsilon: float = 1e-6
    dropout_rate: float = 0.0
    dtype: Dtype = "float32"
    attention: Literal["xla", "cudnn"] = "xla"

    def __post_init__(self):
        check_dtype(self.dtype)
        for field, known in (
            ("mlp", ("relu", "gated_gelu")),
            ("position_bias", ("shared", "per_layer")),
            ("attention", ("xla", "cudnn")),
        ):
            if getattr(self, field) not in known:
                raise ValueError(
                    f"T5Config.{field} is {getattr(self, field)!r}; it can be one of: "
                    f"{', '.join(known)}."
                )


def _t5(
    d_model: int, num_heads: int, d_ff: int, layers: int, decoder_layers: int | None = None, **other
) -> T5Config:
    fields = {"vocab_size": 32_128, "head_dim": 64, **other}
    return T5Config(
        d_model=d_model,
        num_heads=num_heads,
        d_ff=d_ff,
        num_encoder_layers=layers,
        num_decoder_layers=decoder_layers or layers,
        **fields,
    )


_T5_1_0: dict[str, Any] = {"mlp": "relu", "tied_embedding": True}
_UMT5: dict[str, Any] = {"vocab_size": 256_384, "position_bias": "per_layer"}

# Of T5 1.1; mT5 and umT5 have the same but for the vocabulary.
_SHAPES_1_1 = {
    "small": (512, 6, 1024, 8),
    "base": (768, 12, 2048, 12),
    "large": (1024, 16, 2816, 24),
    "xl": (2048, 32, 5120, 24),
    "xxl": (4096, 64, 10_240, 24),
}
# Three times as many layers in the encoder as in the decoder (Xue et al. 2022).
_SHAPES_BYT5 = {
    "small": (1472, 6, 3584, 12, 4),
    "base": (1536, 12, 3968, 18, 6),
    "large": (1536, 16, 3840, 36, 12),
    "xl": (2560, 32, 6720, 36, 12),
    "xxl": (4672, 64, 12_352, 36, 12),
}

SIZES: dict[str, T5Config] = {
    # Reference models that a CPU trains in minutes; the caller replaces vocab_size.
    "tiny": _t5(128, 4, 256, 2, head_dim=32),
    "mini": _t5(256, 4, 512, 4),
    # Raffel et al. 2020.
    "t5_small": _t5(512, 8, 2048, 6, **_T5_1_0),
    "t5_base": _t5(768, 12, 3072, 12, **_T5_1_0),
    "t5_large": _t5(1024, 16, 4096, 24, **_T5_1_0),
    "t5_3b": _t5(1024, 32, 16_384, 24, head_dim=128, **_T5_1_0),
    "t5_11b": _t5(1024, 128, 65_536, 24, head_dim=128, **_T5_1_0),
    **{f"t5_1_1_{size}": _t5(*shape) for size, shape in _SHAPES_1_1.items()},
    **{f"mt5_{size}": _t5(*shape, vocab_size=250_112) for size, shape in _SHAPES_1_1.items()},
    # There is no public umT5 Large.
    **{f"umt5_{size}": _t5(*_SHAPES_1_1[size], **_UMT5) for size in ("small", "base", "xl", "xxl")},
    **{f"byt5_{size}": _t5(*shape, vocab_size=384) for size, shape in _SHAPES_BYT5.items()},
}

# Models that were trained on from others, under the names of t5x's and Hugging Face's folders.
_SAME_SHAPES = (
    (r"flan_t5|t5_v1_1|t5(_1_1)?_lm(_adapt(ed)?|100k)", "t5_1_1"),
    (r"t5_1_0", "t5"),
    (r"mt5_lm_adapt(ed)?", "mt5"),
)


_SIZE_WORDS = {key.rpartition("_")[2] for key in SIZES}


def named_config(name: str) -> T5Config | None:
    """Returns the config of a public size, or None if the name is not known.

    Args:
        name: A key of `SIZES`, or the name of a public model of that shape as t5x or Hugging
            Face write it: `flan_t5_xl`, `google/flan-t5-xl`, `google/t5-v1_1-base`,
            `t5_1_1_lm100k_small`, `google/byt5-small`, `google-t5/t5-3b`.
    """
    words = re.split(r"[-_.]", name.rpartition("/")[2].lower())
    size = next((word for word in words if word in _SIZE_WORDS), "")
    if size:
        words.remove(size)
    family = "_".join(words)
    for names, same in _SAME_SHAPES:
        family = re.sub(f"^({names})$", same, family)
    key = f"{family}_{size}".strip("_")
    return SIZES.get(key)


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
# Our own: there the projection is another module, with a config of its own.
_EMBEDDING_KEY = "embedding_dim"


def config_to_json(config: T5Config) -> dict[str, Any]:
    """Returns the config under the keys of Hugging Face's `T5Config`, or `UMT5Config`.

    The latter where each layer has its position bias; mT5 and ByT5 are `t5` with another
    vocabulary. The token ids are those of every T5 vocabulary: 0 pads and starts the decoder,
    1 ends.
    """
    shared = config.position_bias == "shared"
    kind = "ForConditionalGeneration" if config.num_decoder_layers else "EncoderModel"
    projected = {} if config.embedding_dim is None else {_EMBEDDING_KEY: config.embedding_dim}
    return {
        "model_type": "t5" if shared else "umt5",
        "architectures": [f"{'T5' if shared else 'UMT5'}{kind}"],
        "is_encoder_decoder": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
        "feed_forward_proj": _FEED_FORWARD[config.mlp],
        **{key: getattr(config, field) for field, key in _JSON_KEYS.items()},
        **projected,
    }


def config_from_json(values: Mapping[str, Any]) -> T5Config:
    """Reads the parsed `config.json` of a Hugging Face T5, or what `config_to_json` gave.

    Args:
        values: The parsed file. Keys that say nothing about the network are ignored; those
            that some public files leave out have Hugging Face's defaults (T5: relu, tied;
            mT5 and umT5: gated GELU, with a head of its own).

    Returns:
        The config, with float32 activations.

    Raises:
        ValueError: A required key is missing, or the model is no T5, mT5, umT5 or ByT5.
    """
    model_type = values.get("model_type") or _type_of_architecture(values)
    if model_type not in ("t5", "mt5", "umt5"):
        raise ValueError(
            f"config.json has model_type {model_type!r}; only 't5', 'mt5', 'umt5', 'gpt2' and 'mpt' "
            "can be read."
        )
    is_t5 = model_type == "t5"
    values = {
        "feed_forward_proj": "relu" if is_t5 else "gated-gelu",
        "tie_word_embeddings": is_t5,
        **values,
    }
    # Since transformers 5 all T5 configs say they are tied, and this tells T5 1.0 from 1.1.
    values["tie_word_embeddings"] = values.get(
        "scale_decoder_outputs", values["tie_word_embeddings"]
    )
    if next(iter(values.get("architectures") or [""])).endswith("EncoderModel"):
        values["num_decoder_layers"] = 0  # the file has those of the model that it is from
    if values.get("num_decoder_layers") is None:
        values["num_decoder_layers"] = values.get("num_layers")
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
    return T5Config(
        mlp=mlps[values["feed_forward_proj"]],  # type: ignore[arg-type]
        position_bias="per_layer" if model_type == "umt5" else "shared",
        embedding_dim=values.get(_EMBEDDING_KEY),
        **fields,
    )


def _type_of_architecture(values: Mapping[str, Any]) -> str:
    """The model type by the class, `UMT5ForConditionalGeneration`: umT5 XL's file has no other."""
    name = next(iter(values.get("architectures") or ["T5"]))
    return name.partition("For")[0].removesuffix("EncoderModel").lower()
