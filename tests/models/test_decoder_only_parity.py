"""Our decoder-only models against Hugging Face's GPT-2 and MPT, with random weights."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from flax import traverse_util

from models.causal_positions import alibi_bias
from models.configs import DecoderOnlyConfig, config_to_json
from models.decoder_only import DecoderOnly, head_kernel
from models.families import param_shapes

SHAPE = {"vocab_size": 61, "d_model": 24, "d_ff": 96, "num_layers": 2, "context_length": 40}
CONFIGS = {
    "gpt2": DecoderOnlyConfig(architecture="gpt2", num_heads=4, **SHAPE),
    # Six heads: slopes of no power of two.
    "mpt": DecoderOnlyConfig(architecture="mpt", num_heads=6, **SHAPE),
}
CLASSES = {"gpt2": transformers.GPT2LMHeadModel, "mpt": transformers.MptForCausalLM}
PARTS = {"query": 0, "key": 1, "value": 2}


def hugging_face_model(config: DecoderOnlyConfig):
    torch.manual_seed(0)
    cls = CLASSES[config.architecture]
    model = cls(cls.config_class(**config_to_json(config))).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Large enough that attention is far from uniform and norms are not all ones.
            noise = torch.randn_like(parameter)
            is_norm = "ln_" in name or "norm_" in name
            if is_norm and name.endswith("weight"):
                noise = 1 + 0.3 * noise
            elif parameter.ndim == 1 or "wpe" in name:
                noise *= 0.3
            elif "wte" not in name:
                noise *= 1.0 / config.d_model**0.5
            parameter.copy_(noise)
    return model


def convert(model, config: DecoderOnlyConfig) -> dict:
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    is_gpt = config.architecture == "gpt2"
    norms = {
        "pre_self_attention_layer_norm": "ln_1" if is_gpt else "norm_1",
        "pre_mlp_layer_norm": "ln_2" if is_gpt else "norm_2",
    }
    products = {
        "out": "attn.c_proj" if is_gpt else "attn.out_proj",
        "wi": "mlp.c_fc" if is_gpt else "ffn.up_proj",
        "wo": "mlp.c_proj" if is_gpt else "ffn.down_proj",
    }

    def leaf(path: tuple[str, ...]) -> np.ndarray:
        kind = "bias" if path[-1] == "bias" else "weight"
        if path[0] == "token_embedder":
            return weights["transformer.wte.weight"]
        if path[1] == "position_embedder":
            return weights["transformer.wpe.weight"]
        if path[1] == "decoder_norm":
            return weights[f"transformer.{'ln_f' if is_gpt else 'norm_f'}.{kind}"]
        number = path[1].removeprefix("layers_")
        block = f"transformer.{'h' if is_gpt else 'blocks'}.{number}"
        if path[2] in norms:
            return weights[f"{block}.{norms[path[2]]}.{kind}"]
        # GPT-2's products are stored as they multiply, torch's own transposed.
        transposed = (lambda x: x) if is_gpt or kind == "bias" else np.transpose
        if path[-2] in PARTS:
            joined = transposed(weights[f"{block}.attn.{'c_attn' if is_gpt else 'Wqkv'}.{kind}"])
            return np.split(joined, 3, axis=-1)[PARTS[path[-2]]]
        return transposed(weights[f"{block}.{products[path[-2]]}.{kind}"])

    flat = traverse_util.flatten_dict(param_shapes(config))
    return traverse_util.unflatten_dict({path: leaf(path) for path in flat})


def batch() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    segment_ids = (np.arange(37) < np.array([37, 20, 1])[:, None]).astype(np.int32)
    tokens = rng.integers(2, SHAPE["vocab_size"], segment_ids.shape).astype(np.int32)
    return {"decoder_input_tokens": tokens * segment_ids, "decoder_segment_ids": segment_ids}


def our_logits(config: DecoderOnlyConfig, params: dict, arrays: dict) -> np.ndarray:
    hidden_BTD = DecoderOnly(config).apply({"params": params}, *arrays.values())
    return np.asarray(hidden_BTD.astype(jnp.float32) @ head_kernel(params, config))


def their_logits(model, arrays: dict) -> np.ndarray:
    with torch.no_grad():
        return model(
            input_ids=torch.from_numpy(arrays["decoder_input_tokens"]).long(),
            attention_mask=torch.from_numpy(arrays["decoder_segment_ids"]),
        ).logits.numpy()


@pytest.mark.parametrize("architecture", CONFIGS)
def test_logits_equal_hugging_face(architecture):
    config, arrays = CONFIGS[architecture], batch()
    model = hugging_face_model(config)
    params = convert(model, config)
    assert jax.tree.map(np.shape, params) == jax.tree.map(lambda s: s.shape, param_shapes(config))
    ours, theirs = our_logits(config, params, arrays), their_logits(model, arrays)
    real = arrays["decoder_segment_ids"] != 0
    assert np.abs(theirs[real]).max() > 1  # not trivially small
    np.testing.assert_allclose(ours[real], theirs[real], atol=1e-4, rtol=0)
    assert np.isfinite(ours).all()


@pytest.mark.parametrize("architecture", CONFIGS)
def test_bfloat16_is_near_float32(architecture):
    config, arrays = CONFIGS[architecture], batch()
    params = convert(hugging_face_model(config), config)
    exact = our_logits(config, params, arrays)
    rounded = our_logits(dataclasses.replace(config, dtype="bfloat16"), params, arrays)
    real = arrays["decoder_segment_ids"] != 0
    error = np.abs(rounded - exact)[real]
    assert 0 < error.mean() < 0.03 * np.abs(exact[real]).mean()


@pytest.mark.parametrize("num_heads", [1, 6, 8, 12, 20])
def test_alibi_equals_hugging_face_up_to_what_softmax_does_not_see(num_heads):
    from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor

    theirs = build_mpt_alibi_tensor(num_heads, 30).numpy()
    ours = np.asarray(alibi_bias(num_heads, 30, 30))[0]
    difference = ours - theirs
    np.testing.assert_allclose(difference, difference[..., :1] + np.zeros_like(ours), atol=1e-5)
    np.testing.assert_array_equal(ours.diagonal(axis1=1, axis2=2), 0)
