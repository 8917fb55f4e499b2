"""Greedy continuations against writing token after token with the whole network, without a cache."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.configs import DecoderOnlyConfig, T5Config
from models.families import head_kernel, hidden_states, init_params
from models.greedy_match import make_greedy_match_fn
from models.partitioning import make_mesh

_T5 = T5Config(
    vocab_size=40,
    d_model=16,
    num_heads=2,
    head_dim=8,
    d_ff=32,
    num_encoder_layers=1,
    num_decoder_layers=2,
)
_GPT = DecoderOnlyConfig(
    vocab_size=40, d_model=16, num_heads=2, d_ff=32, num_layers=2, context_length=17
)
CONFIGS = {
    "t5": _T5,
    "umt5": dataclasses.replace(_T5, position_bias="per_layer"),
    "gpt2": _GPT,
    "mpt": dataclasses.replace(_GPT, architecture="mpt"),
}
LENGTHS = (11, 7, 1)
TO_WRITE = 6


def sharp_params(config, seed: int = 0) -> dict:
    """What is written then depends on everything before it."""

    def sharpen(path, array):
        factor = 6 if isinstance(config, DecoderOnlyConfig) else 2
        # An embedding this sharp would make a tied head repeat its input.
        return array if "token_embedder" in jax.tree_util.keystr(path) else factor * array

    return jax.tree_util.tree_map_with_path(sharpen, init_params(config, jax.random.key(seed)))


def batch() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    segments = (np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]).astype(np.int32)
    return {
        "encoder_input_tokens": rng.integers(2, 40, segments.shape).astype(np.int32) * segments,
        "encoder_segment_ids": segments,
        "decoder_target_tokens": np.zeros((len(LENGTHS), TO_WRITE), np.int32),
        "decoder_segment_ids": np.ones((len(LENGTHS), TO_WRITE), np.int32),
    }


@functools.cache
def written_without_cache(config, seed: int = 0) -> np.ndarray:
    """Every token by the whole network, from all tokens before it."""
    params, arrays = sharp_params(config, seed), batch()
    is_decoder_only = isinstance(config, DecoderOnlyConfig)
    beginnings = np.array(LENGTHS) + 1 if is_decoder_only else np.ones(len(LENGTHS), int)
    # The decoder is blind to what is not written yet.
    tokens = np.zeros((len(LENGTHS), beginnings.max() + TO_WRITE), np.int32)
    if is_decoder_only:
        tokens[:, 1 : 1 + max(LENGTHS)] = arrays["encoder_input_tokens"]
    arrays["decoder_segment_ids"] = np.ones_like(tokens[:, :-1])
    rows = np.arange(len(LENGTHS))
    for step in range(TO_WRITE):
        hidden_BTD = run(config, params, arrays | {"decoder_input_tokens": tokens[:, :-1]})
        hidden_BD = hidden_BTD[rows, beginnings + step - 1]
        tokens[rows, beginnings + step] = np.argmax(hidden_BD @ head_kernel(params, config), -1)
    return np.stack([row[b : b + TO_WRITE] for row, b in zip(tokens, beginnings, strict=True)])


@functools.partial(jax.jit, static_argnums=0)
def run(config, params, arrays):
    return hidden_states(config, params, arrays)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_continuation_is_that_of_the_whole_network(name):
    config, arrays = CONFIGS[name], batch()
    params = sharp_params(config)
    expected = written_without_cache(config)
    assert len(np.unique(expected)) > 4  # not one token over and over
    match = make_greedy_match_fn(config, params, make_mesh())
    found = match(arrays | {"decoder_target_tokens": expected})["match"]
    assert (found.shape, found.dtype) == (expected.shape, np.float32)
    np.testing.assert_array_equal(found, 1.0)
    # A token that differs costs itself and nothing after it, and padding counts for nothing.
    other = expected.copy()
    other[0, 2] = (other[0, 2] + 1) % 40
    segments = np.ones_like(other)
    segments[1, 4:] = 0
    found = match(arrays | {"decoder_target_tokens": other, "decoder_segment_ids": segments})
    right = segments.astype(np.float32)
    right[0, 2] = 0
    np.testing.assert_array_equal(found["match"], right)


@pytest.mark.parametrize("name", ["t5", "gpt2"])
def test_the_continuation_is_not_teacher_forced(name):
    """After a miss the model goes on from what it wrote itself, not from the document."""
    config, arrays = CONFIGS[name], batch()
    params = sharp_params(config)
    # One long document, so that decoder inputs are its tokens alone.
    arrays = {key: value[:1] for key, value in arrays.items()}
    targets = written_without_cache(config)[:1].copy()
    targets[:, 1] = (targets[:, 1] + 1) % 40
    prefix = arrays["encoder_input_tokens"][:, : 0 if name == "t5" else None]
    inputs = np.concatenate([np.zeros((1, 1), np.int32), prefix, targets], axis=1)[:, :-1]
    forced = arrays | {"decoder_input_tokens": inputs, "decoder_segment_ids": np.ones_like(inputs)}
    hidden_BTD = run(config, params, forced)[:, prefix.shape[1] :]
    forced_BT = np.argmax(hidden_BTD @ head_kernel(params, config), -1) == targets
    found = make_greedy_match_fn(config, params)(
        arrays | {"decoder_target_tokens": targets} | {"decoder_segment_ids": np.ones_like(targets)}
    )["match"]
    assert (found[:, 2:] == 1).all() and (found[:, 1] == 0).all()
    assert not forced_BT[:, 2:].all()


def test_ties_go_to_the_lowest_id():
    params = jax.tree.map(jnp.zeros_like, init_params(CONFIGS["gpt2"], jax.random.key(0)))
    arrays = batch()
    match = make_greedy_match_fn(CONFIGS["gpt2"], params)
    np.testing.assert_array_equal(match(arrays)["match"], 1)
    arrays["decoder_target_tokens"] += 1
    np.testing.assert_array_equal(match(arrays)["match"], 0)


def test_several_models_give_the_share_that_match():
    config, arrays = CONFIGS["gpt2"], batch()
    models = [sharp_params(config, seed) for seed in range(2)]
    arrays["decoder_target_tokens"] = written_without_cache(config)
    each = [make_greedy_match_fn(config, model)(arrays)["match"] for model in models]
    found = np.asarray(make_greedy_match_fn(config, models)(arrays)["match"])
    np.testing.assert_array_equal(found, (each[0] + each[1]) / 2)
    assert (found == 0.5).any()


@pytest.mark.parametrize("name", ["t5", "mpt"])
def test_bfloat16_runs(name):
    config = dataclasses.replace(CONFIGS[name], dtype="bfloat16")
    found = make_greedy_match_fn(config, sharp_params(config))(batch())["match"]
    assert found.dtype == np.float32


def test_packed_rows_and_too_long_ones_are_refused():
    config, arrays = CONFIGS["gpt2"], batch()
    match = make_greedy_match_fn(config, sharp_params(config))
    packed = arrays | {"decoder_segment_ids": 2 * arrays["decoder_segment_ids"]}
    with pytest.raises(ValueError, match="A row of decoder_segment_ids has 2 documents"):
        match(packed)
    short = dataclasses.replace(config, context_length=16)
    with pytest.raises(ValueError, match="A row has 17 positions, but the model has learned only"):
        make_greedy_match_fn(short, sharp_params(short))(arrays)
