"""A selection that is there already is taken only if it came about in the same way."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "pruning"))
import toy

from pruning.jobs.select_once import select_once
from pruning.keep_bits import read_selection
from pruning.selection import Rule

LOW, HIGH = (Rule(keep=keep, fraction=0.5) for keep in ("low", "high"))


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("A", "B"):
        toy.write_store(
            tmp_path / name,
            {"a.jsonl": rng.normal(size=20)},
            more={f"of_{name}": {"a.jsonl": rng.normal(size=20)}},
        )
    return tmp_path / "A", tmp_path / "B"


def test_the_same_again_is_taken_however_it_is_written(folders, tmp_path):
    stores = [f"{name}={folder}" for name, folder in zip("ab", folders, strict=True)]
    output = str(tmp_path / "s")
    select_once(stores, output, LOW, score="a.nll-b.nll")
    digest = read_selection(output).digest
    for score in ("a.nll - b.nll", "a.nll-b.nll", None):
        select_once(stores, output, LOW, score=score)
    assert read_selection(output).digest == digest


def test_another_one_is_refused(folders, tmp_path):
    a, b = folders
    output, score = str(tmp_path / "s"), "small.nll - large.nll"
    select_once([f"small={a}", f"large={b}"], output, LOW, score=score)
    with pytest.raises(
        ValueError, match=r"s was selected with stores \[\['small', .* Give another"
    ):
        select_once([f"small={b}", f"large={a}"], output, LOW, score=score)
    with pytest.raises(ValueError, match=r"was selected with rule Rule\(keep='low'"):
        select_once([f"small={a}", f"large={b}"], output, HIGH, score=score)
    with pytest.raises(ValueError, match=r"was selected with score small\.nll - large\.nll"):
        select_once([f"small={a}", f"large={b}"], output, LOW, score="small.nll")
