"""TFRecord exports are read by TFDS and by seqio, byte for byte."""

import importlib
import json

import pytest
import seqio
import tensorflow as tf
import tensorflow_datasets as tfds
from small_corpora import make_selection, write_texts

from pruning.exported import read_export
from pruning.jobs import run_job
from pruning.jobs.export import export, export_source
from pruning.sources.jsonl import JsonlSource

TEXTS = ("one\ntwo\r\n\u2028", "\0 naïve 東京 🦜", "", " \t", "x" * 30_000)
LENGTHS = (12, 30, 7)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "c4").mkdir()
    for i, n in enumerate(LENGTHS):
        rows = [{"text": f"{TEXTS[r % 5]} {i} {r}", "url": f"u{i}/{r}"} for r in range(n)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"c4/c4-train.{i:05}-of-00003.json").write_text(lines)
    return JsonlSource([f"{tmp_path}/c4/*.json"], fields=("url",))


@pytest.fixture(params=[False, True], ids=["whole", "kept"])
def exported(request, tmp_path, source):
    """The folder, and what must come back."""
    keep = None
    if request.param:
        selection = make_selection(source, tmp_path / "selection")
        keep = {f.path: selection.keep(f.path) for f in source.files()}
        keep[source.files()[2].path][:] = False
        selection = make_selection(source, tmp_path / "one_file_less", keep=keep)
    export_source(source, tmp_path / "out", selection=selection if keep else None)
    expected = [
        (d.text, d.fields["url"].encode())
        for f in source.files()
        for d in source.read(f.path, 0, f.num_rows)
        if keep is None or keep[f.path][d.row]
    ]
    return tmp_path / "out", expected


def test_tfds(exported):
    folder, expected = exported
    files = read_export(folder / "export.json").files
    features = tfds.features.FeaturesDict(
        {"text": tfds.features.Text(), "url": tfds.features.Text()}
    )
    names = tfds.core.ShardedFileTemplate(
        data_dir=folder,
        template="{DATASET}-{SPLIT}.{SHARD_X_OF_Y}.json.{FILEFORMAT}",
        dataset_name="c4",
        split="train",
        filetype_suffix="tfrecord",
    )
    split = tfds.core.SplitInfo(
        name="train",
        shard_lengths=[f.num_records for f in files],
        num_bytes=sum(f.size for f in files),
        filename_template=names,
    )
    tfds.folder_dataset.write_metadata(
        data_dir=folder, features=features, split_infos=[split], filename_template=names
    )
    builder = tfds.builder_from_directory(str(folder))
    assert builder.info.splits["train"].num_examples == len(expected)
    ds = builder.as_dataset(split="train", shuffle_files=False)
    found = [(x["text"], x["url"]) for x in ds.as_numpy_iterator()]
    assert sorted(found) == sorted(expected)


def test_seqio(exported):
    folder, expected = exported
    description = dict.fromkeys(("text", "url"), tf.io.FixedLenFeature([], tf.string))
    seqio.TaskRegistry.add(
        "exported",
        source=seqio.TFExampleDataSource(
            split_to_filepattern={"train": f"{folder}/*.tfrecord"}, feature_description=description
        ),
        preprocessors=[],
        output_features={},
    )
    ds = seqio.TaskRegistry.get("exported").source.get_dataset("train", shuffle=False)
    found = [(x["text"], x["url"]) for x in ds.as_numpy_iterator()]
    assert sorted(found) == sorted(expected)


def test_workers_import_the_module_that_registers_the_task(tmp_path, monkeypatch):
    write_texts(tmp_path / "texts", (9, 16, 3))
    (tmp_path / "my_exported_tasks.py").write_text(
        "import seqio\n"
        f"source = seqio.TextLineDataSource({{'train': '{tmp_path}/texts/*.txt'}})\n"
        "seqio.TaskRegistry.add('lines', source=source, preprocessors=[], output_features={})\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(run_job, "imported_modules", ["my_exported_tasks"])
    importlib.import_module("my_exported_tasks")
    for processes in (1, 2):
        export("seqio:lines", f"out{processes}", processes=processes)
    assert len(tree(tmp_path / "out1")) == 4
    assert tree(tmp_path / "out1") == tree(tmp_path / "out2")


def tree(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
