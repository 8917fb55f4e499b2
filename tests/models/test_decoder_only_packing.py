"""Documents packed into one row of a decoder-only model give what each gives alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.causal_positions import segment_positions
from models.configs import DecoderOnlyConfig
from models.families import init_params
from models.scoring_model import make_answer_log_prob_fn, make_token_statistics_fn

SHAPE = {"vocab_size": 97, "d_model": 32, "num_heads": 4, "d_ff": 64, "num_layers": 2}
CONFIGS = {
    name: DecoderOnlyConfig(architecture=name, context_length=48, **SHAPE)
    for name in ("gpt2", "mpt")
}


def sharp_params(config: DecoderOnlyConfig, seed: int = 1) -> dict:
    """Positions and attention as strong as in a trained model."""
    return jax.tree.map(lambda array: 8 * array, init_params(config, jax.random.key(seed)))


def row(lengths: list[int], total: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch of one row with documents of these lengths, always the same ones."""
    batch = {
        name: np.zeros((1, total), np.int32)
        for name in ("decoder_input_tokens", "decoder_target_tokens", "decoder_segment_ids")
    }
    first = 0
    for segment, length in enumerate(lengths, start=1):
        rng = np.random.default_rng([seed, length])
        targets = rng.integers(2, SHAPE["vocab_size"], length)
        at = slice(first, first + length)
        batch["decoder_target_tokens"][0, at] = targets
        batch["decoder_input_tokens"][0, at] = np.concatenate([[0], targets[:-1]])
        batch["decoder_segment_ids"][0, at] = segment
        first += length
    return batch


@pytest.mark.parametrize("architecture", CONFIGS)
def test_packed_documents_score_as_alone(architecture):
    config = CONFIGS[architecture]
    score = make_token_statistics_fn(config, sharp_params(config), names=("nll", "el2n"))
    packed = score(row([19, 11, 1], 40))
    alone = [score(row([length], 19)) for length in (19, 11, 1)]
    for name, found in packed.items():
        parts = [np.asarray(a[name])[0, :n] for a, n in zip(alone, (19, 11, 1), strict=True)]
        np.testing.assert_allclose(found[0, :31], np.concatenate(parts), atol=2e-5)
        np.testing.assert_array_equal(found[0, 31:], 0)
        assert np.concatenate(parts).std() > 0.02


@pytest.mark.parametrize("architecture", CONFIGS)
def test_what_the_encoder_would_get_is_ignored(architecture):
    config = CONFIGS[architecture]
    score = make_token_statistics_fn(config, sharp_params(config))
    batch = row([9], 12)
    empty = {f"encoder_{name}": np.zeros((1, 0), np.int32) for name in ("input_tokens", "x")}
    np.testing.assert_array_equal(score(batch)["nll"], score(batch | empty)["nll"])


@pytest.mark.parametrize("architecture", CONFIGS)
def test_the_order_of_the_tokens_before_matters_and_the_future_does_not(architecture):
    config = CONFIGS[architecture]
    batch, score = row([9], 9), make_token_statistics_fn(config, sharp_params(config))
    before = np.asarray(score(batch)["nll"])[0]
    inputs = batch["decoder_input_tokens"]
    inputs[0, [3, 5]] = inputs[0, [5, 3]]
    after = np.asarray(score(batch)["nll"])[0]
    np.testing.assert_array_equal(before[:3], after[:3])
    assert np.abs(before[6:] - after[6:]).min() > 1e-4


def test_positions_begin_again_with_every_segment():
    segment_ids = jnp.array([[1, 1, 1, 2, 2, 3, 0, 0], [7, 7, 7, 7, 7, 7, 7, 7]])
    expected = [[0, 1, 2, 0, 1, 0, 0, 1], [0, 1, 2, 3, 4, 5, 6, 7]]
    np.testing.assert_array_equal(segment_positions(segment_ids), expected)


def test_rows_longer_than_the_learned_positions_are_refused():
    score = make_token_statistics_fn(CONFIGS["gpt2"], sharp_params(CONFIGS["gpt2"]))
    with pytest.raises(ValueError, match="A row has 49 positions, but the model has learned only"):
        score(row([10], 49))
    config = CONFIGS["mpt"]
    score = make_token_statistics_fn(config, sharp_params(config))
    assert np.isfinite(score(row([49], 49))["nll"]).all()


def test_questions_are_not_asked_of_a_model_without_an_encoder():
    with pytest.raises(ValueError, match="decoder-only, and questions are asked of an encoder"):
        make_answer_log_prob_fn(CONFIGS["gpt2"], {}, yes_ids=[3], no_ids=[4])
