"""Statistics of several models are the means of what each gives."""

import dataclasses

import jax
import numpy as np
import pytest

from models.configs import named_config
from models.families import init_params
from models.scoring_model import make_token_statistics_fn

NAMES = ("nll", "el2n")


def batch() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {
        f"{side}_{kind}_tokens": rng.integers(1, 50, (2, length)).astype(np.int32)
        for side, kind, length in (
            ("encoder", "input", 12),
            ("decoder", "input", 7),
            ("decoder", "target", 7),
        )
    }
    arrays["encoder_segment_ids"] = np.array([[1] * 6 + [2] * 6, [1] * 12], np.int32)
    arrays["decoder_segment_ids"] = np.array([[1] * 4 + [2] * 3, [1] * 5 + [0] * 2], np.int32)
    return arrays


@pytest.mark.parametrize("name", ["tiny", "gpt_tiny"])
def test_an_ensemble_gives_the_mean_of_its_models(name):
    config = dataclasses.replace(named_config(name), vocab_size=50)
    models = [
        jax.tree.map(lambda array: 3 * array, init_params(config, jax.random.key(seed)))
        for seed in range(3)
    ]
    each = [make_token_statistics_fn(config, model, names=NAMES)(batch()) for model in models]
    together = make_token_statistics_fn(config, models, names=NAMES)(batch())
    assert set(together) == set(NAMES)
    for statistic in NAMES:
        values = np.stack([single[statistic] for single in each])
        assert values.std(0)[0].min() > 1e-3  # the models differ
        assert together[statistic].dtype == np.float32
        np.testing.assert_allclose(together[statistic], values.mean(0), rtol=1e-5, atol=1e-5)
    # One in a list is one.
    alone = make_token_statistics_fn(config, models[:1], names=("el2n",))(batch())
    np.testing.assert_array_equal(alone["el2n"], each[0]["el2n"])
    assert set(alone) == {"el2n"}


def test_models_of_another_shape_are_named():
    config = named_config("gpt_tiny")
    other = init_params(dataclasses.replace(config, d_ff=64), jax.random.key(0))
    with pytest.raises(ValueError, match=r"model 2 of 2 do not fit(.|\n)*mlp/wi/kernel: found"):
        make_token_statistics_fn(config, [init_params(config, jax.random.key(0)), other])


def test_unknown_statistics_list_the_known():
    config = named_config("gpt_tiny")
    with pytest.raises(ValueError, match="Token statistics loss were asked for; known are: nll"):
        make_token_statistics_fn(config, {}, names=("loss",))
    with pytest.raises(ValueError, match="of no name"):
        make_token_statistics_fn(config, {}, names=())
