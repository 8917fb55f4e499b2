"""`prune import-scores`: tables of scores made elsewhere become stores."""

import gzip
import json
import os
import signal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.json
import pyarrow.parquet as pq
import pytest
import toy

from pruning import importing
from pruning.hashing import text_hash
from pruning.jobs import filling_a_store
from pruning.jobs.import_scores import import_scores
from pruning.jobs.make_selection import select
from pruning.keep_bits import read_selection
from pruning.score_store import open_store

TEXTS = {
    "a.jsonl": ["one", "two", "", "same", "five"],
    "b.jsonl": ["same", "seven", "eight, \n and more"],
}
IDS = [(file, row) for file, texts in TEXTS.items() for row in range(len(texts))]
SCORES = dict(zip(IDS, [0.5, 1.5, 9.0, 2.5, 3.5, 2.5, 4.5, 5.5], strict=True))


@pytest.fixture
def source(tmp_path):
    for name, texts in TEXTS.items():
        toy.write_jsonl(tmp_path / "corpus" / name, texts)
    return f"jsonl:{tmp_path}/corpus/*.jsonl"


def records(ids=IDS, **columns):
    """Rows of a table about these documents, in an order of their own."""
    made = [
        {"file": file, "row": row, "score": SCORES[file, row], "text": TEXTS[file][row]}
        for file, row in ids
    ]
    return [made[i] for i in np.random.default_rng(0).permutation(len(made))]


def without(rows, *names):
    return [{k: v for k, v in row.items() if k not in names} for row in rows]


def write(path, rows, kind):
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "csv":
        pa.csv.write_csv(pa.Table.from_pylist(rows), path)
    else:
        with gzip.open(path, "wt") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return f"{kind}:{path}"


def run(tmp_path, source, rows, kind="jsonl", columns=("score=high",), name="scores", **settings):
    spec = write(tmp_path / f"{name}.{kind}{'.gz' if kind == 'jsonl' else ''}", rows, kind)
    import_scores(source, spec, list(columns), str(tmp_path / name), **settings)
    return open_store(tmp_path / name)


def expected(unscored):
    return [None if i in unscored else SCORES[i] for i in IDS]


def scores(store, name="score"):
    return [None if np.isnan(x) else x for x in toy.column(store, name)]


def without_manifest(store):
    """All files but the one that names the table."""
    return {path: data for path, data in toy.tree(store.folder).items() if path != "manifest.json"}


def success(store):
    return json.loads((store.folder / "_SUCCESS").read_text())


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
@pytest.mark.parametrize("by", ["id", "one id", "text_hash", "text"])
def test_every_key_in_every_format(tmp_path, source, kind, by):
    rows, settings = records(), {}
    if by == "one id":
        rows = [{"id": f"{r['file']}__{r['row']}", **r} for r in without(rows, "text")]
        rows = without(rows, "file", "row")
    elif by == "text_hash":
        hashed = [{"hash": text_hash(r["text"].encode()), "score": r["score"]} for r in rows]
        rows, settings = hashed, {"by": "text_hash", "key": ["hash"]}
    elif by == "text":
        settings = {"by": "text_hash"}
    store = run(tmp_path, source, rows, kind, unit_rows=2, **settings)
    assert scores(store) == expected({("a.jsonl", 2)})
    assert toy.column(store, "reason") == [None, None, "empty", *[None] * 5]
    assert store.score_columns["score"]["keeps"] == "high"
    assert success(store)["table_rows_without_document"] == 0


