"""Log-probabilities of answers against a softmax over the whole vocabulary."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from models.configs import named_config
from models.scoring_model import make_answer_log_prob_fn
from models.t5 import T5, head_kernel, init_params
from models.token_losses import summed_log_prob

CONFIG = dataclasses.replace(named_config("tiny"), vocab_size=50)


def test_probabilities_of_several_ids_add_up():
    rng = np.random.default_rng(0)
    hidden_BTD, kernel_DV = rng.normal(size=(3, 7, 16)), rng.normal(size=(16, 50))
    logits = hidden_BTD @ kernel_DV
    p_BTV = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    # A chunk of 4 of the 21 positions leaves some over.
    found = summed_log_prob(
        jnp.asarray(hidden_BTD, jnp.float32),
        jnp.asarray(kernel_DV, jnp.float32),
        ((3, 8), (0,)),
        chunk=4,
    )
    np.testing.assert_allclose(found[0], np.log(p_BTV[..., 3] + p_BTV[..., 8]), atol=1e-5)
    np.testing.assert_allclose(found[1], np.log(p_BTV[..., 0]), atol=1e-5)


def test_answers_of_a_batch_are_zero_at_padding():
    params = init_params(CONFIG, jax.random.key(0))
    rng = np.random.default_rng(0)
    batch = {
        "encoder_input_tokens": rng.integers(1, 50, (2, 20)).astype(np.int32),
        "encoder_segment_ids": np.array([[1] * 8 + [2] * 12, [1] * 15 + [0] * 5], np.int32),
        "decoder_input_tokens": np.zeros((2, 2), np.int32),
        "decoder_segment_ids": np.array([[1, 2], [1, 0]], np.int32),
    }
    found = make_answer_log_prob_fn(CONFIG, params, yes_ids=[7, 9], no_ids=[11])(batch)
    hidden_BTD = T5(CONFIG).apply({"params": params}, *batch.values())
    log_p_BTV = jax.nn.log_softmax(hidden_BTD @ head_kernel(params, CONFIG))
    yes_BT = np.logaddexp(log_p_BTV[..., 7], log_p_BTV[..., 9])
    real_BT = batch["decoder_segment_ids"] != 0
    assert {name: value.dtype for name, value in found.items()} == {
        "log_p_yes": np.float32,
        "log_p_no": np.float32,
    }
    np.testing.assert_allclose(found["log_p_yes"], yes_BT * real_BT, atol=1e-5)
    np.testing.assert_allclose(found["log_p_no"], log_p_BTV[..., 11] * real_BT, atol=1e-5)
