"""The folder of scores: what it holds, and that it is never continued by another run."""

import json
import os
import shutil

import pyarrow.parquet as pq
import pytest
import toy

from pruning.documents import SourceFile, Unit
from pruning.manifests import first_difference, make_manifest
from pruning.score_store import create_or_continue, open_store
from pruning.sealed_parquet import read_sealed, sealed_bytes

SETTINGS = {"unit_rows": 8, "window": 32, "batch_rows": 2, "row_length": 64}


@pytest.fixture
def corpus(tmp_path):
    for name, seed in (("en/a.jsonl", 0), ("en/b.jsonl", 1), ("c.jsonl", 2)):
        path = tmp_path / "corpus" / name
        toy.write_jsonl(path, toy.texts(20, seed=seed), domain=["web"] * 20)
    return tmp_path / "corpus"


@pytest.fixture
def score(corpus, tmp_path):
    def score(output="scores", scorers=("perplexity", "random"), **changes):
        source = f"jsonl:{corpus}/**/*.jsonl"
        return toy.score(scorers, source, tmp_path / output, **{**SETTINGS, **changes})

    return score


def test_the_folder_looks_as_documented(score, tmp_path):
    store = score(fields=["domain"])
    first_rows = ("000000000000", "000000000008", "000000000016")
    assert sorted(toy.tree(tmp_path / "scores")) == sorted(
        ["_SUCCESS", "manifest.json"]
        + [f"{f}/{r}.parquet" for f in ("c.jsonl", "en/a.jsonl", "en/b.jsonl") for r in first_rows]
    )
    table = pq.read_table(tmp_path / "scores" / "c.jsonl" / "000000000016.parquet")
    assert table.num_rows == 4
    assert table.column_names == [
        *("nll", "bits_per_byte", "random"),
        *("reason", "note", "text_hash", "n_bytes", "n_tokens", "n_targets", "n_windows"),
        *("truncated", "domain"),
    ]
    assert table.schema.equals(store.schema)
    assert table["domain"].to_pylist() == ["web"] * 4
    assert store.is_complete
    assert [*store.score_columns] == ["nll", "bits_per_byte", "random"]


def test_the_manifest_says_what_made_the_numbers(score):
    manifest = score(fields=["domain"]).manifest
    assert manifest["model"] == {"name": "toy", "digest": "toy", "config": {}}
    assert manifest["vocabulary"] == {"name": "bytes", "digest": "bytes"}
    assert manifest["objective"]["name"] == "span_corruption"
    assert manifest["row"]["encoder_length"] == 64
    assert (manifest["unit_rows"], manifest["batch_rows"]) == (8, 2)
    assert manifest["scorers"] == {"perplexity": {}, "random": {"seed": 0}}
    assert manifest["columns"][0] == {
        "name": "nll",
        "unit": "nats per target token",
        "keeps": "middle",
        "meaning": "mean negative log-likelihood; low is easy to predict",
    }
    assert [f["path"] for f in manifest["files"]] == ["c.jsonl", "en/a.jsonl", "en/b.jsonl"]
    assert manifest["source"]["kind"] == "jsonl"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": "other"},
            'model.digest = "toy", this run has "other". The model was toy, and now is other',
        ),
        ({"window": 40}, r"objective.window = 32, this run has 40"),
        (
            {"objective": "causal_lm"},
            'objective.name = "span_corruption", this run has "causal_lm"',
        ),
        ({"batch_rows": 3}, "batch_rows = 2, this run has 3"),
        ({"row_length": 65}, "row.encoder_length = 64, this run has 65"),
        ({"unit_rows": 9}, "unit_rows = 8, this run has 9"),
        ({"seed": 1}, "scorers.random.seed = 0, this run has 1"),
        ({"long_documents": "truncate"}, 'long_documents = "windows", this run has "truncate"'),
        ({"max_document_bytes": 5}, "max_document_bytes = 1000000, this run has 5"),
        ({"fields": ["domain"]}, r'source.fields = \[\], this run has \["domain"\]'),
        ({"text_field": "body"}, 'source.text_field = "text", this run has "body"'),
        ({"scorers": ("perplexity",)}, 'scorers.random = {"seed": 0}, this run has null'),
        ({"scorers": ("random",)}, "scorers.perplexity = {}, this run has null"),
        ({"scorers": ("random", "perplexity")}, "columns = "),
    ],
)
def test_a_run_with_other_settings_is_refused_with_both_values(score, tmp_path, changes, message):
    score()
    before = toy.tree(tmp_path / "scores")
    with pytest.raises(
        ValueError, match=rf"(?s){message}.*Give another --output, or delete the folder"
    ):
        score(**changes)
    assert toy.tree(tmp_path / "scores") == before


