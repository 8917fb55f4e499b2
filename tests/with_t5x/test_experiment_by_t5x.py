"""The arms of an experiment trained and fine-tuned by t5x as emitted; then evaluated and read."""

import json
import random
import shlex

import numpy as np
import pytest
import seqio
import tensorflow as tf

from pruning.jobs.experiment import experiment
from pruning.jobs.export import export

PRETRAIN = """
from __gin__ import dynamic_registration
import __main__ as train_script
from t5x import utils

include "gin/models/tiny.gin"
include "gin/pretrain/recipe.gin"
include "gin/pretrain/text_task.gin"

TFRECORDS = {"train": "FOLDER/tfrecords/*.tfrecord", "validation": "FOLDER/tfrecords/*.tfrecord"}
TASK_FEATURE_LENGTHS = {"inputs": 32, "targets": 16}
train_script.train.train_eval_dataset_cfg = None
"""
FINETUNE = """
from __gin__ import dynamic_registration
import __main__ as train_script
import test_experiment_by_t5x as tasks
from t5x import utils

include "gin/models/tiny.gin"
include "gin/finetune/recipe.gin"

MIXTURE_OR_TASK_NAME = @tasks.sea_task()
TASK_FEATURE_LENGTHS = {"inputs": 32, "targets": 4}
BATCH_SIZE = 4
EVAL_PERIOD = 2
utils.SaveCheckpointConfig.period = 2
train_script.train.train_eval_dataset_cfg = None
"""


def sea_task():
    """Classification of text as in GLUE: is the sea in it?"""
    if "sea" not in seqio.TaskRegistry.names():
        feature = seqio.Feature(seqio.ByteVocabulary())
        seqio.TaskRegistry.add(
            "sea",
            source=seqio.FunctionDataSource(_sentences, splits=["train", "validation"]),
            preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos],
            output_features={"inputs": feature, "targets": feature},
            metric_fns=[_accuracy],
        )
    return "sea"


def _sentences(split, shuffle_files, seed=None):
    del shuffle_files, seed
    rng = random.Random(split)
    words = [rng.choice(["sea", "hill", "moon"]) for _ in range(8)]
    examples = {
        "inputs": [f"is the {word} wet?" for word in words],
        "targets": ["yes" if word == "sea" else "no" for word in words],
    }
    return tf.data.Dataset.from_tensor_slices(examples)


def _accuracy(targets, predictions):
    right = [t == p for t, p in zip(targets, predictions, strict=True)]
    return {"accuracy": 100 * float(np.mean(right)), "words": seqio.metrics.Text("none")}


@pytest.fixture
def asked(tmp_path):
    """Calls `prune experiment` on a small corpus with these settings."""
    rows = [{"text": f"the sea has {i} waves, and {i} more. " * 3} for i in range(60)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "pretrain.gin").write_text(PRETRAIN.replace("FOLDER", str(tmp_path)))
    (tmp_path / "finetune.gin").write_text(FINETUNE)
    export(f"jsonl:{tmp_path}/a.jsonl", str(tmp_path / "tfrecords"))

    def ask(stage, **more):
        return experiment(
            f"jsonl:{tmp_path}/a.jsonl",
            str(tmp_path / "small"),
            stage=stage,
            seeds=(0,),
            fields=(),
            size="tiny",
            vocabulary="bytes",
            num_steps=4,
            evaluations=2,
            window=32,
            batch_rows=2,
            t5x_finetune_steps=2,
            **more,
        )

    return ask


@pytest.fixture
def run_command(run_as_script):
    """Runs a line of commands.sh in this process, unless what it makes is there."""

    def run(command):
        import os

        import gin

        words = shlex.split(command)
        assert words[:2] == ["test", "-d"]
        assert words[3:7] == ["||", "python", "-m", "t5x.train"]
        flags = dict(word.removeprefix("--").split("=", 1) for word in words[7:])
        gin.clear_config(clear_constants=True)
        module = run_as_script("train")
        train = gin.external_configurable(module.train, module="t5x.train")
        for folder in (
            flags["gin_search_paths"],
            os.path.dirname(os.path.dirname(module.__file__)),
        ):
            gin.add_config_file_search_path(folder)
        gin.parse_config_file(flags["gin_file"])
        assert not os.path.isdir(words[2])
        train()
        assert os.path.isdir(words[2])

    return run


def test_runs_of_t5x_are_evaluated_and_read(asked, run_command, tmp_path, monkeypatch, capsys):
    asked("prepare")
    pretrain, finetune = (str(tmp_path / f"{name}.gin") for name in ("pretrain", "finetune"))
    for arm, file in (("full", finetune), ("random50", None)):
        asked("train", arm=(arm,), emit="t5x", t5x_pretrain=pretrain, t5x_finetune=file)
    commands = (tmp_path / "small/t5x/commands.sh").read_text().splitlines()[1:]
    assert len(commands) == 3
    monkeypatch.setattr("pruning.jobs.train.train", lambda **_: pytest.fail("trained here"))
    asked("train", arm=("full",))
    assert "t5x trains this run, and has not finished it" in capsys.readouterr().out

    for command in commands:
        run_command(command)
    asked("train")
    results = asked("read")
    assert [row.arm for row in results.arms] == ["full", "random50"]
    for row in results.arms:
        assert row.seeds == (0,)
        assert 0 < row.numbers["loss"].value < 10
    full, half = results.arms
    assert set(full.finetuned) == {"sea accuracy"}
    assert 0 <= full.finetuned["sea accuracy"].value <= 100
    assert half.finetuned == {}
    # Both have the same steps; they differ by what they read.
    assert full.numbers["loss"].value != half.numbers["loss"].value
    assert results.curves["loss"]["full"].steps == (2, 4)
    text = (tmp_path / "small/results.md").read_text()
    assert "After fine-tuning, scores of t5x" in text
