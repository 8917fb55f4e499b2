import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from models.checkpoints import load_model, t5x_orbax
from models.configs import T5Config
from models.optimizer import LearningRate
from models.training import train

CONFIG = T5Config(
    vocab_size=32,
    d_model=16,
    num_heads=2,
    head_dim=8,
    d_ff=32,
    num_encoder_layers=1,
    num_decoder_layers=1,
    dropout_rate=0.1,
)
RATE = LearningRate(schedule="constant", multiplier=0.05)


class CopyTask:
    """Batches whose targets are the first inputs; step `fail_at` raises, as a kill would."""

    def __init__(self, fail_at: int | None = None, end_at: int | None = None):
        self.position, self.fail_at, self.end_at = 0, fail_at, end_at

    def __next__(self):
        if self.position == self.fail_at:
            raise KeyboardInterrupt
        if self.position == self.end_at:
            raise StopIteration
        rng = np.random.default_rng(self.position)
        self.position += 1
        inputs = rng.integers(2, 8, (4, 6)).astype(np.int32)
        targets = inputs[:, :4]
        ones = np.ones_like(targets)
        return {
            "encoder_input_tokens": inputs,
            "encoder_segment_ids": np.ones_like(inputs),
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
    kwargs = {"learning_rate": RATE, "checkpoint_period": 2, "recipe": {"source": "copy"}} | kwargs
    return train(config, batches or CopyTask(), output=output, num_steps=num_steps, **kwargs)


def test_stopped_and_resumed_run_ends_with_the_same_bits(tmp_path):
    run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", batches=CopyTask(fail_at=5))
    assert t5x_orbax.steps(tmp_path / "stopped") == [4]
    run(tmp_path / "stopped")
    whole, resumed = (t5x_orbax.read(tmp_path / name) for name in ("whole", "stopped"))
    assert whole[0] == resumed[0] == 6
    assert whole[3] == resumed[3] == {"position": 6}
    flat = [flatten(checkpoint) for checkpoint in (whole, resumed)]
    assert flat[0].keys() == flat[1].keys()
    for path, array in flat[0].items():
        assert array.tobytes() == flat[1][path].tobytes(), path
    # The steps after the checkpoint and the optimizer's memory mattered.
    run(tmp_path / "short", num_steps=4)
    assert load_model(tmp_path / "short").digest != load_model(tmp_path / "whole").digest


def flatten(checkpoint):
    from flax import traverse_util

    _, params, param_states, _ = checkpoint
    return traverse_util.flatten_dict({"params": params, "states": param_states})


def test_loss_falls_and_is_reported(tmp_path):
    reports = []
    last = run(
        tmp_path,
        num_steps=300,
        checkpoint_period=1000,
        config=dataclasses.replace(CONFIG, dropout_rate=0.0),
        on_step=lambda step, metrics: reports.append((step, metrics)),
    )
    step, metrics = reports[-1]
    assert (step, last.name) == (300, "checkpoint_300")
    assert set(metrics) == {"loss", "z_loss", "grad_norm", "learning_rate", "tokens_per_second"}
    assert metrics["learning_rate"] == pytest.approx(0.05)
    # Six tokens can occur; guessing among them costs log(6) = 1.79 nats.
    assert metrics["loss"] < 1.7
    assert list((tmp_path / "train").glob("events.out.tfevents*"))


def test_bfloat16_trains_float32_parameters(tmp_path):
    run(tmp_path, num_steps=2, config=dataclasses.replace(CONFIG, dtype="bfloat16"))
    assert t5x_orbax.stored_params(tmp_path)["token_embedder/embedding"].dtype == np.float32


def test_folder_of_another_run_is_refused_with_both_values(tmp_path):
    run(tmp_path, num_steps=1)
    rate = dataclasses.replace(RATE, multiplier=0.5)
    with pytest.raises(ValueError, match=r"learning_rate.multiplier: the folder has 0.05, .* 0.5"):
        run(tmp_path, learning_rate=rate)
    with pytest.raises(ValueError, match=r"recipe.source: the folder has 'copy', .* 'other'"):
        run(tmp_path, recipe={"source": "other"})
    with pytest.raises(ValueError, match=r"d_ff: the folder has 32, this run asks for 64"):
        run(tmp_path, config=dataclasses.replace(CONFIG, d_ff=64))
    with pytest.raises(ValueError, match=r"recipe.more: the folder has 'nothing'"):
        run(tmp_path, recipe={"source": "copy", "more": 1})
    assert run(tmp_path, num_steps=2).name == "checkpoint_2"  # only longer is the same run
    with pytest.raises(ValueError, match=r"checkpoint at step 2, past num_steps=1"):
        run(tmp_path, num_steps=1)


def test_no_steps_are_an_error(tmp_path):
    with pytest.raises(ValueError, match="num_steps is 0 and checkpoint_period is 2; both must be"):
        run(tmp_path, num_steps=0)
    with pytest.raises(ValueError, match="checkpoint_period is 0"):
        run(tmp_path, checkpoint_period=0)
    assert not list(tmp_path.iterdir())


def test_a_run_killed_while_it_writes_a_checkpoint_goes_on(tmp_path):
    """At the last rename all of step 4 is on disk, under a name that says it is not done."""
    code = (
        "import os, pathlib, signal, sys, test_training\n"
        "def rename(kept):\n"
        "    def kill_or_rename(source, target, *rest, **more):\n"
        "        if os.path.basename(os.fspath(target)) == 'checkpoint_4':\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return kept(source, target, *rest, **more)\n"
        "    return kill_or_rename\n"
        "for module, name in ((os, 'rename'), (os, 'replace'), (pathlib.Path, 'rename')):\n"
        "    setattr(module, name, rename(getattr(module, name)))\n"
        "test_training.run(sys.argv[1])"
    )
    tests = os.path.dirname(__file__)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([tests, *sys.path])}
    command = [sys.executable, "-c", code, str(tmp_path / "killed")]
    assert subprocess.run(command, check=False, env=environment).returncode == -9
    unfinished = {p.name for p in (tmp_path / "killed").glob("checkpoint_*")} - {"checkpoint_2"}
    assert len(unfinished) == 1, "the killed write has left something"
    assert t5x_orbax.steps(tmp_path / "killed") == [2]
    run(tmp_path / "killed")
    run(tmp_path / "whole")
    assert load_model(tmp_path / "killed").digest == load_model(tmp_path / "whole").digest


def test_record_is_written_before_the_first_step(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, batches=CopyTask(fail_at=0))
    assert json.loads((tmp_path / "training.json").read_text())["recipe"] == {"source": "copy"}
    assert json.loads((tmp_path / "config.json").read_text())["d_kv"] == 8


def test_loss_that_is_not_finite_names_its_step_and_is_not_kept(tmp_path):
    rate = LearningRate(schedule="constant", multiplier=float("inf"))
    with pytest.raises(FloatingPointError, match="Step 2 has loss nan"):
        run(tmp_path, learning_rate=rate)
    assert t5x_orbax.steps(tmp_path) == []


def test_batches_that_end_early_are_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="ended after step 3 of 6"):
        run(tmp_path, batches=CopyTask(end_at=3))


def test_training_imports_no_tensorflow():
    code = (
        "import sys, models.training, models.scoring_model, models.checkpoints, tensorboardX\n"
        "found = {'tensorflow', 'seqio', 'gin', 't5x', 'pruning'} & set(sys.modules)\n"
        "assert not found, found"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
