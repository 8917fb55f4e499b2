"""Stores side by side: names, refusals, other units, missing units."""

import dataclasses
import json

import numpy as np
import pytest
import toy

from pruning.selecting import select
from pruning.selection import Rule
from pruning.several_stores import SeveralStores, parse_stores

FILES = {"a.jsonl": 61, "b.jsonl": 40}
HIGH_HALF = Rule(keep="high", fraction=0.5)


def draw(seed):
    rng = np.random.default_rng(seed)
    return {path: rng.normal(size=n).astype(np.float32) for path, n in FILES.items()}


def together(by_file):
    return np.concatenate([by_file[path] for path in FILES])


def kept(selection):
    return together({path: selection.keep(path) for path in FILES})


@pytest.fixture
def large(tmp_path):
    return toy.write_store(tmp_path / "large", draw(0), unit_rows=7)


@pytest.fixture
def small(tmp_path):
    return toy.write_store(tmp_path / "small", draw(1), unit_rows=16)


def test_a_difference_of_two_stores_ranks(large, small, tmp_path):
    value_N = together(draw(1)) - together(draw(0))
    selection = select(
        {"small": small, "large": large},
        tmp_path / "s",
        rule=HIGH_HALF,
        score="small.nll - large.nll",
    )
    assert {*np.flatnonzero(kept(selection))} == {*np.argsort(value_N)[-50:]}
    assert selection.info["score"] == "small.nll - large.nll"
    assert [s["name"] for s in selection.info["stores"]] == ["small", "large"]
    assert selection.info["unit_rows"] == 16


def test_the_bar_of_the_last_pass_is_full(large, tmp_path, capsys):
    select(large, tmp_path / "s", rule=HIGH_HALF)
    bars = [line for line in capsys.readouterr().err.splitlines() if "write keep bits" in line]
    assert "101/101" in bars[-1]


def test_ranks_and_zscores_of_two_stores(large, small, tmp_path):
    def rank(x):
        return np.argsort(np.argsort(x)) / (len(x) - 1)

    x, y = together(draw(0)).astype(np.float64), together(draw(1)).astype(np.float64)
    z = (x - x.mean()) / x.std() - (y - y.mean()) / y.std()
    for i, (score, value_N) in enumerate(
        {"rank(l.nll) - rank(s.nll)": rank(x) - rank(y), "zscore(l.nll) - zscore(s.nll)": z}.items()
    ):
        selection = select({"l": large, "s": small}, tmp_path / f"{i}", rule=HIGH_HALF, score=score)
        assert value_N[kept(selection)].min() >= value_N[~kept(selection)].max() - 1e-6
        assert [*selection.info["corpus"]][::-1] == score.split(" - ") or [
            *selection.info["corpus"]
        ] == score.split(" - ")
        assert selection.info["corpus"][score.split(" - ")[0]]["documents"] == 101


def test_neither_units_nor_memory_nor_the_first_store_change_the_bits(tmp_path, monkeypatch):
    digests = set()
    score = "rank(x.nll) * zscore(y.nll)"
    for number, (rows, others) in enumerate([(1, 100), (7, 16), (16, 7), (100, 3)]):
        stores = {
            "x": toy.write_store(tmp_path / f"x{number}", draw(0), unit_rows=rows),
            "y": toy.write_store(tmp_path / f"y{number}", draw(1), unit_rows=others),
        }
        if number % 2:
            stores = dict(reversed(stores.items()))
        output = tmp_path / f"s{number}"
        digests.add(select(stores, output, rule=HIGH_HALF, score=score).digest)
    monkeypatch.setattr("pruning.ranked_documents.BYTES_IN_MEMORY", 10)
    digests.add(select(stores, tmp_path / "s", rule=HIGH_HALF, score=score).digest)
    assert len(digests) == 1


