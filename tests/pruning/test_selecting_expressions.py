"""Selections by an expression: ranked, cut and counted as a column would be."""

import re

import numpy as np
import pytest
import toy

from pruning.report import build_report
from pruning.selecting import select
from pruning.selection import Rule

HIGH_FIFTH = Rule(keep="high", fraction=0.2)
RENORMALISED = "log_p_yes - logaddexp(log_p_yes, log_p_no)"
FILES = {"a.jsonl": 60, "b.jsonl": 40}


@pytest.fixture
def asked():
    """Columns by name and file: both options may be likely or unlikely, as with a real model."""
    rng = np.random.default_rng(0)
    return {
        name: {path: -rng.gamma(2, 1, n).astype(np.float32) for path, n in FILES.items()}
        for name in ("log_p_yes", "log_p_no")
    }


def write_store(folder, more, **settings):
    nll = {path: np.ones(n, np.float32) for path, n in FILES.items()}
    return toy.write_store(folder / "scores", nll, more=more, **settings)


def together(by_file):
    """[100] in the order of FILES."""
    return np.concatenate([by_file[path] for path in FILES])


def kept(selection):
    return together({path: selection.keep(path) for path in FILES})


def test_it_ranks_by_the_values(asked, tmp_path):
    store = write_store(tmp_path, asked)
    difference = together(asked["log_p_yes"]) - together(asked["log_p_no"])
    for keep, expected in (
        ("high", slice(80, None)),
        ("low", slice(20)),
        ("middle", slice(40, 60)),
    ):
        selection = select(
            store,
            tmp_path / keep,
            rule=Rule(keep=keep, fraction=0.2),
            score="log_p_yes-(log_p_no)",
        )
        assert {*np.flatnonzero(kept(selection))} == {*np.argsort(difference)[expected]}
        assert selection.info["score"] == "log_p_yes - log_p_no"
        ends = difference[kept(selection)]
        assert selection.info["thresholds"] == [ends.min(), ends.max()]


def test_renormalised_yes_ranks_otherwise_and_a_monotone_map_does_not(asked, tmp_path):
    """P(yes), log P(yes) and 2 log P(yes) - 3 keep the same documents, yes / (yes + no) others."""
    store = write_store(tmp_path, asked)
    keeps = {
        score: kept(select(store, tmp_path / f"{i}", rule=HIGH_FIFTH, score=score))
        for i, score in enumerate(
            ["log_p_yes", "exp(log_p_yes)", "2 * log_p_yes - 3", RENORMALISED, "log_p_yes - log_p_no"]
        )
    }  # fmt: skip
    plain, probability, scaled, renormalised, difference = keeps.values()
    assert (plain == probability).all()
    assert (plain == scaled).all()
    # The share of yes is a function of the difference, and of neither term alone.
    assert (renormalised == difference).all()
    yes, no = (np.exp(together(asked[name])) for name in ("log_p_yes", "log_p_no"))
    assert {*np.flatnonzero(renormalised)} == {*np.argsort(yes / (yes + no))[80:]}
    assert plain.sum() == renormalised.sum() == 20
    assert (plain & ~renormalised).sum() >= 5


def test_a_column_in_parentheses_is_that_column(asked, tmp_path):
    store = write_store(tmp_path, asked)
    for name, score in (("1", "log_p_yes"), ("2", " (log_p_yes)")):
        select(store, tmp_path / name, rule=HIGH_FIFTH, score=score)
    assert toy.tree(tmp_path / "1") == toy.tree(tmp_path / "2")


def test_an_expression_equal_to_a_column_keeps_the_same(asked, tmp_path):
    rule = Rule(keep="threshold", min_score=-0.1)
    asked["log_p_yes"]["a.jsonl"][7] = -0.1  # as float32 it lies below the limit as written
    store = write_store(tmp_path, asked)
    column = select(store, tmp_path / "column", rule=rule, score="log_p_yes")
    same = select(store, tmp_path / "same", rule=rule, score="log_p_yes * 1")
    assert column.digest == same.digest
    assert kept(same)[7]


