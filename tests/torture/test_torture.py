"""Scoring jobs that are killed, starved and damaged: the same bytes, or an error that says where.

Minutes long: `python -m pytest -m torture`.
"""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "pruning"))
import toy

import pruning

pytestmark = pytest.mark.torture

ROOT = pathlib.Path(pruning.__file__).parents[1]
SIGNALS = 50
SHARDS = 3
# Files of very different length, one of them empty, and their units of UNIT_ROWS.
LENGTHS = (900, 3, 0, 300, 8)
UNIT_ROWS = 8
UNITS = sum(-(-length // UNIT_ROWS) for length in LENGTHS)

# `prune score` with the toy model, which takes PAUSE seconds a batch.
DRIVER = """
import functools, os, sys
from unittest import mock
import toy
from pruning.cli import main
opener = functools.partial(toy.open_model, pause=float(os.environ["PAUSE"]))
with mock.patch("pruning.jobs.scoring_model.open_scoring_model", opener):
    main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for i, num in enumerate(LENGTHS):
        toy.write_jsonl(folder / f"{i}.jsonl", toy.texts(num, seed=i))
    return folder


@pytest.fixture(scope="module")
def undisturbed(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "scores"
    assert start(corpus, folder).wait() == 0
    return toy.tree(folder)


def command(corpus, output, *flags):
    return [
        *(sys.executable, "-c", DRIVER, "score", "perplexity", "random"),
        *("--source", f"jsonl:{corpus}/*.jsonl", "--output", str(output), "--model", "toy"),
        *("--unit_rows", str(UNIT_ROWS), "--window", "32", "--batch_rows", "2", *flags),
    ]


def start(corpus, output, *flags, pause=0.0, **how):
    folders = [ROOT, pathlib.Path(toy.__file__).parent]
    environment = {"PYTHONPATH": os.pathsep.join(map(str, folders)), "PAUSE": str(pause)}
    return subprocess.Popen(
        command(corpus, output, *flags),
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        **how,
    )


def error_of(process):
    return process.communicate()[1]


def num_units(folder):
    return len([p for p in folder.rglob("*.parquet") if not p.name.startswith(".")])


def wait_for_a_unit(process, output):
    before = num_units(output)
    while num_units(output) == before and process.poll() is None:
        time.sleep(0.01)


def test_one_job_killed_fifty_times(corpus, undisturbed, tmp_path):
    rng, output = random.Random(0), tmp_path / "scores"
    for _ in range(SIGNALS):
        process = start(corpus, output, pause=0.1)
        wait_for_a_unit(process, output)
        time.sleep(rng.uniform(0, 0.3))
        number = rng.choice([signal.SIGKILL, signal.SIGTERM])
        process.send_signal(number)
        error = error_of(process)
        if number == signal.SIGTERM:
            assert process.returncode == 143, error
            assert "Stopped by SIGTERM" in error
        assert not (output / "_SUCCESS").exists()
    assert num_units(output) < UNITS, "a run that was never disturbed shows nothing"
    assert start(corpus, output).wait() == 0
    assert toy.tree(output) == undisturbed


def test_a_job_array_killed_fifty_times(corpus, undisturbed, tmp_path):
    rng, output = random.Random(1), tmp_path / "scores"

    def start_shard(index, pause=0.1):
        flags = ("--num_shards", str(SHARDS), "--shard_index", str(index))
        return start(corpus, output, *flags, pause=pause)

    running = {index: start_shard(index) for index in range(SHARDS)}
    for _ in range(SIGNALS):
        time.sleep(rng.uniform(0.5, 2.5))
        index = rng.randrange(SHARDS)
        running[index].send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM]))
        error_of(running[index])
        running[index] = start_shard(index)
    for process in running.values():
        process.kill()
        error_of(process)
    for index in range(SHARDS):
        assert not (output / "_SUCCESS").exists() or num_units(output) == UNITS
        assert start_shard(index, pause=0).wait() == 0
    assert toy.tree(output) == undisturbed


def test_many_jobs_on_the_same_units_at_once(corpus, undisturbed, tmp_path):
    output = tmp_path / "scores"
    processes = [start(corpus, output, pause=0.001) for _ in range(5)]
    assert [(error_of(p), p.returncode)[1] for p in processes] == [0] * 5
    assert toy.tree(output) == undisturbed


def test_a_deleted_unit_is_scored_again(corpus, undisturbed, tmp_path):
    output = tmp_path / "scores"
    assert start(corpus, output).wait() == 0
    for path in random.Random(2).sample(sorted(output.rglob("*.parquet")), 5):
        path.unlink()
    assert start(corpus, output).wait() == 0
    assert toy.tree(output) == undisturbed


@pytest.mark.parametrize("is_complete", [False, True])
def test_a_flipped_bit_in_a_finished_unit_is_named(corpus, undisturbed, tmp_path, is_complete):
    rng, output = random.Random(3), tmp_path / "scores"
    assert start(corpus, output).wait() == 0
    if not is_complete:
        (output / "_SUCCESS").unlink()
        sorted(output.rglob("*.parquet"))[0].unlink()
    for _ in range(10):
        path = rng.choice(sorted(output.rglob("*.parquet")))
        good = path.read_bytes()
        bad = bytearray(good)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(bad))
        process = start(corpus, output)
        error = error_of(process)
        assert process.returncode == 1
        assert f"{path} cannot be read" in error
        assert "only this unit is scored anew" in error
        path.unlink()
    assert start(corpus, output).wait() == 0
    assert toy.tree(output) == undisturbed


# A file system of its own for one process, which needs no rights but user namespaces.
IN_A_SMALL_DISK = """
mount -t tmpfs -o size={size} tmpfs {disk} && cd {disk} || exit 77
if [ {mode} = ro ]; then mkdir scores; mount -o remount,ro {disk}; fi
"$@"; status=$?
if [ {mode} != ro ]; then find {disk} -name '.*' -type f | grep -q . && exit 78; fi
if [ {mode} = grow ]; then mount -o remount,size=64m {disk}; "$@" || exit 79; cp -r scores {copy}; fi
exit $status
"""


def run_in_a_small_disk(corpus, tmp_path, *, size, mode):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("this machine does not let a user mount a file system of their own")
    script = IN_A_SMALL_DISK.format(size=size, disk=disk, mode=mode, copy=tmp_path / "copy")
    folders = [ROOT, pathlib.Path(toy.__file__).parent]
    environment = {"PYTHONPATH": os.pathsep.join(map(str, folders)), "PAUSE": "0"}
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", *command(corpus, "scores")],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_full_disk_is_named_and_more_room_ends_in_the_same_bytes(corpus, undisturbed, tmp_path):
    run = run_in_a_small_disk(corpus, tmp_path, size="400k", mode="grow")
    assert run.returncode == 1, run.stderr
    assert "scores/" in run.stderr
    assert "cannot be written: No space left on device" in run.stderr
    assert toy.tree(tmp_path / "copy") == undisturbed
    shutil.rmtree(tmp_path / "copy")


def test_a_read_only_output_is_named(corpus, tmp_path):
    run = run_in_a_small_disk(corpus, tmp_path, size="4m", mode="ro")
    assert run.returncode == 1, run.stderr
    assert "scores/manifest.json cannot be written: Read-only file system" in run.stderr
