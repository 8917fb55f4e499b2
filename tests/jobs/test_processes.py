"""Several processes fill one store: alone, and joined by JAX."""

import os
import pathlib
import socket
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "pruning"))
import toy

import pruning
from pruning.jobs import processes
from pruning.jobs.processes import ends_at_once, holds_part_of_model, this_shard
from pruning.score_store import open_store
from pruning.sharding import Shard

ROOT = pathlib.Path(pruning.__file__).parents[1]
DRIVER = """
import sys
from unittest import mock
import toy
from pruning.cli import main
with mock.patch("pruning.jobs.scoring_model.open_scoring_model", toy.open_model):
    main(sys.argv[1:])
"""


@pytest.fixture
def corpus(tmp_path):
    """Fewer files than processes, of very different length, one of them empty."""
    for i, num in enumerate((150, 0, 3)):
        toy.write_jsonl(tmp_path / "corpus" / f"{i}.jsonl", toy.texts(num, seed=i))
    return tmp_path / "corpus"


def start(corpus, output, *flags):
    folders = [ROOT, pathlib.Path(toy.__file__).parent]
    words = ["score", "perplexity", "random", "--source", f"jsonl:{corpus}/*.jsonl", "--model", "x"]
    words += ["--output", str(output), "--unit_rows", "8", "--window", "32", "--batch_rows", "2"]
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, *words, *flags],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port():
    with socket.socket() as server:
        server.bind(("localhost", 0))
        return server.getsockname()[1]


@pytest.mark.parametrize(("count", "joined"), [(4, False), (2, True)])
def test_processes_at_the_same_time_make_the_store_of_one(corpus, tmp_path, count, joined):
    assert start(corpus, tmp_path / "one").wait() == 0
    flags = ["--distributed", f"localhost:{free_port()}"] if joined else []
    started = [
        start(
            corpus, tmp_path / "shared", "--num_shards", str(count), "--shard_index", str(i), *flags
        )
        for i in range(count)
    ]
    for process in started:
        error = process.communicate(timeout=200)[1]
        assert process.returncode == 0, error
    assert toy.tree(tmp_path / "shared") == toy.tree(tmp_path / "one")


def test_one_that_fails_leaves_the_others_their_share(corpus, tmp_path):
    """As they share nothing but the store."""
    flags = ["--distributed", f"localhost:{free_port()}", "--num_shards", "2", "--shard_index"]
    other = [[], ["--max_document_bytes", "99999"]]  # whose store this is, the second is told
    started = [start(corpus, tmp_path / "out", *flags, str(i), *other[i]) for i in range(2)]
    errors = [process.communicate(timeout=200)[1] for process in started]
    assert sorted(process.returncode for process in started) == [0, 1], errors
    assert sum("was written with max_document_bytes" in error for error in errors) == 1
    store = open_store(tmp_path / "out")
    assert len(store.missing_units()) in (len(store.units) // 2, -(-len(store.units) // 2))


def test_without_jax_the_flags_say_it():
    assert this_shard(4, 3, None) == Shard(3, 4)
    with pytest.raises(
        ValueError, match=r"--distributed auto finds out .* leave out --num_shards 4"
    ):
        this_shard(4, 3, "auto")


def failing(*, holds):
    if holds:
        holds_part_of_model.set()
    raise ValueError("The disk is gone.")


def test_only_a_job_that_holds_a_part_of_a_model_ends_the_process(monkeypatch):
    """Not one after it, such as the rest of this test suite."""
    at_exit = []
    monkeypatch.setattr(processes.atexit, "register", lambda *args: at_exit.append(args))
    for holds, expected in ((False, []), (True, [(processes._end, 1)]), (False, [])):
        with pytest.raises(ValueError, match="disk is gone"):
            ends_at_once(failing)(holds=holds)
        assert at_exit == expected
        at_exit.clear()
