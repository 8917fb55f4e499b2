"""Exports of other formats: whole, pruned, stopped and read by pruned tasks."""

import json

import numpy as np
import pytest
import tensorflow as tf
from toy import tree

from pruning.hashing import text_hash
from pruning.jobs import export as export_job
from pruning.keep_bits import write_selection
from pruning.sources.jsonl import JsonlSource
from pruning.sources.text import TextSource

LENGTHS = (30, 20, 1)


@pytest.fixture
def source(tmp_path):
    for i, n in enumerate(LENGTHS):
        path = tmp_path / f"data/en/part-{i}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"text": f"text {i} {r} \u00e9", "url": f"u{r}"}) for r in range(n)]
        if i == 0:
            lines[4] = "{broken"
            lines[7] = json.dumps({"text": "no url"})
        path.write_text("\n".join(lines) + "\n")
    return JsonlSource([f"{tmp_path}/data/**/*.jsonl"], fields=("url",))


def read(path):
    examples = [
        tf.train.Example.FromString(r.numpy()).features.feature
        for r in tf.data.TFRecordDataset(str(path))
    ]
    return [{k: v.bytes_list.value[0].decode() for k, v in e.items()} for e in examples]


def select(source, folder, kept=None):
    files = []
    for i, file in enumerate(source.files()):
        documents = list(source.read(file.path, 0, file.num_rows))
        hashes = {r: text_hash(documents[r].text) for r in (0, 1) if r < file.num_rows}
        keep_N = np.arange(file.num_rows) % 3 == 1 if kept is None else np.array(kept[i], bool)
        files.append((file, keep_N, hashes))
    return write_selection(folder, files=files, source=source.describe(), info={})


def test_a_whole_export_has_every_row(tmp_path, source):
    result = export_job.export_source(source, tmp_path / "out")
    assert [f.path for f in result.files] == [f"en/part-{i}.jsonl.tfrecord" for i in range(3)]
    assert [f.num_records for f in result.files] == list(LENGTHS)
    records = read(tmp_path / "out/en/part-0.jsonl.tfrecord")
    assert records[3] == {"text": "text 0 3 é", "url": "u3"}
    assert records[4] == {"text": "", "url": ""}
    assert records[7] == {"text": "no url", "url": ""}
    assert result.counts == {"broken_json": 1}
    assert "51 records in 3 files. Without text: broken_json 1." in export_job.summary(result)
    assert sorted(p.name for p in (tmp_path / "out").rglob("*") if p.is_file()) == [
        "export.json",
        *(f"part-{i}.jsonl.tfrecord" for i in range(3)),
    ]


def test_a_pruned_export_has_what_is_kept(tmp_path, source):
    selection = select(source, tmp_path / "selection")
    result = export_job.export_source(source, tmp_path / "out", selection=selection)
    assert result.selection_digest == selection.digest
    texts = [r["text"] for r in read(tmp_path / "out/en/part-1.jsonl.tfrecord")]
    assert texts == [f"text 1 {r} é" for r in range(1, 20, 3)]
    assert result.files[2].path is None  # nothing kept, no file
    assert not (tmp_path / "out/en/part-2.jsonl.tfrecord").exists()


def test_a_stopped_export_goes_on(tmp_path, source, monkeypatch, capsys):
    whole = export_job.export_source(source, tmp_path / "whole")
    read_rows, opened = source.read, []

    def stops(path, first_row, num_rows):
        opened.append(path)
        if len(opened) == 2:
            raise KeyboardInterrupt
        return read_rows(path, first_row, num_rows)

    monkeypatch.setattr(source, "read", stops)
    with pytest.raises(KeyboardInterrupt):
        export_job.export_source(source, tmp_path / "out")
    assert not (tmp_path / "out/export.json").exists()
    assert not list((tmp_path / "out").rglob("*part-1.jsonl.tfrecord"))
    result = export_job.export_source(source, tmp_path / "out")
    assert opened == [f"en/part-{i}.jsonl" for i in (0, 1, 1, 2)]
    assert result.files == whole.files
    assert result.counts == whole.counts
    for file in whole.files:
        one, other = (tmp_path / folder / file.path for folder in ("whole", "out"))
        assert one.read_bytes() == other.read_bytes()
    again = export_job.export_source(source, tmp_path / "out")
    assert again == result
    assert len(opened) == 4
    assert "has this export already" in capsys.readouterr().out