def test_undefined_values_are_dropped_and_counted(asked, tmp_path):
    yes, no = asked["log_p_yes"]["b.jsonl"], asked["log_p_no"]["b.jsonl"]
    no[[1, 5]] = 0  # a division by it is infinite
    yes[9] = no[9] = 0  # and here it is no number
    yes[2], no[3] = np.nan, np.nan  # the store has none
    store = write_store(tmp_path, asked, unit_rows=9)
    selection = select(
        store, tmp_path / "s", rule=Rule(keep="high", fraction=1), score="log_p_yes / log_p_no"
    )
    assert selection.info["counts"]["dropped"] == {"no_score": 2, "undefined": 3}
    assert selection.info["counts"]["kept"] == selection.info["counts"]["scored"] == 95
    assert np.flatnonzero(~kept(selection)).tolist() == [61, 62, 63, 65, 69]


def test_rows_without_a_score_keep_their_reason(tmp_path):
    nll = {"a": np.array([1, np.nan, 0, 2])}
    store = toy.write_store(tmp_path / "scores", nll)
    selection = select(store, tmp_path / "s", rule=Rule(keep="low", fraction=1), score="1 / nll")
    assert selection.info["counts"]["dropped"] == {"empty": 1, "undefined": 1}


def test_neither_units_nor_memory_change_the_bits(asked, tmp_path, monkeypatch):
    digests = set()
    for rows in (1, 7, 100):
        folder = tmp_path / f"{rows}"
        store = write_store(folder, asked, unit_rows=rows)
        digests.add(select(store, folder / "s", rule=HIGH_FIFTH, score=RENORMALISED).digest)
    monkeypatch.setattr("pruning.ranked_documents.BYTES_IN_MEMORY", 10)
    digests.add(select(store, tmp_path / "s", rule=HIGH_FIFTH, score=RENORMALISED).digest)
    assert len(digests) == 1


def test_unknown_columns_are_named_before_anything_is_written(asked, tmp_path):
    message = r"no score 'log_p_yess'; known are nll, log_p_yes, log_p_no. Did you mean log_p_yes"
    with pytest.raises(ValueError, match=message):
        select(
            write_store(tmp_path, asked),
            tmp_path / "s",
            rule=HIGH_FIFTH,
            score="log_p_yess - log_p_no",
        )
    assert not (tmp_path / "s").exists()


def test_the_report_draws_the_expression_and_its_cut(asked, tmp_path):
    store = write_store(tmp_path, asked)
    text = "log_p_yes - log_p_no"
    selection = select(store, tmp_path / "chosen", rule=HIGH_FIFTH, score=text)
    page = build_report({"scores": store}, [selection])
    plain = re.sub(r"<[^>]*>", "|", page)
    assert f"Keeps the high 20 % of the scored documents by {text}, from " in plain
    assert f"|{text}|" in plain  # a histogram of its own
    assert "kept of all" in page
    assert page.count("keeps from ") == 1  # the cut is drawn on it and on no column
    assert f"Among the highest: {text} from" in plain
    assert "At the cut of chosen" in plain
    assert text not in build_report({"scores": store}, [])


def test_a_store_gives_an_expression_as_it_gives_a_column(asked, tmp_path):
    text = "log_p_yes - log_p_no"
    stored = write_store(tmp_path, asked)
    store = stored.with_scores([text, "nll"])
    table = store.read(store.units[0], ["n_bytes", text])
    assert table.column_names == ["n_bytes", text]
    assert table.schema.field(text).type == "float"
    assert list(store.score_columns) == ["nll", "log_p_yes", "log_p_no", text]
    assert store.schema == stored.schema  # what is on disk
    assert store.read(store.units[0]).schema == stored.schema


def test_the_report_has_the_books_of_what_one_store_does_not_tell(asked, tmp_path):
    store = write_store(tmp_path, asked)
    rule = Rule(keep="sample", weights="softmax", documents=30, per="x.nll", quota={"1": 1.0})
    selections = [
        select(store, tmp_path / "ranked", rule=HIGH_FIFTH, score="rank(log_p_yes)"),
        select({"x": store, "y": store}, tmp_path / "both", rule=rule, score="x.nll"),
    ]
    plain = re.sub(r"<[^>]*>", "|", build_report({"scores": store}, selections))
    assert "Keeps the high 20 % of the scored documents by rank(log_p_yes), from " in plain
    sentence = (
        "Keeps a weighted sample of 30 documents by x.nll, weights softmax (seed 0), by x.nll"
    )
    assert f"{sentence}: 1 100 %." in plain
