import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.token_losses import token_nll, token_nll_and_el2n, token_nll_and_logsumexp


def inputs(B=3, T=7, D=16, V=50, dtype=np.float32):
    rng = np.random.default_rng(0)
    hidden_BTD = rng.normal(size=(B, T, D)).astype(dtype)
    kernel_DV = (2 * rng.normal(size=(D, V))).astype(dtype)
    return hidden_BTD, kernel_DV, rng.integers(0, V, (B, T)).astype(np.int32)


def definition(hidden_BTD, kernel_DV, targets_BT):
    """The textbook softmax in float64, and the gradients of sum(nll + 0.1 * lse**2)."""
    hidden, kernel = np.float64(hidden_BTD), np.float64(kernel_DV)
    logits = hidden @ kernel
    lse = np.log(np.exp(logits).sum(-1))
    one_hot = np.eye(kernel.shape[1])[targets_BT]
    nll = lse - (logits * one_hot).sum(-1)
    softmax = np.exp(logits - lse[..., None])
    slope = softmax * (1 + 0.2 * lse[..., None]) - one_hot
    return nll, lse, slope @ kernel.T, np.einsum("btd,btv->dv", hidden, slope)


@pytest.mark.parametrize("chunk", [1, 4, 5, 21, 1000])
def test_values_and_gradients_equal_the_definition(chunk):
    hidden, kernel, targets = inputs()
    nll, lse, hidden_gradient, kernel_gradient = definition(hidden, kernel, targets)

    def loss(hidden, kernel):
        nll, lse = token_nll_and_logsumexp(hidden, kernel, targets, chunk=chunk)
        return (nll + 0.1 * lse**2).sum()

    ours = token_nll_and_logsumexp(hidden, kernel, targets, chunk=chunk)
    gradients = jax.grad(loss, argnums=(0, 1))(hidden, kernel)
    np.testing.assert_allclose(ours[0], nll, atol=1e-5)
    np.testing.assert_allclose(ours[1], lse, atol=1e-5)
    np.testing.assert_allclose(gradients[0], hidden_gradient, atol=1e-4)
    np.testing.assert_allclose(gradients[1], kernel_gradient, atol=1e-4)


def softmax(logits):
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


@pytest.mark.parametrize("chunk", [4, 1000])
@pytest.mark.parametrize("sharpness", [0.01, 1.0, 3.0, 100.0])
def test_el2n_is_the_norm_of_softmax_minus_one_hot(chunk, sharpness):
    hidden, kernel, targets = inputs()
    kernel = kernel * np.float32(sharpness)
    logits = np.float64(hidden) @ np.float64(kernel)
    # Half of the targets are what the model is surest of.
    targets[:, ::2] = logits.argmax(-1)[:, ::2]
    expected = np.linalg.norm(softmax(logits) - np.eye(kernel.shape[1])[targets], axis=-1)
    nll, el2n = token_nll_and_el2n(hidden, kernel, targets, chunk=chunk)
    assert el2n.dtype == jnp.float32
    np.testing.assert_allclose(el2n, expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(nll, token_nll(hidden, kernel, targets, chunk=chunk))


def test_el2n_of_sure_predictions_is_near_zero_and_not_nan():
    """Where 1 - 2 p + sum p^2 in float32 is noise around zero."""
    kernel_DV = np.diag(np.float32([9.0, 1.0, 0.0]))
    hidden_BTD = np.float32([[[1, 0, 0], [1.5, 0, 0], [100, 0, 0]]])
    logits = np.float64(hidden_BTD @ kernel_DV)
    expected = np.linalg.norm(softmax(logits) - np.eye(3)[0], axis=-1)
    found = token_nll_and_el2n(hidden_BTD, kernel_DV, np.zeros((1, 3), np.int32))[1]
    assert 0 < expected[0, 1] < 1e-5
    np.testing.assert_allclose(found, expected, rtol=0.1, atol=1e-12)


def test_large_logits_do_not_overflow():
    hidden, kernel, targets = inputs()
    for values in token_nll_and_el2n(1e4 * hidden, kernel, targets):
        assert np.isfinite(values).all()


def test_bfloat16_hidden_states_give_float32_statistics():
    hidden, kernel, targets = inputs()
    nll = token_nll(jnp.asarray(hidden, jnp.bfloat16), kernel, targets)
    assert nll.dtype == jnp.float32
    np.testing.assert_allclose(nll, definition(hidden, kernel, targets)[0], atol=0.15)


@pytest.mark.parametrize("with_gradient", [False, True])
def test_memory_stays_below_the_full_logits(with_gradient):
    hidden, kernel, targets = inputs(B=8, T=128, D=16, V=4096)
    loss = functools.partial(token_nll, chunk=128)
    if with_gradient:
        loss = jax.grad(lambda *args: token_nll(*args, chunk=128).sum(), argnums=(0, 1))
    memory = jax.jit(loss).lower(hidden, kernel, targets).compile().memory_analysis()
    full_logits = targets.size * 4096 * 4
    assert memory.temp_size_in_bytes < full_logits / 2