def test_what_has_no_partner_is_counted_on_both_sides(tmp_path, source, capsys):
    rows = records([i for i in IDS if i not in {("a.jsonl", 1), ("b.jsonl", 0)}])
    rows += [{**rows[0], "file": "c.jsonl"}, {**rows[0], "file": "b.jsonl", "row": 77}]
    store = run(tmp_path, source, rows, unit_rows=2)
    assert scores(store) == expected({("a.jsonl", 1), ("a.jsonl", 2), ("b.jsonl", 0)})
    counts = success(store)
    assert counts["unscored"] == {"empty": 1, "not_imported": 2}
    assert counts["examples"]["not_imported"] == ["a.jsonl__1", "b.jsonl__0"]
    assert (counts["table_rows"], counts["table_rows_without_document"]) == (8, 2)
    printed = capsys.readouterr().out
    assert "2 of 8 rows of the table found no document (such as b.jsonl__77, c.jsonl__" in printed


def test_texts_that_stand_in_no_document_are_counted(tmp_path, source):
    rows = [{"text": t, "score": 1.0} for t in ("one", "same", "elsewhere")]
    store = run(tmp_path, source, rows, by="text_hash")
    assert scores(store) == [1, None, None, 1, None, 1, None, None]
    assert success(store)["table_rows_without_document"] == 1


def test_a_number_that_is_not_finite_in_float32_is_no_score(tmp_path, source):
    rows = without(records(), "text")
    bad = {("a.jsonl", 0): None, ("a.jsonl", 1): float("nan"), ("b.jsonl", 1): 1e300}
    rows = [{**r, "score": bad.get((r["file"], r["row"]), r["score"]), "n": 1} for r in rows]
    store = run(tmp_path, source, rows, "parquet", columns=["score", "n=low"])
    assert scores(store) == expected({*bad, ("a.jsonl", 2)})
    assert toy.column(store, "reason").count("not_finite") == 3
    assert scores(store, "n") == [1, 1, None, 1, 1, 1, 1, 1]
    assert [c["keeps"] for c in store.score_columns.values()] == ["any", "low"]


def test_the_same_row_of_two_files_is_two_documents(tmp_path, source):
    store = run(tmp_path, source, records([("a.jsonl", 0), ("b.jsonl", 0)]))
    assert scores(store) == [0.5, *[None] * 4, 2.5, None, None]


def test_it_selects_like_any_store(tmp_path, source):
    store = run(tmp_path, source, records())
    select(str(store.folder), str(tmp_path / "selection"), keep="high", fraction=0.3)
    keep = read_selection(tmp_path / "selection").keep("b.jsonl")
    assert keep.tolist() == [False, True, True]


@pytest.mark.parametrize("by", ["id", "text_hash"])
def test_any_cut_and_any_stop_give_the_same(tmp_path, source, by):
    whole = run(tmp_path, source, records(), name="whole", by=by)
    small = run(tmp_path, source, records(), name="small", by=by, unit_rows=1)
    assert scores(small) == scores(whole)
    before = toy.tree(small.folder)
    for i, unit in enumerate(small.units):
        if i % 2:
            small.path(unit).unlink()
    (small.folder / "_SUCCESS").unlink()
    again = run(tmp_path, source, records(), name="small", by=by, unit_rows=1)
    assert toy.tree(again.folder) == before


def test_shards_in_any_order_fill_one_store(tmp_path, source):
    # One row finds no document: only who is last can know.
    rows = [*records(), {"file": "a.jsonl", "row": 9, "score": 1.0, "text": "none"}]
    whole = run(tmp_path, source, rows, name="whole", unit_rows=1)
    for index in (2, 0, 2):
        store = run(
            tmp_path, source, rows, name="parts", unit_rows=1, num_shards=3, shard_index=index
        )
        assert not store.is_complete
    assert len(store.missing_units()) == 3
    store = run(tmp_path, source, rows, name="parts", unit_rows=1, num_shards=3, shard_index=1)
    assert without_manifest(store) == without_manifest(whole)
    assert success(store)["table_rows_without_document"] == 1
    with pytest.raises(ValueError, match="--shard_index is 3 and --num_shards 3"):
        run(tmp_path, source, rows, name="parts", num_shards=3, shard_index=3)


