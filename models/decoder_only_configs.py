"""The shapes of decoder-only language models: the reference models of two papers.

"When Less is More" has GPT-style models of 124M and 1.5B parameters, a context of 2048 and 51,200
tokens; "Perplexed by Perplexity" has MPT models of 125M, 1B and 3B. Neither gives widths, heads
or layers: `gpt_*` have those of GPT-2's public sizes, `mpt_*` those of MosaicML's pretraining
configs. That MPT means ALiBi, no biases and 2048 positions is that of the public MPT-7B.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from models.dtypes import Dtype, check_dtype

ARCHITECTURES = ("gpt2", "mpt")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderOnlyConfig:
    """What a decoder-only language model is made of.

    Both architectures normalise before each layer (LayerNorm), have a feed-forward layer with a
    GELU, and use the embedding as head.

    Attributes:
        architecture: 'gpt2' (learned positions, biases, GELU by tanh) or 'mpt' (ALiBi, no
            biases, exact GELU).
        vocab_size: Rows of the embedding, V.
        d_model: Width of the residual stream, D.
        num_heads: Attention heads, H, of width K = D / H.
        d_ff: Width of the feed-forward layer, F.
        num_layers: Layers.
        context_length: Positions that 'gpt2' has; 'mpt' was trained on so many and can go on.
        layer_norm_epsilon: Added to the variance in norms.
        dropout_rate: Used in training only.
        dtype: Of activations. This and `attention` say how to run a model, not which one it
            is, so `config_to_json` leaves them out.
        attention: 'xla', or 'cudnn' (NVIDIA GPUs, bfloat16); see `models.attention`.
    """

    architecture: Literal["gpt2", "mpt"] = "gpt2"
    vocab_size: int
    d_model: int
    num_heads: int
    d_ff: int
    num_layers: int
    context_length: int = 2048
    layer_norm_epsilon: float = 1e-5
    dropout_rate: float = 0.0
    dtype: Dtype = "float32"
    attention: Literal["xla", "cudnn"] = "xla"

    def __post_init__(self):
        check_dtype(self.dtype)
        for field, known in (("architecture", ARCHITECTURES), ("attention", ("xla", "cudnn"))):
            if getattr(self, field) not in known:
                raise ValueError(
                    f"DecoderOnlyConfig.{field} is {getattr(self, field)!r}; it can be one of: "
                    f"{', '.join(known)}."
                )
        if self.d_model % self.num_heads:
            raise ValueError(
                f"d_model is {self.d_model} and num_heads is {self.num_heads}; heads must divide "
                "the width evenly."
            )

    @property
    def head_dim(self) -> int:
        """Width of one head, K."""
        return self.d_model // self.num_heads


def _sized(
    architecture: Literal["gpt2", "mpt"],
    d_model: int,
    num_heads: int,
    num_layers: int,
    vocab_size: int,
) -> DecoderOnlyConfig:
    return DecoderOnlyConfig(
        architecture=architecture,
        vocab_size=vocab_size,
        d_model=d_model,
        num_heads=num_heads,
        d_ff=4 * d_model,
        num_layers=num_layers,
    )


# Tables of 51,200 (paper) and 50,368 (MosaicML's); `prune train` replaces them by the vocabulary's.
_GPT = {
    # Trained by a CPU in minutes, as T5's `tiny` and `mini`.
    "tiny": (128, 4, 2),
    "mini": (256, 4, 4),
    "124m": (768, 12, 12),
    "355m": (1024, 16, 24),
    "774m": (1280, 20, 36),
    "1_5b": (1600, 25, 48),
}
_MPT = {"tiny": (128, 4, 2), "125m": (768, 12, 12), "1b": (2048, 16, 24), "3b": (2560, 20, 32)}
SIZES: dict[str, DecoderOnlyConfig] = {
    **{f"gpt_{size}": _sized("gpt2", *shape, 51_200) for size, shape in _GPT.items()},
    **{f"mpt_{size}": _sized("mpt", *shape, 50_368) for size, shape in _MPT.items()},
}

_JSON_KEYS = {
    "gpt2": {
        "vocab_size": "vocab_size",
        "d_model": "n_embd",
        "num_heads": "n_head",
        "num_layers": "n_layer",
        "context_length": "n_positions",
    },
    "mpt": {
        "vocab_size": "vocab_size",
        "d_model": "d_model",
        "num_heads": "n_heads",
        "num_layers": "n_layers",
        "context_length": "max_seq_len",
    },
}
_OPTIONAL_KEYS = ("layer_norm_epsilon", "dropout_rate")


def config_to_json(config: DecoderOnlyConfig) -> dict[str, Any]:
    """Returns the config under the keys of Hugging Face's `GPT2Config` or `MptConfig`.

    `dropout_rate` is a key of our own, for their three. The token ids are those of our
    vocabularies: 0 pads and begins a text, 1 ends it.
    """
    keys = _JSON_KEYS[config.architecture]
    variant: dict[str, Any]
    values = {
        "model_type": config.architecture,
        "tie_word_embeddings": True,
        "pad_token_id": 0,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "n_inner": config.d_ff,
        **{key: getattr(config, field) for field, key in keys.items()},
        **{key: getattr(config, key) for key in _OPTIONAL_KEYS},
    }
    if config.architecture == "gpt2":
        variant = {"architectures": ["GPT2LMHeadModel"], "activation_function": "gelu_new"}
    else:
        variant = {"architectures": ["MptForCausalLM"], "no_bias": True}
        variant["attn_config"] = {"alibi": True}
        variant["expansion_ratio"] = config.d_ff // config.d_model
    return {**variant, **values}


def config_from_json(values: Mapping[str, Any]) -> DecoderOnlyConfig:
    """Reads the parsed `config.json` of a GPT-2 or MPT, or what `config_to_json` gave.

    Returns:
        The config, with float32 activations.

    Raises:
        ValueError: A required key is missing, or the network is a variant that is not built here.
    """
    architecture = values["model_type"]
    keys = _JSON_KEYS[architecture]
    if missing := [key for key in keys.values() if values.get(key) is None]:
        raise ValueError(
            f"config.json has no {', '.join(missing)}; every config of model_type "
            f"{architecture!r} has these."
        )
    _check_variant(architecture, values)
    fields = {field: values[key] for field, key in keys.items()}
    fields |= {key: values[key] for key in _OPTIONAL_KEYS if key in values}
    width = values.get("n_inner") or values.get("expansion_ratio", 4) * fields["d_model"]
    return DecoderOnlyConfig(architecture=architecture, d_ff=width, **fields)


def _check_variant(architecture: str, values: Mapping[str, Any]) -> None:
    attention = values.get("attn_config") or {}
    variant: dict[str, tuple[Any, Any]]
    if architecture == "gpt2":
        variant = {"activation_function": ("gelu_new", values.get("activation_function"))}
    else:
        variant = {
            "no_bias": (True, values.get("no_bias")),
            "attn_config.alibi": (True, attention.get("alibi")),
            "attn_config.alibi_bias_max": (8, attention.get("alibi_bias_max")),
            "attn_config.clip_qkv": (None, attention.get("clip_qkv")),
            "attn_config.qk_ln": (False, attention.get("qk_ln")),
        }
    variant["tie_word_embeddings"] = (True, values.get("tie_word_embeddings"))
    for key, (expected, found) in variant.items():
        if found not in (None, expected):
            raise ValueError(
                f"config.json has {key} {found!r}; of model_type {architecture!r} only "
                f"{expected!r} can be read."
            )
