"""What t5x gets of an experiment, and what is read of its fine-tuning."""

import dataclasses
import json
import os

import pytest

from pruning.experiments.arms import Run, parse_arms
from pruning.jobs.emit_t5x import emit_t5x, finetuned_scores
from pruning.jobs.experiment_setting import Setting

RUN = Run("full", 0)


@pytest.fixture
def setting(tmp_path):
    return Setting(
        output=str(tmp_path / "small"),
        source="jsonl:x",
        text_field="text",
        split="train",
        where=None,
        fields=(),
        arms=parse_arms(["full", "random"], [0.5]),
        seeds=(0, 1),
        scores=(),
        references={},
        training={"num_steps": 4, "vocabulary": "bytes", "objective": None, "batch_rows": 2},
        learning_rates={},
        size="tiny",
        evaluations=2,
        tasks={},
        minimal_pairs=0,
        held_out=None,
        held_out_fraction=0.1,
        reference_fraction=0.1,
        reference_steps=2,
        finetune_steps=6,
        seed=0,
    )


def measured(setting, *steps):
    folder = f"{setting.run_folder(RUN)}/model_finetuned/inference_eval"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/rte-metrics.jsonl", "w") as file:
        for step in steps:
            file.write(json.dumps({"step": step, "accuracy": 10.0 * step, "words": "none"}) + "\n")


def test_scores_of_fine_tuning_are_read_without_its_flag(setting, capsys):
    emit_t5x(setting, [RUN], pretrain="base.gin", finetune="glue.gin")
    measured(setting, 4, 8, 10)
    asked = dataclasses.replace(setting, finetune_steps=262_144)
    assert finetuned_scores(asked, RUN) == {"rte accuracy": 100.0}
    assert capsys.readouterr().out.count("\n") == 1  # the line of emit_t5x


def test_a_fine_tuning_that_is_not_at_its_end_is_said(setting, capsys):
    emit_t5x(setting, [RUN], pretrain="base.gin", finetune="glue.gin")
    assert finetuned_scores(setting, RUN) == {}
    assert "nothing is measured in" in capsys.readouterr().out
    measured(setting, 4, 8)
    assert finetuned_scores(setting, RUN) == {}
    said = capsys.readouterr().out
    assert "rte-metrics.jsonl ends at step 8, and the fine-tuning of full, seed 0, at 10" in said


def test_without_its_gin_file_the_flag_says_where_it_ends(setting, capsys):
    assert finetuned_scores(setting, RUN) == {}
    assert capsys.readouterr().out == ""
    measured(setting, 10)
    assert finetuned_scores(setting, RUN) == {"rte accuracy": 100.0}


def test_commands_are_of_every_run_that_was_ever_emitted(setting, capsys):
    emit_t5x(setting, [Run("random50", 1)], pretrain="base.gin")
    emit_t5x(setting, [RUN], pretrain="base.gin", finetune="glue.gin")
    later = dataclasses.replace(setting, finetune_steps=9)
    emit_t5x(later, [Run("full", 1)], pretrain="base.gin")
    with open(setting.path("t5x", "commands.sh")) as file:
        first, *commands = file.read().splitlines()
    assert first == "set -e"
    names = ("full_seed0", "full_seed0_finetuned", "full_seed1", "random50_seed1")
    assert [os.path.basename(c) for c in commands] == [f"{name}.gin" for name in names]
    assert [c.split(" ||")[0].rpartition("_")[2] for c in commands] == ["4", "10", "4", "4"]
    assert "commands.sh: 4 commands." in capsys.readouterr().out
