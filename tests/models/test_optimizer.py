import jax
import numpy as np
import pytest

from models.checkpoints.optimizer_state import from_param_states, to_param_states
from models.optimizer import LearningRate, adafactor_step, init_adafactor


def adafactor_float64(param, gradients, learning_rate):
    """Shazeer and Stern 2018, algorithms 4 (matrices) and 5, with relative step sizes."""
    param, factored = np.float64(param), min(param.shape) >= 128 and param.ndim == 2
    rows, columns, full = 0.0, 0.0, 0.0
    for step, gradient in enumerate(np.float64(gradients), start=1):
        decay = 1 - step**-0.8
        squares = gradient**2 + 1e-30
        rows = decay * rows + (1 - decay) * squares.mean(axis=-1)
        columns = decay * columns + (1 - decay) * squares.mean(axis=0)
        full = decay * full + (1 - decay) * squares
        second = np.outer(rows, columns) / rows.mean() if factored else full
        update = gradient / np.sqrt(second)
        update /= max(1.0, np.sqrt((update**2).mean()))
        param = param - learning_rate * max(np.sqrt((param**2).mean()), 1e-3) * update
    return param


@pytest.mark.parametrize("shape", [(128, 140), (140, 128), (127, 300), (9,)])
def test_steps_equal_the_paper(shape):
    rng = np.random.default_rng(0)
    param = rng.normal(size=shape).astype(np.float32)
    gradients = rng.normal(size=(3, *shape)).astype(np.float32) * np.array([1, 30, 0.1]).reshape(
        -1, *[1] * len(shape)
    ).astype(np.float32)
    params, state = {"p": param}, init_adafactor({"p": param})
    for gradient in gradients:
        params, state = adafactor_step(
            params, {"p": gradient}, state, LearningRate(schedule="constant", multiplier=0.1)
        )
    expected = adafactor_float64(param, gradients, 0.1)
    assert np.abs(expected - param).max() > 0.05
    np.testing.assert_allclose(params["p"], expected, atol=2e-5)
    assert state.count == 3


def test_learning_rates():
    assert float(LearningRate()(0)) == pytest.approx(0.01)
    assert float(LearningRate()(40_000)) == pytest.approx(0.005)
    assert float(LearningRate(multiplier=2.0, hold_steps=100)(50)) == pytest.approx(0.2)
    constant = LearningRate(schedule="constant", multiplier=0.3, linear_warmup_steps=4)
    assert [float(constant(step)) for step in (0, 1, 3, 9)] == pytest.approx(
        [0.075, 0.15, 0.3, 0.3]
    )
    with pytest.raises(ValueError, match=r"schedule 'cosine'. Known: rsqrt, constant"):
        LearningRate(schedule="cosine")


def test_state_survives_t5x_names():
    rng = np.random.default_rng(0)
    params = {"a": {"kernel": rng.normal(size=(128, 200))}, "b": {"scale": rng.normal(size=7)}}
    params = jax.tree.map(np.float32, params)
    _, state = adafactor_step(params, params, init_adafactor(params), LearningRate())
    param_states = to_param_states(state)
    assert set(param_states["a"]["kernel"]) == {"m", "v", "v_row", "v_col"}
    restored = from_param_states(1, param_states)
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, restored, state)


def test_steps_that_make_no_schedule_are_refused():
    with pytest.raises(ValueError, match="hold_steps is 0 and linear_warmup_steps is 0"):
        LearningRate(hold_steps=0)
    with pytest.raises(ValueError, match="linear_warmup_steps is -1; expected"):
        LearningRate(linear_warmup_steps=-1)