def test_other_settings_are_refused(tmp_path, source):
    export_job.export_source(source, tmp_path / "out")
    selection = select(source, tmp_path / "selection")
    with pytest.raises(
        ValueError, match=f'out holds .* selection = null, this run has "{selection.digest}'
    ):
        export_job.export_source(source, tmp_path / "out", selection=selection)
    pattern = f"{tmp_path}/data/**/*.jsonl"
    with pytest.raises(ValueError, match=r'fields = \["url"\], .* has \[\]. Give another --output'):
        export_job.export_source(JsonlSource([pattern]), tmp_path / "out")
    with pytest.raises(ValueError, match=r'source.kind = "jsonl", this run has "text"'):
        export_job.export_source(TextSource([pattern]), tmp_path / "out")
    path = tmp_path / "data/en/part-2.jsonl"
    size = path.stat().st_size
    path.write_text(path.read_text() * 2)
    with pytest.raises(
        ValueError, match=f"file en/part-2.jsonl: size = {size}, this run has {2 * size}"
    ):
        export_job.export_source(source, tmp_path / "out")


def test_another_text_in_a_guard_row_is_refused(tmp_path, source):
    selection = select(source, tmp_path / "selection")
    path = tmp_path / "data/en/part-1.jsonl"
    path.write_text(path.read_text().replace("text 1 0", "tixt 1 0"))
    with pytest.raises(ValueError, match=r"Row 0 of en/part-1.jsonl has another text"):
        export_job.export_source(source, tmp_path / "out", selection=selection)
    assert not list((tmp_path / "out").rglob("*part-1*"))  # nothing half-written stays


def one_more_row(data):
    path = data / "en/part-1.jsonl"
    path.write_text(path.read_text() + "{}\n")


def one_more_file(data):
    (data / "en/part-9.jsonl").write_text("{}\n")


def one_file_less(data):
    (data / "en/part-1.jsonl").unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (one_more_row, r"part-1.jsonl has .* \(\d+, 21\) in the source and \(\d+, 20\) in the"),
        (one_more_file, r"part-9.jsonl has .* \(3, 1\) in the source and None in the selection"),
        (one_file_less, r"part-1.jsonl has .* None in the source and \(\d+, 20\) in the sel"),
    ],
)
def test_a_selection_of_other_files_is_refused_before_anything_is_written(
    tmp_path, source, change, message
):
    selection = select(source, tmp_path / "selection")
    change(tmp_path / "data")
    now = JsonlSource([f"{tmp_path}/data/**/*.jsonl"], fields=("url",))
    with pytest.raises(ValueError, match=message):
        export_job.export_source(now, tmp_path / "out", selection=selection)
    assert not (tmp_path / "out").exists()


def test_a_field_that_would_replace_the_text_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"body": "the body", "text": "a title"}) + "\n")
    spec, out = f"jsonl:{tmp_path}/a.jsonl", str(tmp_path / "out")
    with pytest.raises(ValueError, match=r"'text'.* text of 'body'.*Leave 'text' out of --fields"):
        export_job.export(spec, out, text_field="body", fields=["text"])
    assert not (tmp_path / "out").exists()
    export_job.export(spec, out, text_field="text", fields=["body"])
    assert read(tmp_path / "out/a.jsonl.tfrecord") == [{"text": "a title", "body": "the body"}]


def test_two_exporters_at_once_and_what_the_dead_left(tmp_path, source, monkeypatch):
    whole = export_job.export_source(source, tmp_path / "whole")
    out = tmp_path / "out"
    (out / "en").mkdir(parents=True)
    for name in ("en/.part-0.jsonl.tfrecord.0123abcd", ".export.json.0123abcd"):
        (out / name).write_bytes(b"left by one that was killed")
    read_rows, in_the_making = source.read, []

    def while_another_runs(path, first_row, num_rows):
        documents = read_rows(path, first_row, num_rows)
        yield next(documents)
        if path.endswith("part-1.jsonl"):
            in_the_making.append(len(list((out / "en").glob(".part-1.jsonl.tfrecord*"))))
            if len(in_the_making) == 1:
                export_job.export_source(source, out)
        yield from documents

    monkeypatch.setattr(source, "read", while_another_runs)
    assert export_job.export_source(source, out).files == whole.files
    assert in_the_making == [1, 2]
    assert tree(out).keys() == tree(tmp_path / "whole").keys()
    for file in whole.files:
        assert (out / file.path).read_bytes() == (tmp_path / "whole" / file.path).read_bytes()


def test_the_job_opens_the_source_and_says_what_it_wrote(tmp_path, source, capsys):
    spec = f"jsonl:{tmp_path}/data/**/*.jsonl"
    folder = export_job.export(spec, str(tmp_path / "out"), fields=["url"])
    assert folder == str(tmp_path / "out")
    assert "51 records in 3 files" in capsys.readouterr().out


def test_a_folder_of_something_else_is_refused(tmp_path, source):
    (tmp_path / "selection").mkdir()
    (tmp_path / "selection" / "selection.json").write_text("{}")
    with pytest.raises(ValueError, match="selection is not empty and not an export"):
        export_job.export_source(source, tmp_path / "selection")
    assert [p.name for p in (tmp_path / "selection").iterdir()] == ["selection.json"]
