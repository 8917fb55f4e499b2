"""Our T5 against Hugging Face's, with random weights, in float32 and bfloat16."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from models.configs import T5Config, config_to_json
from models.families import param_shapes
from models.relative_positions import relative_position_buckets
from models.t5 import T5, head_kernel

SHAPE = {
    "vocab_size": 61,
    "d_model": 24,
    "num_heads": 3,
    "head_dim": 6,
    "d_ff": 40,
    "num_encoder_layers": 2,
    "num_decoder_layers": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 20,
}
CONFIGS = {
    "1.0": T5Config(**SHAPE, mlp="relu", tied_embedding=True),
    "1.1": T5Config(**SHAPE, mlp="gated_gelu", tied_embedding=False),
}


def hugging_face_model(config: T5Config) -> transformers.T5ForConditionalGeneration:
    torch.manual_seed(0)
    model = transformers.T5ForConditionalGeneration(
        transformers.T5Config(**config_to_json(config))
    ).eval()
    if not config.tied_embedding:
        model.lm_head.weight = torch.nn.Parameter(torch.randn(config.vocab_size, config.d_model))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Large enough that attention is far from uniform and norms are not all ones.
            if "layer_norm" in name:
                parameter.copy_(1 + 0.3 * torch.randn_like(parameter))
            elif "relative_attention_bias" in name:
                parameter.copy_(torch.randn_like(parameter))
            elif not ("shared" in name or "lm_head" in name):
                parameter.copy_(torch.randn_like(parameter) * 0.7 / parameter.shape[1] ** 0.5)
    return model


def convert(model: transformers.T5ForConditionalGeneration, config: T5Config) -> dict:
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    attention = {"query": "q", "key": "k", "value": "v", "out": "o"}

    def source(path: tuple[str, ...]) -> str:
        if path[0] == "token_embedder":
            return "shared.weight"
        if path[1] == "logits_dense":
            return "lm_head.weight"
        stack, part, *rest = path
        if part.endswith("_norm"):
            return f"{stack}.final_layer_norm.weight"
        if part == "relpos_bias":
            return f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        block = f"{stack}.block.{part.removeprefix('layers_')}.layer"
        last = 1 if stack == "encoder" else 2
        layer = rest[0]
        if layer in ("attention", "self_attention"):
            return f"{block}.0.SelfAttention.{attention[rest[1]]}.weight"
        if layer == "encoder_decoder_attention":
            return f"{block}.1.EncDecAttention.{attention[rest[1]]}.weight"
        if layer == "mlp":
            return f"{block}.{last}.DenseReluDense.{rest[1]}.weight"
        norms = {"pre_mlp_layer_norm": last, "pre_cross_attention_layer_norm": 1}
        return f"{block}.{norms.get(layer, 0)}.layer_norm.weight"

    def leaf(path, shape):
        names = tuple(key.key for key in path)
        array = weights[source(names)]
        return array if names[-1] in ("embedding", "scale") else array.T

    return jax.tree_util.tree_map_with_path(leaf, param_shapes(config))


def batch() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    lengths = {"encoder": [30, 17, 1], "decoder": [14, 3, 9]}
    arrays = {}
    for side, rows in lengths.items():
        segment_ids = (np.arange(max(rows)) < np.array(rows)[:, None]).astype(np.int32)
        tokens = rng.integers(2, SHAPE["vocab_size"], segment_ids.shape).astype(np.int32)
        arrays[f"{side}_segment_ids"] = segment_ids
        arrays[f"{side}_input_tokens"] = tokens * segment_ids
    return arrays


def our_logits(config: T5Config, params: dict, arrays: dict[str, np.ndarray]) -> np.ndarray:
    hidden_BTD = T5(config).apply(
        {"params": params},
        arrays["encoder_input_tokens"],
        arrays["encoder_segment_ids"],
        arrays["decoder_input_tokens"],
        arrays["decoder_segment_ids"],
    )
    return np.asarray(hidden_BTD.astype(jnp.float32) @ head_kernel(params, config))


def their_logits(model, arrays: dict[str, np.ndarray]) -> np.ndarray:
    with torch.no_grad():
        return model(
            input_ids=torch.from_numpy(arrays["encoder_input_tokens"]).long(),
            attention_mask=torch.from_numpy(arrays["encoder_segment_ids"]),
            decoder_input_ids=torch.from_numpy(arrays["decoder_input_tokens"]).long(),
            decoder_attention_mask=torch.from_numpy(arrays["decoder_segment_ids"]),
        ).logits.numpy()


@pytest.mark.parametrize("version", CONFIGS)
def test_logits_equal_hugging_face(version):
    config, arrays = CONFIGS[version], batch()
    model = hugging_face_model(config)
    ours, theirs = our_logits(config, convert(model, config), arrays), their_logits(model, arrays)
    real = arrays["decoder_segment_ids"] != 0
    assert np.abs(theirs[real]).max() > 1  # not trivially small
    np.testing.assert_allclose(ours[real], theirs[real], atol=1e-4, rtol=0)
    assert np.isfinite(ours).all()


def test_bfloat16_is_near_float32():
    config, arrays = CONFIGS["1.1"], batch()
    params = convert(hugging_face_model(config), config)
    exact = our_logits(config, params, arrays)
    rounded = our_logits(dataclasses.replace(config, dtype="bfloat16"), params, arrays)
    real = arrays["decoder_segment_ids"] != 0
    error = np.abs(rounded - exact)[real]
    assert 0 < error.mean() < 0.03 * np.abs(exact[real]).mean()


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("num_buckets", "max_distance"), [(32, 128), (8, 20), (64, 256)])
def test_buckets_equal_hugging_face(bidirectional, num_buckets, max_distance):
    from transformers.models.t5.modeling_t5 import T5Attention

    offsets = np.arange(-600, 600)
    theirs = T5Attention._relative_position_bucket(
        torch.from_numpy(offsets),
        bidirectional=bidirectional,
        num_buckets=num_buckets,
        max_distance=max_distance,
    )
    ours = relative_position_buckets(
        offsets, bidirectional=bidirectional, num_buckets=num_buckets, max_distance=max_distance
    )
    np.testing.assert_array_equal(ours, theirs.numpy())