def edit_without_changing_the_size(path):
    status = path.stat()
    path.write_text(path.read_text().replace("cat", "dog"))
    assert path.stat().st_size == status.st_size
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def append(path):
    with path.open("a") as file:
        file.write(json.dumps({"text": "one more"}) + "\n")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("c.jsonl", append, r"source file c\.jsonl: size = \d+, this run has \d+"),
        ("c.jsonl", edit_without_changing_the_size, r'c\.jsonl: mark = "\d+", this run has "\d+"'),
        ("c.jsonl", os.remove, r"source file c\.jsonl = there, this run has no such file"),
        (
            "d.jsonl",
            lambda path: toy.write_jsonl(path, ["new"]),
            r"source file d\.jsonl = no such file, this run has there",
        ),
    ],
)
def test_a_changed_corpus_is_refused(score, corpus, name, change, message):
    score()
    change(corpus / name)
    with pytest.raises(ValueError, match=message):
        score()


def test_the_same_corpus_may_lie_elsewhere(score, corpus, tmp_path):
    score(sample=0.3)
    moved = shutil.copytree(corpus, tmp_path / "moved")
    shutil.rmtree(corpus)
    source = f"jsonl:{moved}/**/*.jsonl"
    store = toy.score(("perplexity", "random"), source, tmp_path / "scores", **SETTINGS)
    assert store.is_complete


def test_the_code_version_and_names_are_not_compared():
    manifest = {"code_version": "1", "model": {"name": "a", "digest": "x"}, "files": []}
    later = {"code_version": "2", "model": {"name": "b", "digest": "x"}, "files": []}
    assert first_difference(manifest, later) is None
    later["model"] = {"name": "a", "digest": "y"}
    assert first_difference(manifest, later) == ("model.digest", '"x"', '"y"')


def test_a_setting_that_one_of_both_does_not_have_is_a_difference():
    assert first_difference({"files": []}, {"files": [], "new": 1}) == ("new", "null", "1")
    assert first_difference({"files": [], "old": {"a": 1}}, {"files": []}) == (
        "old",
        '{"a": 1}',
        "null",
    )


def test_a_folder_of_something_else_is_refused(score, tmp_path):
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="is not empty and not a score store"):
        score()
    assert toy.tree(tmp_path / "scores") == {"thesis.txt": b"years of work"}


def test_a_folder_without_a_manifest_is_no_store(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"not a score store: it has no manifest\.json"):
        open_store(tmp_path)


def test_a_later_format_is_refused(score):
    path = score().folder / "manifest.json"
    path.write_text(path.read_text().replace('"version": 2', '"version": 3', 1))
    with pytest.raises(ValueError, match=r"version 3; this code reads .* version 2"):
        open_store(path.parent)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def drop_a_row(path):
    path.write_bytes(sealed_bytes(read_sealed(path.read_bytes()).slice(1)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (drop_a_row, "has 7 rows, but its unit has 8"),
    ],
)
def test_a_damaged_unit_is_named_and_can_be_scored_anew(score, tmp_path, damage, message):
    store = score()
    before = toy.tree(tmp_path / "scores")
    path = tmp_path / "scores" / "en" / "a.jsonl" / "000000000008.parquet"
    damage(path)
    with pytest.raises(
        ValueError, match=rf"en/a\.jsonl/000000000008\.parquet {message}.*[Dd]elete it"
    ):
        list(store.tables(["nll"]))
    path.unlink()
    score()
    assert toy.tree(tmp_path / "scores") == before


def test_a_table_that_does_not_fit_its_unit_is_refused(score):
    store = score()
    table = store.read(store.units[0])
    for wrong in (
        table.slice(1),
        table.select(["nll"]),
        table.rename_columns(["x", *table.column_names[1:]]),
    ):
        with pytest.raises(ValueError, match=r"expected 8 rows and columns|expected 8 rows and \["):
            store.write(store.units[0], wrong)


def test_a_column_may_not_stand_twice():
    with pytest.raises(
        ValueError, match=r"columns \['n_bytes'\] would stand twice.*other --fields"
    ):
        make_manifest(
            files=[],
            source={"spec": "jsonl:x", "fields": ["n_bytes"]},
            unit_rows=1,
            scorers={},
            columns=[],
            settings={},
        )


def test_units_that_are_not_there_are_left_out(score):
    store = score(sample=0.3)
    assert len(store.missing_units()) == 6
    assert not store.is_complete
    assert [unit for unit, _ in store.tables()] == [
        u for u in store.units if u not in store.missing_units()
    ]


def test_the_path_of_a_unit_sorts_by_row(tmp_path):
    manifest = make_manifest(
        files=[SourceFile(path="a", size=1, mark="", num_rows=1)],
        source={"spec": "jsonl:x", "fields": []},
        unit_rows=1,
        scorers={},
        columns=[],
        settings={},
    )
    store = create_or_continue(tmp_path / "s", manifest)
    names = [store.path(Unit("a", row, 1)).name for row in (9, 10, 16384, 10**9)]
    assert names == sorted(names)


def test_a_file_that_was_only_touched_says_how_to_mend_it(score, corpus):
    score()
    path = next(corpus.rglob("*.jsonl"))
    os.utime(path, ns=(1, 1))
    with pytest.raises(ValueError, match=r"mark = .*touch -r"):
        score()
