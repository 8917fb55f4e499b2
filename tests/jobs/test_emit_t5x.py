"""What t5x gets of an experiment, and what is read of its fine-tuning."""

import dataclasses
import json
import os

import jax
import pytest

from models.checkpoints import t5x_orbax
from models.configs import named_config
from models.t5 import init_params
from pruning.experiments.arms import Run, parse_arms
from pruning.jobs import experiment_run
from pruning.jobs.emit_t5x import emit_t5x, finetuned_scores
from pruning.jobs.experiment_setting import Setting
from pruning.jobs.size_by_t5x import check_can_be_emitted

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
    emit_t5x(setting, [RUN], size="tiny", pretrain="base.gin", finetune="glue.gin")
    measured(setting, 4, 8, 10)
    asked = dataclasses.replace(setting, finetune_steps=262_144)
    assert finetuned_scores(asked, RUN) == {"rte accuracy": 100.0}
    assert capsys.readouterr().out.count("\n") == 1  # the line of emit_t5x


def test_a_fine_tuning_that_is_not_at_its_end_is_said(setting, capsys):
    emit_t5x(setting, [RUN], size="tiny", pretrain="base.gin", finetune="glue.gin")
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
    emit_t5x(setting, [Run("random50", 1)], size="tiny", pretrain="base.gin")
    emit_t5x(setting, [RUN], size="tiny", pretrain="base.gin", finetune="glue.gin")
    later = dataclasses.replace(setting, finetune_steps=9)
    emit_t5x(later, [Run("full", 1)], size="tiny", pretrain="base.gin")
    with open(setting.path("t5x", "commands.sh")) as file:
        first, *commands = file.read().splitlines()
    assert first == "set -e"
    names = ("full_seed0", "full_seed0_finetuned", "full_seed1", "random50_seed1")
    assert [os.path.basename(c) for c in commands] == [f"{name}.gin" for name in names]
    assert [c.split(" ||")[0].rpartition("_")[2] for c in commands] == ["4", "10", "4", "4"]
    assert "commands.sh: 4 commands." in capsys.readouterr().out


def with_larger(setting, size="mini"):
    arms = parse_arms(["full", "random"], [0.5], larger_size=size)
    return dataclasses.replace(setting, arms=arms)


def test_a_call_emits_the_runs_of_one_size(setting, capsys):
    both = with_larger(setting)
    runs = [RUN, Run("full_mini", 0)]
    emit_t5x(both, runs, size="tiny", pretrain="base.gin")
    said = capsys.readouterr().out
    assert "full_mini, seed 0, is of size mini, not tiny" in said and "--t5x_size mini" in said
    assert "commands.sh: 1 commands." in said
    emit_t5x(both, runs, size="mini", pretrain="larger.gin", finetune="larger_glue.gin")
    assert "full, seed 0, is of size tiny, not mini" in capsys.readouterr().out
    included = {}
    for name in ("full_seed0", "full_mini_seed0", "full_mini_seed0_finetuned"):
        with open(setting.path("t5x", f"{name}.gin")) as file:
            included[name] = [line for line in file if line.startswith("include")]
    assert included == {
        "full_seed0": ["include 'base.gin'\n"],
        "full_mini_seed0": ["include 'larger.gin'\n"],
        "full_mini_seed0_finetuned": ["include 'larger_glue.gin'\n"],
    }


def test_what_t5x_cannot_train_is_refused(setting):
    check_can_be_emitted(setting, "tiny")
    check_can_be_emitted(with_larger(setting), "mini")
    with pytest.raises(ValueError, match=r"--t5x_size is mini, .* they are of tiny\. Give one"):
        check_can_be_emitted(setting, "mini")
    for decoder_only in (
        with_larger(setting, "gpt_tiny"),
        dataclasses.replace(setting, size="gpt_tiny"),
    ):
        with pytest.raises(ValueError, match=r"Size gpt_tiny has no encoder.* Give a T5 size"):
            check_can_be_emitted(decoder_only, "gpt_tiny")


@pytest.fixture
def evaluated(monkeypatch):
    """The checkpoints that would be evaluated."""
    checkpoints = []
    monkeypatch.setattr(experiment_run, "evaluate", lambda *args: checkpoints.append(args[1]))
    return checkpoints


def trained_by_t5x(setting, run, **changes):
    """Leaves a checkpoint of the size with these changes where t5x would, and its gin file."""
    size = setting.size_of(run.arm)
    emit_t5x(setting, [run], size=size, pretrain="base.gin")
    config = dataclasses.replace(named_config(size), **{"vocab_size": 384, **changes})
    model = f"{setting.run_folder(run)}/model"
    t5x_orbax.write(model, setting.num_steps, init_params(config, jax.random.key(0)), {}, {})
    return f"{model}/checkpoint_{setting.num_steps}"


def test_a_checkpoint_of_the_size_is_evaluated_whatever_its_rows(setting, evaluated):
    checkpoint = trained_by_t5x(setting, RUN, vocab_size=512)
    experiment_run.do_run(setting, RUN)
    assert evaluated == [checkpoint]


@pytest.mark.parametrize(
    ("arm", "changes", "message"),
    [
        (
            "full",
            {"mlp": "relu", "d_ff": 128, "tied_embedding": True},
            r"checkpoint_4, which t5x trained, is not of size tiny: it has d_ff 128, not 256; "
            r"mlp relu, not gated_gelu; tied_embedding True, not False\. Delete .* --t5x_pretrain",
        ),
        (
            "full_mini",
            {"num_encoder_layers": 1},
            "not of size mini: it has num_encoder_layers 1, not 4.",
        ),
    ],
)
def test_a_checkpoint_of_another_size_is_refused(setting, evaluated, arm, changes, message):
    setting = with_larger(setting)
    trained_by_t5x(setting, Run(arm, 0), **changes)
    with pytest.raises(ValueError, match=message):
        experiment_run.do_run(setting, Run(arm, 0))
    assert evaluated == []
