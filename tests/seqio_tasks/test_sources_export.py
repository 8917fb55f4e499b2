"""`export:DIR`: a whole export stands for the files that it was written from."""

import json

import pytest
import tensorflow as tf
from small_corpora import make_selection, write_tfds, write_tfrecord

from pruning.jobs.export import export_source
from pruning.jobs.make_selection import select
from pruning.jobs.open_source import open_source
from pruning.jobs.score import score
from pruning.keep_bits import read_selection
from pruning.sources.jsonl import JsonlSource
from pruning.verification import verify_selection

LENGTHS = (30, 20, 0)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "data/en").mkdir(parents=True)
    for i, n in enumerate(LENGTHS):
        lines = [json.dumps({"body": f"text {i} {r}", "url": f"u{r}"}) + "\n" for r in range(n)]
        lines[2:3] = ["{broken\n"] if n else []
        (tmp_path / f"data/en/part-{i}.jsonl").write_text("".join(lines))
    return JsonlSource([f"{tmp_path}/data/**/*.jsonl"], text_field="body", fields=("url",))


@pytest.fixture
def out(tmp_path, source):
    export_source(source, tmp_path / "out")
    return tmp_path / "out"


def rows(source):
    return {f.path: list(source.read(f.path, 0, f.num_rows)) for f in source.files()}


def test_it_has_the_files_and_rows_of_the_original(source, out):
    opened = open_source(f"export:{out}", fields=("url",))
    assert list(opened.files()) == source.files()
    found, expected = rows(opened), rows(source)
    assert found.keys() == expected.keys()
    for path, documents in expected.items():
        assert [d.text for d in found[path]] == [d.text or b"" for d in documents]
        assert [d.row for d in found[path]] == [*range(len(documents))]
    assert found["en/part-0.jsonl"][7].fields == {"url": "u7"}
    assert [d.row for d in opened.read("en/part-0.jsonl", 12, 2)] == [12, 13]


def test_it_opens_again_from_what_it_says_of_itself(tmp_path, source, out, monkeypatch):
    monkeypatch.chdir(tmp_path)
    opened = open_source("export:out", fields=("url",))
    monkeypatch.chdir("/")
    again = open_source(**opened.describe())
    assert again.describe() == opened.describe()
    assert rows(again) == rows(opened)


def test_rows_outside_the_exported_part_of_a_split(tmp_path):
    name = write_tfds(tmp_path, {"train": (9, 9)})
    part = open_source(f"tfds:{name}", split="train[4:12]", data_dir=str(tmp_path))
    export_source(part, tmp_path / "out")
    opened = open_source(f"export:{tmp_path}/out")
    assert opened.files() == part.files()
    assert rows(opened) == rows(part)


def test_verification_finds_an_edit_of_the_same_size(tmp_path, source, out):
    score(["random"], source.describe()["spec"], str(tmp_path / "scores"), text_field="body")
    select(str(tmp_path / "scores"), str(tmp_path / "selection"), keep="low", fraction=0.5)
    selection = read_selection(tmp_path / "selection")
    assert verify_selection(selection, open_source(f"export:{out}")).num_different == 0
    path = out / "en/part-1.jsonl.tfrecord"
    size = path.stat().st_size
    records = [r.numpy() for r in tf.data.TFRecordDataset(str(path))]
    write_tfrecord(path, [r.replace(b"text 1 15", b"tixt 1 15") for r in records])
    assert path.stat().st_size == size
    found = verify_selection(selection, open_source(f"export:{out}"))
    assert found.num_different == 1
    assert "en/part-1.jsonl, rows 0 to 19: the digest" in found.differences[0]


def test_a_damaged_record_is_an_error_that_names_the_file(out):
    path = out / "en/part-1.jsonl.tfrecord"
    path.write_bytes(path.read_bytes().replace(b"text 1 15", b"tixt 1 15"))
    opened = open_source(f"export:{out}")
    with pytest.raises(ValueError, match=r"part-1.jsonl.tfrecord is damaged at row 15: the rec"):
        list(opened.read("en/part-1.jsonl", 0, 20))


def test_changed_and_missing_exported_files_are_refused(out):
    path = out / "en/part-1.jsonl.tfrecord"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"part-1.*has {size - 1:,} bytes, expected {size:,}"):
        open_source(f"export:{out}").files()
    path.unlink()
    with pytest.raises(ValueError, match=r"part-1.jsonl.tfrecord does not exist.*Export again"):
        open_source(f"export:{out}").files()


def test_what_is_no_whole_export_is_refused(tmp_path, source, out):
    selection = make_selection(source, tmp_path / "selection")
    export_source(source, tmp_path / "pruned", selection=selection)
    with pytest.raises(ValueError, match=f"pruned, by a .* digest {selection.digest[:12]}"):
        open_source(f"export:{tmp_path}/pruned")
    with pytest.raises(FileNotFoundError, match=r"has no export.json.*`prune export"):
        open_source(f"export:{out}/en")


@pytest.mark.parametrize(
    ("name", "exported", "other"),
    [("text_field", "'body'", "title"), ("split", "'train'", "test"), ("data_dir", "None", "x")],
)
def test_other_options_than_those_of_the_export_are_refused(out, name, exported, other):
    with pytest.raises(ValueError, match=rf"exported with {name} {exported}, and {name} '{other}'"):
        open_source(f"export:{out}", **{name: other})


def test_the_description_of_the_original_opens_its_export(source, out):
    described = source.describe() | {"spec": f"export:{out}"}
    assert open_source(**described).files() == source.files()