def test_sigterm_ends_after_the_unit_in_flight_and_the_next_run_goes_on(
    tmp_path, source, monkeypatch
):
    whole = run(tmp_path, source, records(), name="whole", unit_rows=1)

    def asked_to_end(*args):
        os.kill(os.getpid(), signal.SIGTERM)
        return prepare(*args)

    prepare = importing.prepare
    with monkeypatch.context() as patch:
        patch.setattr(importing, "prepare", asked_to_end)
        with pytest.raises(InterruptedError, match="Stopped by SIGTERM"):
            run(tmp_path, source, records(), name="stopped", unit_rows=1)
    stopped = open_store(tmp_path / "stopped")
    assert len(stopped.missing_units()) == len(stopped.units) - 1
    run(tmp_path, source, records(), name="stopped", unit_rows=1)
    assert without_manifest(stopped) == without_manifest(whole)


def test_sigterm_at_the_last_unit_finishes_the_store(tmp_path, source, monkeypatch):
    def asked_to_end(*args):
        os.kill(os.getpid(), signal.SIGTERM)
        return prepare(*args)

    prepare = importing.prepare
    monkeypatch.setattr(importing, "prepare", asked_to_end)
    rows = [r for r in records() if r["file"] == "b.jsonl"]
    one_file = source.replace("*", "b")
    assert run(tmp_path, one_file, rows).is_complete


def test_the_last_unit_of_another_shard_while_this_one_counts(tmp_path, source, monkeypatch):
    """Who saw units missing leaves the marking to who did not."""

    def count_slowly(store):
        counts = count(store)
        if not store.is_complete and store.missing_units():
            share(1)
        return counts

    def share(index):
        run(tmp_path, source, records(), unit_rows=1, num_shards=2, shard_index=index)

    count = filling_a_store.count
    monkeypatch.setattr(filling_a_store, "count", count_slowly)
    share(0)
    counts = success(open_store(tmp_path / "scores"))
    assert (counts["rows"], counts["table_rows"]) == (8, 8)


def test_the_manifest_knows_what_the_table_says_and_not_how(tmp_path, source):
    rows = records()
    store = run(tmp_path, source, rows)
    digest = store.manifest["scorers"]["imported"]["digest"]
    # Another file of another format, in another order: the same store.
    run(tmp_path, source, rows[::-1], "parquet")
    rows[0] = {**rows[0], "score": rows[0]["score"] + 1}
    with pytest.raises(ValueError, match=rf'scorers.imported.digest = "{digest}", this run has'):
        run(tmp_path, source, rows)


def test_a_table_about_other_texts_is_refused(tmp_path, source):
    rows = records()
    shifted = [{**r, "row": (r["row"] + 1) % len(TEXTS[r["file"]])} for r in rows]
    with pytest.raises(
        ValueError, match=r"a\.jsonl__0 has text hash .* in the source and .* shifted"
    ):
        run(tmp_path, source, shifted)
    hashed = [{**r, "text_hash": text_hash(r["text"].encode()) + 1} for r in rows]
    with pytest.raises(ValueError, match=r"a\.jsonl__0 has text hash"):
        run(tmp_path, source, hashed, name="other")


def test_texts_beside_some_ids_only_are_refused(tmp_path, source):
    rows = records()
    write(tmp_path / "part0.jsonl.gz", rows[:4], "jsonl")
    write(tmp_path / "part1.jsonl.gz", without(rows[4:], "text"), "jsonl")
    with pytest.raises(ValueError, match="in all of them, or in none"):
        import_scores(source, f"jsonl:{tmp_path}/part*.gz", ["score"], str(tmp_path / "scores"))


