"""`open_source`: specs, what describes a source, and messages for those who mistype."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pruning.sources import (
    KINDS,
    JsonlSource,
    ParquetSource,
    PythonDocsSource,
    TextSource,
    open_source,
    spec_kind,
)


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_bytes(b"one\ntwo\n")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"three"))
    (tmp_path / "a.jsonl").write_bytes(b'{"body": "one", "url": "u"}\n')
    pq.write_table(pa.table({"body": ["one"], "url": ["u"]}), tmp_path / "a.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("spec", "options", "kind"),
    [
        ("text:a.txt", {}, TextSource),
        ("text:*.txt, b.txt.gz", {}, TextSource),
        ("jsonl:a.jsonl", {"text_field": "body", "fields": ["url"]}, JsonlSource),
        ("parquet:*.parquet", {"text_field": "body", "fields": ["url"]}, ParquetSource),
        ("python_docs:", {}, PythonDocsSource),
        ("python_docs:max_documents=3,seed=5", {"fields": ["domain"]}, PythonDocsSource),
    ],
)
def test_what_describes_a_source_opens_it_again_from_anywhere(
    corpus, monkeypatch, tmp_path_factory, spec, options, kind
):
    source = open_source(spec, **options)
    files = source.files()
    documents = [d for f in files for d in source.read(f.path, 0, min(f.num_rows, 3))]
    assert isinstance(source, kind)
    assert documents

    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    again = open_source(**source.describe())
    assert again.describe() == source.describe()
    assert again.files() == files
    assert [d for f in files for d in again.read(f.path, 0, min(f.num_rows, 3))] == documents


def test_the_description_does_not_depend_on_the_order_of_patterns(corpus):
    assert (
        open_source("text:a.txt,b.txt.gz").describe()
        == open_source("text:b.txt.gz,a.txt").describe()
    )


def test_kinds():
    assert [spec_kind(f"{kind}:rest:of it") for kind in KINDS] == list(KINDS)
    assert spec_kind("python_docs:") == "python_docs"


@pytest.mark.parametrize(
    ("spec", "meant"),
    [
        ("/d/a.jsonl", "jsonl:/d/a.jsonl"),
        ("/d/*.jsonl.gz", "jsonl:/d/*.jsonl.gz"),
        ("d/a.parquet", "parquet:d/a.parquet"),
        ("a.txt", "text:a.txt"),
        ("gs://bucket/a.jsonl", "jsonl:gs://bucket/a.jsonl"),
    ],
)
def test_a_plain_path_is_told_what_to_write(spec, meant):
    with pytest.raises(ValueError, match="Did you mean ") as error:
        open_source(spec)
    assert f"Did you mean {meant}?" in str(error.value)


@pytest.mark.parametrize("spec", ["csv:a.csv", "/d/a.csv", "", ":", "JSONL:a"])
def test_an_unknown_kind_lists_the_known_ones(spec):
    with pytest.raises(ValueError, match="does not say what kind of source") as error:
        open_source(spec)
    assert all(f"{kind}:" in str(error.value) for kind in KINDS)
    assert "Did you mean" not in str(error.value)


@pytest.mark.parametrize("spec", ["tfds:c4/en:3.0.1", "seqio:my_task"])
def test_kinds_that_need_tensorflow_say_so(spec):
    with pytest.raises(ValueError, match="needs TensorFlow: open it through `seqio_tasks`"):
        open_source(spec)


@pytest.mark.parametrize("spec", ["jsonl:", "text: , ,"])
def test_a_spec_without_files_is_refused(spec):
    with pytest.raises(ValueError, match="names no file"):
        open_source(spec)


def test_a_split_is_refused(corpus):
    with pytest.raises(ValueError, match="text: has no splits, and split 'validation'"):
        open_source("text:a.txt", split="validation")


def test_a_comma_in_a_folder_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "a,b"
    folder.mkdir()
    (folder / "x.txt").write_bytes(b"x")
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match="holds a comma"):
        open_source("text:x.txt")


@pytest.mark.parametrize("setting", ["damge=0.1", "damage=much", "seed=1.5", "damage"])
def test_an_option_of_the_embedded_corpus_that_is_none(setting):
    with pytest.raises(
        ValueError, match=f"cannot take '{setting}'.*damage, duplicates, near_duplicates, seed"
    ):
        open_source(f"python_docs:{setting}")


def test_the_embedded_corpus_has_one_text_field():
    with pytest.raises(ValueError, match="its text in 'text', not in 'body'"):
        open_source("python_docs:", text_field="body")
