"""What two selections keep together."""

import json

import numpy as np
import pytest

from pruning.jobs.make_selection import select
from pruning.jobs.score import score
from pruning.jobs.selection_within import select_within
from pruning.keep_bits import read_selection


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for name, rows in (("a", 30), ("b", 7)):
        lines = [json.dumps({"text": f"{name} {i}"}) + "\n" for i in range(rows)]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    for files, store in (("*", "scores"), ("a", "of_a")):
        score(["random"], f"jsonl:{folder}/{files}.jsonl", str(folder / store))
    for name, how in (
        ("low", {"keep": "low", "fraction": 0.6}),
        ("high", {"keep": "high", "fraction": 0.6}),
        ("lowest", {"keep": "low", "fraction": 0.2}),
        ("of_a", {"keep": "low", "fraction": 0.6}),
    ):
        store = "of_a" if name == "of_a" else "scores"
        select([str(folder / store)], str(folder / f"{name}_selection"), **how)
    return folder


def bits(folder, name):
    selection = read_selection(folder / name)
    return np.concatenate([selection.keep(path) for path in selection.files])


@pytest.mark.parametrize("sign", ["", "!"])
def test_it_keeps_what_both_keep(folder, tmp_path, sign):
    for _ in range(2):  # the second call takes what is there
        select_within(
            f"{sign}{folder}/high_selection", str(folder / "low_selection"), str(tmp_path / "x")
        )
    high, low = bits(folder, "high_selection"), bits(folder, "low_selection")
    np.testing.assert_array_equal(bits(tmp_path, "x"), (~high if sign else high) & low)
    with pytest.raises(ValueError, match=r"was made of .* and this run has"):
        select_within(
            str(folder / "lowest_selection"), str(folder / "low_selection"), str(tmp_path / "x")
        )


def test_what_cannot_be_put_together_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="keeps none of 37 documents"):
        select_within(
            str(folder / "high_selection"), str(folder / "lowest_selection"), str(tmp_path / "x")
        )
    with pytest.raises(ValueError, match="does not belong to this source"):
        select_within(
            str(folder / "of_a_selection"), str(folder / "low_selection"), str(tmp_path / "x")
        )
