"""What a store's runs cost, beside its scores and no part of them."""

import json
import signal
import subprocess
import sys
import time

import pytest
import toy
from etils import epath

from pruning.jobs.score import score
from pruning.jobs.status import status
from pruning.run_costs import (
    COSTS,
    Devices,
    RunCost,
    cost_sentence,
    noting_cost,
    read_costs,
    total_costs,
)
from pruning.throughput import Throughput


@pytest.fixture
def spec(tmp_path):
    toy.write_jsonl(tmp_path / "corpus" / "a.jsonl", toy.texts(60))
    return f"jsonl:{tmp_path}/corpus/*.jsonl"


def counts(*arguments, **settings):
    with toy.opened_by():
        return score(*arguments, model="toy", **settings)


def cost(**changed):
    values = {
        "device": "TPU v5e",
        "devices": 8,
        "seconds": 1800.0,
        "scoring_seconds": 1000.0,
        "documents": 5000,
        "tokens": 2_000_000,
        "flops": 3e15,
        "began": "2024-01-01T00:00:00+00:00",
    }
    return RunCost(**{**values, **changed})


def test_every_run_that_scores_leaves_one_note_and_they_add_up(spec, tmp_path, capsys):
    output = tmp_path / "scores"
    settings = {"unit_rows": 8, "batch_rows": 2}
    first = counts(["perplexity"], spec, str(output), num_shards=2, **settings)
    second = counts(["perplexity"], spec, str(output), num_shards=2, shard_index=1, **settings)
    again = counts(["perplexity"], spec, str(output), **settings)
    costs = read_costs(epath.Path(output))
    assert [c.documents for c in costs] == [32, 28]
    assert first["this_run"]["documents"] == 32
    assert second["this_run"]["documents"] == 28
    assert again["this_run"]["documents"] == 0
    assert sum(c.tokens for c in costs) == again["n_tokens"]
    assert all(c.seconds >= c.scoring_seconds > 0 for c in costs)
    (total,) = total_costs(costs)
    assert (total.documents, total.runs) == (60, 2)
    assert total.device_hours == pytest.approx(
        sum(c.seconds * c.devices for c in costs) / 3600, rel=1e-6
    )
    capsys.readouterr()
    assert status(str(output))["device_hours"] == pytest.approx(total.device_hours)
    said = capsys.readouterr().out
    assert "device-hours in 2 runs on" in said
    assert "for 60 documents; while scoring, " in said


def test_units_are_the_same_with_and_without_notes_of_costs(spec, tmp_path, capsys):
    one, other = (toy.score(["random"], spec, tmp_path / name) for name in ("one", "other"))
    assert [p.name for p in (one.folder / COSTS).iterdir()] != [
        p.name for p in (other.folder / COSTS).iterdir()
    ]
    assert toy.tree(one.folder) == toy.tree(other.folder)
    for path in (one.folder / COSTS).iterdir():
        path.unlink()
    assert status(str(one.folder))["device_hours"] is None
    assert "device-hours" not in capsys.readouterr().out


def test_a_run_that_is_ended_has_noted_what_it_wrote(tmp_path):
    folder, done = epath.Path(tmp_path), Throughput(documents=3, seconds=1.0)

    def run():
        with noting_cost(folder, Devices(kind="GPU", count=2), time.monotonic()) as note:
            note(done)
            done.documents = 99  # of a unit that is not written
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run()
    (found,) = read_costs(folder)
    assert (found.documents, found.device, found.devices, found.flops) == (3, "GPU", 2, None)


KILLED = """
import os, signal, sys, time
from etils import epath
from pruning import run_costs
from pruning.throughput import Throughput

run_costs.SECONDS_BETWEEN = 0.0
devices = run_costs.Devices(kind="GPU", count=1)
with run_costs.noting_cost(epath.Path(sys.argv[1]), devices, time.monotonic()) as note:
    note(Throughput(documents=7, seconds=1.0))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_is_killed_loses_what_came_after_its_last_note(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [c.documents for c in read_costs(epath.Path(tmp_path))] == [7]


def test_a_run_without_work_leaves_nothing(tmp_path):
    with noting_cost(epath.Path(tmp_path), Devices(kind="GPU", count=1), time.monotonic()):
        pass
    assert list(tmp_path.iterdir()) == []
    assert read_costs(epath.Path(tmp_path)) == []


@pytest.mark.parametrize("name", ["costs/x.json", f"{COSTS}/x.json"])
def test_a_source_file_may_lie_where_notes_do(tmp_path, name):
    toy.write_jsonl(tmp_path / "corpus" / name, toy.texts(9))
    toy.write_jsonl(tmp_path / "corpus/a.json", toy.texts(9))
    patterns = f"jsonl:{tmp_path}/corpus/a.json,{tmp_path}/corpus/{name}"
    store = toy.score(["random"], patterns, tmp_path / "scores")
    assert sorted(store.files) == sorted(["a.json", name])
    assert [c.documents for c in read_costs(store.folder)] == [18]


def test_what_is_no_note_is_passed_over(tmp_path):
    (tmp_path / COSTS).mkdir()
    (tmp_path / COSTS / "x.json").write_text('{"device": "TPU v5e"}')
    assert read_costs(epath.Path(tmp_path)) == []


def test_a_note_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / COSTS).write_text("in the way")
    with noting_cost(epath.Path(tmp_path), Devices(kind="GPU", count=1), time.monotonic()) as note:
        note(Throughput(documents=1))
    assert (tmp_path / COSTS).read_text() == "in the way"


def test_only_equal_devices_are_added():
    totals = total_costs([cost(), cost(device="CPU core", flops=None), cost(flops=None)])
    assert [(c.device, c.runs, c.flops) for c in totals] == [
        ("TPU v5e", 2, 3e15),
        ("CPU core", 1, None),
    ]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {},
            "4 device-hours on 8 × TPU v5e, for 5,000 documents; while scoring, 5.0 documents/s, "
            "2,000 tokens/s, 3 TFLOP/s",
        ),
        (
            {"devices": 1, "device": "CPU core", "tokens": 0, "flops": None},
            "0.5 device-hours on 1 × CPU core, for 5,000 documents; while scoring, 5.0 documents/s",
        ),
        (
            {"runs": 3, "flops": 3e12},
            "4 device-hours in 3 runs on 8 × TPU v5e, for 5,000 documents; while scoring, "
            "5.0 documents/s, 2,000 tokens/s, 3 GFLOP/s a run",
        ),
    ],
)
def test_a_cost_in_words(changed, expected):
    assert cost_sentence(cost(**changed)) == expected


def test_a_file_of_costs_is_json_that_a_person_can_read(spec, tmp_path):
    store = toy.score(["random"], spec, tmp_path / "scores")
    (path,) = (store.folder / COSTS).iterdir()
    assert json.loads(path.read_text()).keys() == RunCost.__dataclass_fields__.keys()
