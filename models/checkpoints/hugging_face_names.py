"""How Hugging Face's T5 names and lays out what t5x's tree holds.

The one table of names, for reading and writing. T5 1.0 and 1.1, mT5, umT5 and ByT5 share it.
"""

from models.configs import T5Config

_ATTENTION = {"query": "q", "key": "k", "value": "v", "out": "o"}
_SHARED_BIAS = "block.0.layer.0.SelfAttention.relative_attention_bias.weight"

HEAD = "lm_head.weight"
EMBEDDING = "shared.weight"

# Other names of the embedding, which files of older libraries have beside it.
EMBEDDING_COPIES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")

# The first T5 models had a position bias from decoder to encoder, which nothing reads.
UNUSED = ("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",)


def hugging_face_names(config: T5Config) -> dict[str, str]:
    """Returns Hugging Face's name of every parameter, by its path in t5x's tree.

    That of Sentence-T5's projection is not among them; it lies in a file of its own.
    """
    names = {
        "token_embedder/embedding": EMBEDDING,
        **_stack("encoder", config.num_encoder_layers, config),
    }
    if config.num_decoder_layers:
        names |= _stack("decoder", config.num_decoder_layers, config)
        if not config.tied_embedding:
            names["decoder/logits_dense/kernel"] = HEAD
    return names


def is_transposed(path: str) -> bool:
    """Whether Hugging Face stores the transpose of the array at this path in t5x's tree."""
    return path.endswith(("/kernel", "/rel_embedding"))


def _stack(stack: str, num_layers: int, config: T5Config) -> dict[str, str]:
    names = {
        f"{stack}/layers_{layer}/{ours}": f"{stack}.block.{layer}.layer.{theirs}.weight"
        for layer in range(num_layers)
        for ours, theirs in _layer(stack, config).items()
    }
    names[f"{stack}/{stack}_norm/scale"] = f"{stack}.final_layer_norm.weight"
    if config.position_bias == "shared":
        names[f"{stack}/relpos_bias/rel_embedding"] = f"{stack}.{_SHARED_BIAS}"
    return names


def _layer(stack: str, config: T5Config) -> dict[str, str]:
    is_encoder = stack == "encoder"
    self_attention = "attention" if is_encoder else "self_attention"
    names = {
        f"pre_{self_attention}_layer_norm/scale": "0.layer_norm",
        **_attention(self_attention, "0.SelfAttention"),
    }
    if config.position_bias == "per_layer":
        names["relpos_bias/rel_embedding"] = "0.SelfAttention.relative_attention_bias"
    if not is_encoder:
        names["pre_cross_attention_layer_norm/scale"] = "1.layer_norm"
        names |= _attention("encoder_decoder_attention", "1.EncDecAttention")
    mlp = 1 if is_encoder else 2
    names["pre_mlp_layer_norm/scale"] = f"{mlp}.layer_norm"
    for part in ("wi", "wo") if config.mlp == "relu" else ("wi_0", "wi_1", "wo"):
        names[f"mlp/{part}/kernel"] = f"{mlp}.DenseReluDense.{part}"
    return names


def _attention(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}/{our}/kernel": f"{theirs}.{their}" for our, their in _ATTENTION.items()}
