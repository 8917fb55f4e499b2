"""What an experiment counts as its costs, of stores and selections made by hand."""

import dataclasses

import numpy as np
import pytest
import toy

from pruning.experiments.arms import parse_arms
from pruning.jobs.experiment_costs import arm_costs
from pruning.jobs.experiment_setting import Setting
from pruning.selecting import select
from pruning.selection import Rule
from pruning.store_counts import count


@pytest.fixture
def setting(tmp_path):
    """The arms' model learns prefix_lm; the reference of its size learns what is its own."""
    made = Setting(
        output=str(tmp_path / "small"),
        source="jsonl:x",
        text_field="text",
        split="train",
        where=None,
        fields=(),
        arms=parse_arms(["full", "low:ref.nll"], [0.5], larger_size="mini"),
        seeds=(0,),
        scores=(),
        references={"ref": "tiny"},
        training={
            "num_steps": 4,
            "vocabulary": "bytes",
            "objective": "prefix_lm",
            "window": 128,
            "row_length": None,
            "batch_rows": 2,
        },
        learning_rates={},
        size="tiny",
        evaluations=1,
        tasks={},
        minimal_pairs=0,
        held_out=None,
        held_out_fraction=0.1,
        reference_fraction=0.1,
        reference_steps=4,
        finetune_steps=0,
        seed=0,
    )
    scores = {"a.jsonl": np.arange(40, dtype=np.float32)}
    store = toy.write_store(tmp_path / "small/arms/full/seed0/evaluations/4/held_out", scores)
    store.write_success(count(store))
    select(store, made.pool, rule=Rule(keep="high", fraction=1.0), score="nll")
    select(store, made.path("selections/low50"), rule=Rule(keep="low", fraction=0.5), score="nll")
    return made


def with_objective(setting, objective):
    return dataclasses.replace(setting, training={**setting.training, "objective": objective})


def test_the_objective_is_that_of_the_arms_and_not_of_the_references(setting):
    costs = arm_costs(setting)
    default = arm_costs(with_objective(setting, None))
    for arm in ("full", "full_mini"):
        assert costs[arm].flops != default[arm].flops
    assert costs["low50"].reference_flops == default["low50"].reference_flops > 0
