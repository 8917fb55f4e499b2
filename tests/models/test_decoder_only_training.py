"""The trainer with decoder-only models, and with the optimizers of their papers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import traverse_util

from models.checkpoints import load_model, open_model, t5x_orbax
from models.configs import DecoderOnlyConfig
from models.moment_optimizers import AdamW, Lion, WarmupCosine
from models.optimizer import Adafactor, LearningRate
from models.partitioning import make_mesh
from models.training import train

CONFIG = DecoderOnlyConfig(
    vocab_size=32, d_model=16, num_heads=2, d_ff=32, num_layers=1, context_length=8
)
RATE = LearningRate(schedule="constant", multiplier=0.01)
OPTIMIZERS = {"adafactor": Adafactor(), "adamw": AdamW(), "lion": Lion()}


class Counting:
    """Batches of numbers that go up by one; step `fail_at` raises, as a kill would."""

    def __init__(self, fail_at: int | None = None):
        self.position, self.fail_at = 0, fail_at

    def __next__(self):
        if self.position == self.fail_at:
            raise KeyboardInterrupt
        rng = np.random.default_rng(self.position)
        self.position += 1
        targets = (rng.integers(2, 20, (4, 1)) + np.arange(6)).astype(np.int32)
        ones = np.ones_like(targets)
        return {
            "encoder_input_tokens": np.zeros((4, 0), np.int32),
            "encoder_segment_ids": np.zeros((4, 0), np.int32),
            "decoder_input_tokens": np.pad(targets, ((0, 0), (1, 0)))[:, :-1],
            "decoder_target_tokens": targets,
            "decoder_segment_ids": ones,
            "decoder_loss_weights": ones,
        }

    def state(self):
        return {"position": self.position}

    def restore(self, state):
        self.position = state["position"]


def run(output, num_steps=6, batches=None, config=CONFIG, **kwargs):
    kwargs = {"learning_rate": RATE, "checkpoint_period": 2, "mesh": make_mesh()} | kwargs
    return train(config, batches or Counting(), output=output, num_steps=num_steps, **kwargs)


def arrays(folder):
    step, params, param_states, data_state = t5x_orbax.read(folder)
    assert (step, data_state) == (6, {"position": 6})
    return traverse_util.flatten_dict({"params": params, "states": param_states})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_stopped_and_resumed_run_ends_with_the_same_bits(name, tmp_path):
    config = dataclasses.replace(CONFIG, dropout_rate=0.1)
    how = {"config": config, "optimizer": OPTIMIZERS[name]}
    run(tmp_path / "whole", **how)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", batches=Counting(fail_at=5), **how)
    assert t5x_orbax.steps(tmp_path / "stopped") == [4]
    run(tmp_path / "stopped", **how)
    whole, resumed = arrays(tmp_path / "whole"), arrays(tmp_path / "stopped")
    assert whole.keys() == resumed.keys()
    for path, array in whole.items():
        assert array.tobytes() == resumed[path].tobytes(), path


@pytest.mark.parametrize("architecture", ["gpt2", "mpt"])
def test_loss_falls_and_the_model_is_loaded(architecture, tmp_path):
    reports = []
    config = dataclasses.replace(CONFIG, architecture=architecture)
    run(
        tmp_path,
        num_steps=150,
        config=config,
        optimizer=AdamW(weight_decay=0.0),
        learning_rate=WarmupCosine(peak=0.01, warmup_steps=10, total_steps=150),
        checkpoint_period=1000,
        on_step=lambda step, metrics: reports.append(metrics),
    )
    # The first of six numbers costs log(18) = 2.89 nats, the others follow.
    assert reports[-1]["loss"] < 0.8
    assert open_model(tmp_path).config == config
    loaded = load_model(tmp_path, mesh=make_mesh())
    assert loaded.config == config
    assert set(loaded.params) == {"token_embedder", "decoder"}
    (tmp_path / "config.json").unlink()
    with pytest.raises(ValueError, match=r"a decoder-only model needs its config\.json"):
        open_model(tmp_path)


def test_another_optimizer_is_another_run(tmp_path):
    run(tmp_path, num_steps=1, optimizer=AdamW())
    with pytest.raises(ValueError, match=r"weight_decay: the folder has 0\.1, this run asks for 0"):
        run(tmp_path, optimizer=AdamW(weight_decay=0.0))
    with pytest.raises(ValueError, match=r"settings.optimizer: the folder has .*'AdamW'"):
        run(tmp_path)


@pytest.mark.parametrize("name", ["adamw", "lion"])
def test_steps_equal_optax(name):
    """Clipped, with weight decay on matrices only."""
    rng = np.random.default_rng(0)
    shapes = {"matrix": (3, 4), "vector": (4,)}
    params = {key: jnp.asarray(rng.normal(size=s), jnp.float32) for key, s in shapes.items()}
    ours, theirs, optimizer = params, params, OPTIMIZERS[name]
    state = optimizer.init(params)
    mask = {"matrix": True, "vector": False}
    build = {
        "adamw": lambda: optax.adamw(0.01, 0.9, 0.95, weight_decay=0.1, mask=mask),
        "lion": lambda: optax.lion(0.01, 0.9, 0.95, weight_decay=1.0, mask=mask),
    }
    reference = optax.chain(optax.clip_by_global_norm(1.0), build[name]())
    reference_state = reference.init(params)
    for scale in (0.01, 1.0, 100.0):
        gradients = jax.tree.map(lambda p, scale=scale: scale * jnp.cos(p), ours)
        ours, state = optimizer.step(ours, gradients, state, RATE)
        updates, reference_state = reference.update(gradients, reference_state, theirs)
        theirs = optax.apply_updates(theirs, updates)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), ours, theirs)
    assert state.count == 3


def test_warmup_and_cosine():
    rate = WarmupCosine(peak=2.0, warmup_steps=4, total_steps=12, final_fraction=0.1)
    found = [float(rate(jnp.asarray(step))) for step in (0, 1, 3, 4, 8, 12, 20)]
    assert found == pytest.approx([0.5, 1.0, 2.0, 2.0, 1.1, 0.2, 0.2])
    with pytest.raises(ValueError, match="warmup_steps is 4 and total_steps is 4; a warmup"):
        WarmupCosine(peak=1.0, warmup_steps=4, total_steps=4)
