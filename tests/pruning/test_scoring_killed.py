"""A run that is killed and started again ends in the bytes of a run that was not."""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest
import toy

import pruning
from pruning.score_store import open_store

SETTINGS = {"unit_rows": 8, "window": 32, "batch_rows": 2}

DRIVER = """
import functools, pathlib, sys
import toy
opener = functools.partial(toy.open_model, pause=0.03)
toy.score(["perplexity", "random"], sys.argv[1], pathlib.Path(sys.argv[2]), opener=opener, **{settings})
"""


@pytest.fixture
def source(tmp_path):
    for i in range(4):
        toy.write_jsonl(tmp_path / "corpus" / f"part{i % 2}" / f"{i}.jsonl", toy.texts(44, seed=i))
    return f"jsonl:{tmp_path}/corpus/**/*.jsonl"


def score(source, output):
    return toy.score(["perplexity", "random"], source, output, **SETTINGS)


def units_done(folder):
    return len([p for p in folder.rglob("*.parquet") if not p.name.startswith(".")])


def start(source, output):
    folders = [pathlib.Path(pruning.__file__).parents[1], pathlib.Path(toy.__file__).parent]
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER.format(settings=SETTINGS), source, str(output)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_sigkill_at_any_moment_costs_nothing_that_was_written(source, tmp_path):
    score(source, tmp_path / "undisturbed")
    output = tmp_path / "killed"
    rng = random.Random(0)
    killed_at = []
    for _ in range(5):
        before = units_done(output)
        process = start(source, output)
        while units_done(output) == before and process.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert units_done(output) > before, "every start goes on where the last one ended"
        assert not (output / "_SUCCESS").exists()
        killed_at.append(units_done(output))
    assert killed_at[-1] < 24
    assert start(source, output).wait() == 0
    assert toy.tree(output) == toy.tree(tmp_path / "undisturbed")


class Killed(BaseException):
    pass


@pytest.fixture
def die_at(monkeypatch):
    """Dies when the n-th file gets its name, before it or just after it."""

    def die_at(n, moment):
        seen = []

        def dying(give_name):
            def give_name_and_die(*args, **kwargs):
                seen.append(args)
                if len(seen) == n and moment == "before":
                    raise Killed
                give_name(*args, **kwargs)
                if len(seen) == n:
                    raise Killed

            return give_name_and_die

        for name in ("replace", "link"):
            monkeypatch.setattr(os, name, dying(getattr(os, name)))
        return seen

    return die_at


@pytest.mark.parametrize("moment", ["before", "after"])
# The manifest, the first units, the last ones, what the run cost, and _SUCCESS.
@pytest.mark.parametrize("n", [1, 2, 3, 12, 24, 25, 26, 27])
def test_death_at_any_name_costs_nothing_that_was_written(
    source, tmp_path, die_at, n, moment, monkeypatch
):
    score(source, tmp_path / "undisturbed")
    output = tmp_path / "killed"
    seen = die_at(n, moment)
    with pytest.raises(Killed):
        score(source, output)
    assert len(seen) >= n
    monkeypatch.undo()
    leftovers = [p for p in output.rglob("*") if p.name.startswith(".") and p.is_file()]
    # The manifest has two names for a moment.
    assert bool(leftovers) == (moment == "before" or n == 1)
    score(source, output)
    assert toy.tree(output) == toy.tree(tmp_path / "undisturbed")


def test_leftovers_of_a_killed_writer_are_not_read(source, tmp_path):
    store = score(source, tmp_path / "scores")
    before = toy.column(store, "nll")
    for unit in store.units[::5]:
        path = store.path(unit)
        path.with_name(f".{path.name}.0123abcd").write_bytes(b"half a file")
    (tmp_path / "scores" / "._SUCCESS.0123abcd").write_text("{")
    score(source, tmp_path / "scores")
    assert toy.column(open_store(tmp_path / "scores"), "nll") == before


def test_success_is_written_last(source, tmp_path, monkeypatch):
    named = []

    def noting(give_name):
        return lambda a, b, **kw: (give_name(a, b, **kw), named.append(pathlib.Path(b).name))

    for name in ("replace", "link"):
        monkeypatch.setattr(os, name, noting(getattr(os, name)))
    score(source, tmp_path / "scores")
    assert named[0] == "manifest.json"
    assert named[-1] == "_SUCCESS"
    assert len(named) == 27