def test_a_key_twice_with_other_numbers_is_refused(tmp_path, source):
    rows = records()
    double = {"file": "b.jsonl", "row": 1, "score": 8.0, "text": "seven"}
    with pytest.raises(ValueError, match=r"b\.jsonl__1 twice with different score: .*8\.0"):
        run(tmp_path, source, [*rows, double])
    key = text_hash(b"seven")
    with pytest.raises(ValueError, match=rf"text hash {key} twice with different score"):
        run(tmp_path, source, [*rows, double], by="text_hash")
    with pytest.raises(ValueError, match=r"b\.jsonl__1 twice with different text"):
        run(tmp_path, source, [*rows, {**double, "score": 4.5, "text": "other"}])
    assert scores(run(tmp_path, source, [*rows, *rows])) == expected({("a.jsonl", 2)})


def test_a_table_about_another_source_is_refused(tmp_path, source):
    rows = [{**r, "file": f"/data/{r['file']}"} for r in records()]
    with pytest.raises(
        ValueError, match=r"None of the 2 files .*'/data/a\.jsonl', is one of .*'a\.jsonl'"
    ):
        run(tmp_path, source, rows)
    with pytest.raises(ValueError, match=r"None of the 1 rows .* found a document by text_hash"):
        run(tmp_path, source, [{"text": "elsewhere", "score": 1}], by="text_hash")
    assert not (tmp_path / "scores" / "_SUCCESS").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": ["quality"]}, "has no column 'quality'; it has file, row, score, text"),
        ({"columns": ["file"]}, "'file' .* holds string; a score is a number"),
        ({"columns": ["score=best"]}, "'score=best' is no new NAME or NAME=KEEPS"),
        ({"columns": ["score", "score=low"]}, "'score=low' is no new NAME"),
        ({"key": ["text"]}, "an id is written file__row"),
        ({"key": ["text", "row", "file"]}, "has no so many columns"),
        ({"key": ["file", "score"]}, "rows of type double"),
        ({"key": ["row", "row"]}, "holds int64, 0 of 8 missing; it must be text"),
        ({"by": "text_hash", "key": ["score"]}, "text hashes are 64-bit integers"),
        ({"fields": ["score"]}, r"columns \['score'\] would stand twice"),
    ],
)
def test_what_the_table_has_not(tmp_path, source, change, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path, source, records(), **change)


def test_tables_that_cannot_be_read(tmp_path, source):
    with pytest.raises(ValueError, match="Write parquet:PATTERN, jsonl:PATTERN or csv:PATTERN"):
        import_scores(source, "scores.parquet", ["score"], str(tmp_path / "scores"))
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"not Parquet")
    with pytest.raises(ValueError, match=r"broken\.parquet cannot be read as parquet"):
        import_scores(source, f"parquet:{broken}", ["score"], str(tmp_path / "scores"))
    with pytest.raises(ValueError, match=r"cannot be read as jsonl: .*Empty"):
        run(tmp_path, source, [])
    empty = tmp_path / "empty.parquet"
    pq.write_table(pa.Table.from_pylist(records()).slice(0, 0), empty)
    with pytest.raises(ValueError, match="The table has no rows"):
        import_scores(source, f"parquet:{empty}", ["score"], str(tmp_path / "scores"))


def test_whole_numbers_before_fractions(tmp_path, source, monkeypatch):
    """Arrow takes the type of a column from the first block of a file, here one of few rows."""
    small = {
        "jsonl": pa.dataset.JsonFileFormat(read_options=pa.json.ReadOptions(block_size=150)),
        "csv": pa.dataset.CsvFileFormat(read_options=pa.csv.ReadOptions(block_size=60)),
    }
    monkeypatch.setattr("pruning.score_tables._FORMATS", small)
    rows = sorted(without(records(), "text"), key=lambda row: row["score"])
    rows = [{**row, "score": 7} for row in rows[:5]] + rows[5:]
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    import_scores(source, f"csv:{tmp_path}/table.csv", ["score"], str(tmp_path / "of_csv"))
    store = run(tmp_path, source, rows)
    assert scores(store) == [7, 7, None, 7, 7, 7, 4.5, 5.5]
    assert scores(open_store(tmp_path / "of_csv")) == scores(store)
