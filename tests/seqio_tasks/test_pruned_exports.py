"""A selection made on JSON Lines prunes a task over their export; and a text task over it."""

import dataclasses
import functools
import json

import numpy as np
import pytest
import seqio
from small_corpora import VOCABULARY, make_selection, read_texts

from pruning.exported import read_export
from pruning.jobs.export import export_source
from pruning.sources.jsonl import JsonlSource
from seqio_tasks import pretraining, pruned_task

text_task = functools.partial(pretraining.text_task, objective="causal_lm")


@pytest.fixture
def source(tmp_path):
    for i, n in enumerate((30, 20)):
        path = tmp_path / f"data/en/part-{i}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"content": f"text {i} {r}"}) for r in range(n)]
        lines[2] = "{broken"
        path.write_text("\n".join(lines) + "\n")
    return JsonlSource([f"{tmp_path}/data/**/*.jsonl"], text_field="content")


@pytest.fixture
def task(tmp_path, source):
    export_source(source, tmp_path / "out")
    return text_task(
        "exported", tfrecords={"train": f"{tmp_path}/out/en/*.tfrecord"}, vocabulary=VOCABULARY
    )


def test_a_text_task_reads_an_export(task):
    texts = read_texts(task)
    assert sorted(texts) == sorted(
        ["", ""] + [f"text {i} {r}" for i, n in enumerate((30, 20)) for r in range(n) if r != 2]
    )
    ds = seqio.get_dataset(task, {"inputs": 8, "targets": 8}, seqio.EncDecFeatureConverter())
    first = next(ds.as_numpy_iterator())
    assert VOCABULARY.decode(first["decoder_target_tokens"].tolist()).startswith("text ")


def test_rows_are_mapped_through_the_export(tmp_path, source, task):
    selection = make_selection(source, tmp_path / "selection")
    pruned = pruned_task(task, selection.folder)
    expected = [
        f"text {i} {r}"
        for i, name in enumerate(("en/part-0.jsonl", "en/part-1.jsonl"))
        for r in np.flatnonzero(selection.keep(name))
    ]
    assert sorted(read_texts(pruned)) == sorted(expected)
    assert seqio.TaskRegistry.get(pruned).num_input_examples("train") == len(expected)


def test_relative_paths(tmp_path, source, monkeypatch):
    selection = make_selection(source, tmp_path / "selection")
    monkeypatch.chdir(tmp_path)
    export_source(source, "out")
    task = text_task("exported", tfrecords={"train": "out/en/*.tfrecord"}, vocabulary=VOCABULARY)
    assert len(read_texts(pruned_task(task, "selection"))) == selection.num_kept


def test_an_export_of_another_state_of_the_source_is_refused(tmp_path, source, task):
    path = tmp_path / "data/en/part-1.jsonl"
    path.write_text(path.read_text() + '{"content": "one more"}\n')
    pruned = pruned_task(task, make_selection(source, tmp_path / "selection").folder)
    with pytest.raises(ValueError, match=r"exported from 'en/part-1.jsonl' .* 20 rows.* 21 rows"):
        read_texts(pruned)


def test_texts_of_the_export_are_compared(tmp_path, source, task):
    path = tmp_path / "data/en/part-1.jsonl"
    path.write_text(path.read_text().replace("text 1 3", "tixt 1 3"))
    pruned = pruned_task(task, make_selection(source, tmp_path / "selection").folder)
    with pytest.raises(ValueError, match=r"row 3 of .*part-1.jsonl.tfrecord has text hash"):
        read_texts(pruned)


def test_a_changed_exported_file_is_refused(tmp_path, source, task):
    pruned = pruned_task(task, make_selection(source, tmp_path / "selection").folder)
    path = tmp_path / "out/en/part-1.jsonl.tfrecord"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"part-1.jsonl.tfrecord has [\d,]+ bytes, expected"):
        read_texts(pruned)


def test_a_pruned_export_is_refused(tmp_path, source):
    selection = make_selection(source, tmp_path / "selection")
    export_source(source, tmp_path / "out", selection=selection)
    task = text_task(
        "exported", tfrecords={"train": f"{tmp_path}/out/en/*.tfrecord"}, vocabulary=VOCABULARY
    )
    pruned = pruned_task(task, selection.folder)
    with pytest.raises(ValueError, match="was exported already pruned"):
        read_texts(pruned)


def test_files_beside_the_export_and_other_sources_are_refused(tmp_path, source, task):
    selection = make_selection(source, tmp_path / "selection")
    pruned = pruned_task(task, selection.folder)
    (tmp_path / "out/en/stray.tfrecord").write_bytes(b"")
    seqio.utils._list_files_for_glob.cache_clear()
    with pytest.raises(ValueError, match=r"stray.tfrecord is neither in selection .* nor in"):
        read_texts(pruned)
    (tmp_path / "out/en/stray.tfrecord").unlink()
    seqio.utils._list_files_for_glob.cache_clear()
    other = JsonlSource([f"{tmp_path}/data/en/*.jsonl"], text_field="content")
    pruned = pruned_task(task, make_selection(other, tmp_path / "other").folder, "other")
    with pytest.raises(ValueError, match=r"exported from 'en/part-0.jsonl', which selection"):
        read_texts(pruned)


def test_an_export_of_another_format_is_refused(tmp_path, source):
    result = export_source(source, tmp_path / "out")
    assert read_export(tmp_path / "out/export.json") == result
    content = dataclasses.replace(result).to_json().replace('"version": 2', '"version": 3')
    (tmp_path / "out/export.json").write_text(content)
    with pytest.raises(ValueError, match="has format 't5x-pruning export' version 3"):
        read_export(tmp_path / "out/export.json")
