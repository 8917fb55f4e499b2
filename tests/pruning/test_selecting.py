"""From a store to a selection: the right documents, the right books, the right guards."""

import hashlib

import numpy as np
import pytest
import toy

from pruning.keep_bits import GUARD_ROWS, read_selection
from pruning.score_store import SUCCESS, open_store
from pruning.selecting import select
from pruning.selection import Rule
from pruning.store_digests import digest, manifest_digest

LOW_HALF = Rule(keep="low", fraction=0.5)


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    scores = {"en/a.jsonl": rng.normal(size=60).astype(np.float32), "b.jsonl": np.arange(10.0)}
    scores["en/a.jsonl"][[0, 13, 59]] = np.nan
    return scores


@pytest.fixture
def domains():
    return {
        "en/a.jsonl": [None if i % 10 == 3 else "web" if i % 3 else "books" for i in range(60)],
        "b.jsonl": ["code"] * 10,
    }


@pytest.fixture
def store(tmp_path, scores, domains):
    return toy.write_store(tmp_path / "scores", scores, domains=domains)


def test_the_bits_are_those_of_the_rule(store, scores, tmp_path):
    selection = select(store, tmp_path / "selection", rule=LOW_HALF)
    keep = {path: selection.keep(path) for path in scores}
    all_scores, all_keep = (np.concatenate([d[p] for p in scores]) for d in (scores, keep))
    assert all_keep.sum() == 67 // 2
    assert not all_keep[np.isnan(all_scores)].any()
    assert all_scores[all_keep].max() < np.nanmin(np.where(all_keep, np.nan, all_scores))
    assert selection.info["thresholds"] == [
        all_scores[all_keep].min(),
        all_scores[all_keep].max(),
    ]
    assert Rule(**selection.info["rule"]) == LOW_HALF
    assert (
        selection.info["rule"] | {"keep": "low", "fraction": 0.5, "seed": 0}
        == (selection.info["rule"])
    )


def test_the_cut_into_units_does_not_change_the_bits(scores, tmp_path):
    digests = {
        select(
            toy.write_store(tmp_path / f"scores{rows}", scores, unit_rows=rows),
            tmp_path / f"selection{rows}",
            rule=Rule(keep="middle", fraction=0.3),
        ).digest
        for rows in (1, 7, 100)
    }
    assert len(digests) == 1


def test_the_books_are_those_of_a_direct_count(store, scores, domains, tmp_path):
    selection = select(store, tmp_path / "selection", rule=LOW_HALF)
    keep_N, score_N, row_N, domain_N = (
        np.concatenate([of(path) for path in scores])
        for of in (
            selection.keep,
            scores.get,
            lambda path: np.arange(len(scores[path])),
            lambda path: np.array([d or "(none)" for d in domains[path]]),
        )
    )
    tokens_N, scored_N = row_N % 5 + 1, ~np.isnan(score_N)
    assert selection.info["counts"] == {
        "rows": 70,
        "scored": 67,
        "kept": 33,
        "tokens": tokens_N[scored_N].sum(),
        "kept_tokens": tokens_N[keep_N].sum(),
        "bytes": 10 * tokens_N[scored_N].sum(),
        "kept_bytes": 10 * tokens_N[keep_N].sum(),
        "dropped": {"by_score": 34, "empty": 3},
        "dropped_tokens": {"by_score": tokens_N[scored_N & ~keep_N].sum(), "empty": 0},
    }
    groups = selection.info["groups"]["domain"]
    assert list(groups) == sorted({*domain_N})
    for name, found in groups.items():
        here = (domain_N == name) & scored_N
        assert found == {
            "documents": here.sum(),
            "kept": (here & keep_N).sum(),
            "tokens": tokens_N[here].sum(),
            "kept_tokens": tokens_N[here & keep_N].sum(),
            "unscored": ((domain_N == name) & ~scored_N).sum(),
        }
    assert sum(g["documents"] for g in groups.values()) == 67
    assert sum(g["kept"] for g in groups.values()) == 33


def test_books_are_kept_by_what_is_asked_for(store, tmp_path):
    assert select(store, tmp_path / "none", rule=LOW_HALF, by=[]).info["groups"] == {}
    with pytest.raises(ValueError, match=r"no field 'url'; it has domain"):
        select(store, tmp_path / "url", rule=LOW_HALF, by=["url"])


def test_guards_are_the_text_hashes_of_the_first_rows(store, tmp_path):
    selection = select(store, tmp_path / "selection", rule=LOW_HALF)
    guard = selection.files["en/a.jsonl"]
    # The first unit has 7 rows.
    assert guard.row_hashes == {row: 1000 + row for row in GUARD_ROWS if row < 7}
    assert (guard.size, guard.num_rows) == (99, 60)
    first, *_, last = selection.info["text_hashes"]["en/a.jsonl"]
    rows = selection.info["unit_rows"]
    for found, hashes in ((first, np.arange(rows)), (last, np.arange(60 - 60 % rows, 60))):
        expected = hashlib.sha256((1000 + hashes).astype("<i8").tobytes()).hexdigest()
        assert found == expected


