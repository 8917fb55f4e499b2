"""Several processes share one store: any order, some twice, some dying."""

import os
import signal
import threading

import pytest
import toy

from pruning.documents import Unit
from pruning.jobs import score as score_job
from pruning.jobs.status import status
from pruning.sharding import Shard, stop_at_sigterm

SETTINGS = {"unit_rows": 8, "window": 32, "batch_rows": 2}


@pytest.fixture
def source(tmp_path):
    for i, num in enumerate((100, 3, 0, 41)):
        toy.write_jsonl(tmp_path / "corpus" / f"{i}.jsonl", toy.texts(num, seed=i))
    return f"jsonl:{tmp_path}/corpus/*.jsonl"


def score(source, output, **changes):
    return toy.score(["perplexity", "random"], source, output, **{**SETTINGS, **changes})


def test_every_unit_belongs_to_one_shard():
    units = [Unit("a", 8 * i, 8) for i in range(11)]
    shards = [Shard(i, 4).units(units, units) for i in range(4)]
    assert sorted(unit for shard in shards for unit in shard) == units
    assert [len(s) for s in shards] == [3, 3, 3, 2]
    # The number is that among all units, whichever of them are to be done.
    assert Shard(1, 4).units(units[4:], units) == [units[5], units[9]]
    assert Shard().units(units, units) == units


@pytest.mark.parametrize(("index", "count"), [(2, 2), (-1, 3), (0, 0)])
def test_an_index_outside_is_refused(index, count):
    with pytest.raises(ValueError, match=f"--shard_index is {index} and --num_shards {count}"):
        Shard(index, count)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 1, 0, 2, 0]])
def test_shards_in_any_order_some_twice_make_the_store_of_one_process(source, tmp_path, order):
    score(source, tmp_path / "one")
    for n, index in enumerate(order):
        assert not (tmp_path / "shared" / "_SUCCESS").exists(), n
        score(source, tmp_path / "shared", num_shards=4, shard_index=index)
        if {*order[: n + 1]} == {0, 1, 2, 3}:
            break
    assert toy.tree(tmp_path / "shared") == toy.tree(tmp_path / "one")


def test_more_shards_than_units(source, tmp_path):
    score(source, tmp_path / "one")
    for index in range(30):
        score(source, tmp_path / "shared", num_shards=30, shard_index=index)
    assert toy.tree(tmp_path / "shared") == toy.tree(tmp_path / "one")


def test_shards_at_the_same_time(source, tmp_path):
    """Threads of one process: the folder is all they share, as for processes."""
    score(source, tmp_path / "one")
    errors = []

    def run(index):
        try:
            score_job.score(
                ["perplexity", "random"],
                source,
                str(tmp_path / "shared"),
                model="toy",
                num_shards=2,
                shard_index=index,
                **SETTINGS,
            )
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i % 2,)) for i in range(4)]
    with toy.opened_by():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors
    assert toy.tree(tmp_path / "shared") == toy.tree(tmp_path / "one")


def test_status_says_what_is_missing(source, tmp_path, capsys):
    score(source, tmp_path / "shared", num_shards=2, shard_index=0)
    capsys.readouterr()
    result = status(str(tmp_path / "shared"))
    assert (result["units"], result["units_done"]) == (20, 10)
    assert result["rows"] == 144
    assert result["rows_per_second"] > 0
    assert result["seconds_left"] == (144 - result["rows_done"]) / result["rows_per_second"]
    out = capsys.readouterr().out
    assert "10 of 20 units" in out
    assert "0.jsonl/000000000008.parquet" in out
    assert "and 5 more" in out
    score(source, tmp_path / "shared", num_shards=2, shard_index=1)
    capsys.readouterr()
    assert status(str(tmp_path / "shared"))["seconds_left"] == 0
    assert (
        "20 of 20 units, 144 of 144 records done (100.0%), 144 scored, complete."
        in capsys.readouterr().out
    )


def test_sigterm_sets_the_event_and_a_second_one_is_as_before():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
    try:
        with stop_at_sigterm() as stopping:
            assert not stopping.is_set()
            os.kill(os.getpid(), signal.SIGTERM)
            assert stopping.is_set()
            assert not seen
            os.kill(os.getpid(), signal.SIGTERM)
            assert seen == [1]
    finally:
        signal.signal(signal.SIGTERM, before)