def test_a_partial_store_drops_what_it_lacks(large, tmp_path):
    y = draw(1)
    y["a.jsonl"][3] = np.nan
    part = toy.write_store(tmp_path / "part", y, unit_rows=16, leave_out=2)
    stores = {"x": large, "y": part}
    with pytest.raises(ValueError, match=r"part lacks 2 of 7 units.*--partial"):
        select(stores, tmp_path / "s", rule=HIGH_HALF, score="x.nll + y.nll")
    whole = Rule(keep="high", fraction=1.0)
    selection = select(stores, tmp_path / "s", rule=whole, score="x.nll + y.nll", partial=True)
    # The last units of files in order of path: rows 16 to 39 of b.jsonl.
    assert selection.info["counts"]["dropped"] == {"empty": 1, "not_sampled": 24}
    assert selection.info["counts"]["kept"] == 76
    assert not selection.keep("b.jsonl")[16:].any()
    # The other store has the texts of all rows.
    assert None not in selection.info["text_hashes"]["b.jsonl"]
    assert select(stores, tmp_path / "t", rule=whole, score="x.nll", partial=True).num_kept == 101


def test_an_unnamed_store_is_plain_and_so_is_the_only_one(large, small, tmp_path):
    assert [*SeveralStores({"": large, "s": small}).scores] == ["nll", "s.nll"]
    assert [*SeveralStores({"l": large, "s": small}).scores] == ["l.nll", "s.nll"]
    for name, score in (("", "nll"), ("l", "nll"), ("l", "l.nll"), ("l", None)):
        select({name: large}, tmp_path / f"{name}{score}", rule=HIGH_HALF, score=score)
    with pytest.raises(ValueError, match=r"no score 's.nll2'; known are nll, s.nll"):
        select({"": large, "s": small}, tmp_path / "s", rule=HIGH_HALF, score="s.nll2 - nll")
    with pytest.raises(ValueError, match=r"Several stores need --score.* of nll, s.nll"):
        select({"": large, "s": small}, tmp_path / "s", rule=HIGH_HALF)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("mark", "later", r'a.jsonl: mark is "later" there and "m" here.*touch -r'),
        ("num_rows", 60, r"a.jsonl: num_rows is 60 there and 61 here"),
        ("path", "c.jsonl", r"a.jsonl is no such file there and there here"),
    ],
)
def test_stores_of_other_files_are_refused(large, small, key, value, message):
    manifest = json.loads(json.dumps(small.manifest))
    manifest["files"][0][key] = value
    other = dataclasses.replace(small, manifest=manifest)
    with pytest.raises(
        ValueError, match=rf"small is not of the same source as .*large: .*{message}"
    ):
        SeveralStores({"l": large, "s": other})


def test_a_split_of_the_same_files_is_not_refused(large, small):
    manifest = json.loads(json.dumps(small.manifest))
    manifest["files"][0]["end_row"] = 10
    SeveralStores({"l": large, "s": dataclasses.replace(small, manifest=manifest)})


def test_scores_of_other_texts_are_refused(large, tmp_path):
    other = toy.write_store(tmp_path / "other", draw(1), first_hash=5_000)
    message = r"a.jsonl__0 has text hash 1000 in the store x and 5000 in y: they are scores of"
    with pytest.raises(ValueError, match=message):
        select({"x": large, "y": other}, tmp_path / "s", rule=HIGH_HALF, score="x.nll - y.nll")
    assert not (tmp_path / "s").exists()


def test_a_vector_is_no_score(large):
    manifest = json.loads(json.dumps(large.manifest))
    manifest["columns"].append({**manifest["columns"][0], "name": "embedding", "size": 8})
    stores = SeveralStores({"": dataclasses.replace(large, manifest=manifest)})
    assert [*stores.scores] == ["nll"]


def test_stores_are_named_on_the_command_line():
    assert parse_stores(["ask=scores/ask", "scores/p=1"]) == {"ask": "scores/ask", "": "scores/p=1"}
    assert parse_stores(["gs://bucket/ask=1"]) == {"": "gs://bucket/ask=1"}
    with pytest.raises(ValueError, match=r"stores b and c both have no name\. Name them"):
        parse_stores(["a=x", "b", "c"])
    with pytest.raises(ValueError, match=r"stores x and y both have the name a\."):
        parse_stores(["a=x", "a=y"])