def test_guards_begin_where_the_scored_rows_begin(scores, tmp_path):
    store = toy.write_store(tmp_path / "scores", scores)
    first, second = (unit for unit in store.units[2:4])
    assert first.file == second.file == "en/a.jsonl"
    store.path(first).unlink()
    selection = select(store, tmp_path / "selection", rule=LOW_HALF, partial=True)
    guards = selection.files["en/a.jsonl"].row_hashes
    begin = second.first_row
    assert min(guards) == begin
    assert guards[begin] == 1000 + begin
    assert selection.info["text_hashes"]["en/a.jsonl"][0] is None


def test_a_store_whose_run_did_not_end_well_is_refused(store, tmp_path):
    """All units are there, and perhaps of a source that changed while they were written."""
    (store.folder / SUCCESS).unlink()
    with pytest.raises(
        ValueError, match=r"has all its units and no _SUCCESS: .* source had changed"
    ):
        select(store, tmp_path / "s", rule=LOW_HALF)
    assert select(store, tmp_path / "s", rule=LOW_HALF, partial=True).num_kept


def test_an_unfinished_store_is_refused_or_taken_as_it_is(scores, tmp_path):
    store = toy.write_store(tmp_path / "scores", scores, leave_out=1)
    with pytest.raises(ValueError, match=r"lacks 1 of 11 units.*--partial"):
        select(store, tmp_path / "selection", rule=LOW_HALF)
    assert not (tmp_path / "selection").exists()
    selection = select(store, tmp_path / "selection", rule=LOW_HALF, partial=True)
    counts = selection.info["counts"]
    # The last unit of en/a.jsonl: rows 56 to 59, one of them empty.
    assert counts["rows"] == 70
    assert counts["dropped"] == {"by_score": 32, "empty": 2, "not_sampled": 4}
    assert counts["kept"] + sum(counts["dropped"].values()) == 70
    assert selection.info["text_hashes"]["en/a.jsonl"][-1] is None
    assert None not in selection.info["text_hashes"]["b.jsonl"]
    assert not selection.keep("en/a.jsonl")[56:].any()


def test_a_selection_is_written_once(store, tmp_path):
    select(store, tmp_path / "selection", rule=LOW_HALF)
    before = toy.tree(tmp_path / "selection")
    with pytest.raises(FileExistsError, match="never changes"):
        select(store, tmp_path / "selection", rule=Rule(keep="high", fraction=0.1))
    assert toy.tree(tmp_path / "selection") == before


def test_the_same_again_is_the_same_folder(store, tmp_path):
    for name in ("1", "2"):
        select(store, tmp_path / name, rule=LOW_HALF)
    assert toy.tree(tmp_path / "1") == toy.tree(tmp_path / "2")


@pytest.mark.parametrize(
    "rule", [Rule(keep="low", fraction=0.001), Rule(keep="threshold", min_score=1e9)]
)
def test_keeping_nothing_is_refused(store, tmp_path, rule):
    with pytest.raises(ValueError, match="keeps none of 70 documents"):
        select(store, tmp_path / "selection", rule=rule)
    assert not (tmp_path / "selection").exists()


def test_an_unknown_column_names_the_known(store, tmp_path):
    with pytest.raises(ValueError, match=r"no score 'el2n'; known are nll"):
        select(store, tmp_path / "selection", rule=LOW_HALF, score="el2n")


def test_the_store_is_named_by_its_digest(store, scores, domains, tmp_path):
    selection = select(store, tmp_path / "selection", rule=LOW_HALF)
    (named,) = selection.info["stores"]
    files = [store.folder / "manifest.json", *map(store.path, store.units)]
    manifest, *units = [path.read_bytes() for path in files]
    whole = manifest + b"".join(hashlib.sha256(unit).digest() for unit in units)
    assert named == {
        "path": str(tmp_path / "scores"),
        "manifest": hashlib.sha256(manifest).hexdigest(),
        "digest": hashlib.sha256(whole).hexdigest(),
    }
    assert digest(open_store(store.folder), {*store.units}) == named["digest"]
    assert manifest_digest(store) == named["manifest"]
    scores["b.jsonl"][9] += 1
    other = toy.write_store(tmp_path / "other", scores, domains=domains)
    assert digest(other, {*other.units}) != named["digest"]
    assert digest(store, {*store.units[1:]}) != named["digest"]


def test_reading_needs_neither_the_store_nor_the_corpus(store, tmp_path):
    written = select(open_store(store.folder), tmp_path / "selection", rule=LOW_HALF)
    assert read_selection(tmp_path / "selection").info == written.info
