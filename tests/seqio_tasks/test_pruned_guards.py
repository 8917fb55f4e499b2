"""What is refused: other corpora, changed files, changed selections, other tasks."""

import json
import os

import numpy as np
import pytest
import seqio
import tensorflow as tf
from small_corpora import (
    add_text_task,
    example,
    feature_description,
    make_selection,
    read_texts,
    text,
    write_texts,
    write_tfds,
    write_tfrecord,
    write_tfrecords,
)

from seqio_tasks import open_seqio_source, pruned_task

LENGTHS = (40, 60, 50)


@pytest.fixture
def lines(tmp_path):
    write_texts(tmp_path / "data", LENGTHS)
    return add_text_task("lines", seqio.TextLineDataSource({"train": f"{tmp_path}/data/*.txt"}))


@pytest.fixture
def records(tmp_path):
    write_tfrecords(tmp_path / "data", LENGTHS)
    pattern = {"train": f"{tmp_path}/data/*.tfrecord"}
    return add_text_task("records", seqio.TFExampleDataSource(pattern, feature_description()))


def select(tmp_path, base, name="selection", share=0.5):
    return make_selection(open_seqio_source(f"seqio:{base}"), tmp_path / name, share).folder


def edit(path, old, new):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def test_a_longer_file_is_refused(tmp_path, lines):
    pruned = pruned_task(lines, select(tmp_path, lines))
    path = tmp_path / "data/part-001.txt"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"one more\n")
    with pytest.raises(ValueError, match=f"part-001.txt has {size + 9:,} bytes, expected {size:,}"):
        read_texts(pruned)


def test_a_same_size_edit_at_the_beginning_is_refused(tmp_path, records):
    pruned = pruned_task(records, select(tmp_path, records))
    rows = [example(text=text(2, r), url=f"u{r}") for r in range(50)]
    rows[3] = example(text=text(2, 3).replace("document", "dokument"), url="u3")
    write_tfrecord(tmp_path / "data/part-002.tfrecord", rows)
    with pytest.raises(ValueError, match=r"row 3 of .*part-002.tfrecord has text hash -?\d+, exp"):
        read_texts(pruned)


def test_only_the_files_of_this_reader_are_checked(tmp_path, lines):
    pruned = pruned_task(lines, select(tmp_path, lines))
    edit(tmp_path / "data/part-001.txt", b"document 0", b"dokument 0")
    source = seqio.TaskRegistry.get(pruned).source
    source.get_dataset("train", shard_info=seqio.ShardInfo(0, 3))
    with pytest.raises(ValueError, match="part-001"):
        source.get_dataset("train", shard_info=seqio.ShardInfo(1, 3))


def test_a_same_size_file_with_fewer_rows_is_refused_when_it_is_read(tmp_path, lines):
    pruned = pruned_task(lines, select(tmp_path, lines))
    last_but_one = text(1, 57).encode()
    edit(tmp_path / "data/part-001.txt", last_but_one + b"\n", last_but_one + b" ")
    with pytest.raises(tf.errors.OpError, match="expected to contain 60 elements"):
        read_texts(pruned)


def test_a_same_size_file_with_more_rows_is_refused_when_it_is_read(tmp_path, lines):
    pruned = pruned_task(lines, select(tmp_path, lines))
    edit(tmp_path / "data/part-001.txt", b"document 59", b"document\n59")
    with pytest.raises(tf.errors.OpError, match="expected to contain 60 elements"):
        read_texts(pruned)


def test_a_missing_file_is_refused(tmp_path, lines):
    folder = select(tmp_path, lines)
    patterns = [f"{tmp_path}/data/part-00{i}.txt" for i in range(3)]
    add_text_task("named", seqio.TextLineDataSource({"train": patterns}))
    pruned = pruned_task("named", folder)
    (tmp_path / "data/part-001.txt").unlink()
    with pytest.raises(ValueError, match=r"part-001.txt does not exist"):
        read_texts(pruned)


def test_a_file_that_the_selection_does_not_know_is_refused(tmp_path, lines):
    pruned = pruned_task(lines, select(tmp_path, lines))
    (tmp_path / "data/part-003.txt").write_text("new\n")
    seqio.utils._list_files_for_glob.cache_clear()
    with pytest.raises(ValueError, match=r"has no file 'part-003.txt'.*\(1 of 4 files"):
        read_texts(pruned)


def test_a_tfds_version_with_another_count_is_refused(tmp_path):
    name = write_tfds(tmp_path / "data", {"train": LENGTHS})
    base = add_text_task("base", seqio.TfdsDataSource(name, str(tmp_path / "data")))
    pruned = pruned_task(base, select(tmp_path, base))
    info = tmp_path / "data/tiny/1.0.0/dataset_info.json"
    content = json.loads(info.read_text())
    content["splits"][0]["shardLengths"][1] = "61"
    info.write_text(json.dumps(content))
    seqio.utils.LazyTfdsLoader._MEMOIZED_BUILDERS.clear()
    with pytest.raises(ValueError, match="has 61 records, expected 60"):
        read_texts(pruned)


def test_a_selection_on_another_corpus_is_refused(tmp_path, lines, records):
    pruned = pruned_task(lines, select(tmp_path, records))
    with pytest.raises(ValueError, match=r"has no file 'part-000.txt'.*'seqio:records'"):
        read_texts(pruned)


def test_changed_keep_bits_are_refused(tmp_path, lines):
    folder = select(tmp_path, lines)
    pruned = pruned_task(lines, folder)
    read_texts(pruned)
    bits = folder / "part-001.txt.bits"
    bits.write_bytes(bytes(255 - b for b in bits.read_bytes()))
    with pytest.raises(ValueError, match=r"part-001.txt.bits have digest"):
        read_texts(pruned)


@pytest.mark.parametrize("name", [None, "my_name"])
def test_a_selection_exchanged_since_it_was_used_is_refused(tmp_path, lines, name):
    folder = select(tmp_path, lines)
    pruned = pruned_task(lines, folder, name=name)
    if name:
        read_texts(pruned)  # with a name of its own, this is the first look
    os.rename(folder, tmp_path / "old")
    select(tmp_path, lines, share=0.7)
    with pytest.raises(ValueError, match=r"had digest \w{12} when it was first used, and has"):
        read_texts(pruned)


def test_keep_bits_cut_short_after_the_dataset_was_built_fail(tmp_path, lines):
    folder = select(tmp_path, lines)
    source = seqio.TaskRegistry.get(pruned_task(lines, folder)).source
    dataset = source.get_dataset("train", shuffle=False)
    (folder / "part-001.txt.bits").write_bytes(b"\xff")
    with pytest.raises(tf.errors.InvalidArgumentError):
        list(dataset.as_numpy_iterator())


def test_a_part_that_keeps_nothing_is_refused(tmp_path):
    name = write_tfds(tmp_path / "data", {"train": (20, 20)})
    data_dir = str(tmp_path / "data")
    base = add_text_task(
        "base", seqio.TfdsDataSource(name, data_dir, splits={"train": "train[:5]"})
    )
    whole = open_seqio_source(f"tfds:{name}", data_dir=data_dir)
    keep = {f.path: np.arange(20) >= 5 for f in whole.files()}
    make_selection(whole, tmp_path / "selection", keep=keep)
    pruned = pruned_task(base, tmp_path / "selection")
    with pytest.raises(ValueError, match="keeps nothing of split 'train'"):
        read_texts(pruned)


def test_a_function_has_no_stable_rows(tmp_path):
    source = seqio.FunctionDataSource(
        lambda split, shuffle_files: tf.data.Dataset.range(3), splits=["train"]
    )
    add_text_task("function", source)
    with pytest.raises(ValueError, match=r"'function' reads a FunctionDataSource.*prune export"):
        pruned_task("function", tmp_path)
    with pytest.raises(ValueError, match="FunctionDataSource"):
        open_seqio_source("seqio:function")


def test_a_mixture_and_a_pruned_task_are_no_base(tmp_path, lines):
    seqio.MixtureRegistry.add("mix", [lines], default_rate=1)
    with pytest.raises(ValueError, match="'mix' is a mixture, of lines"):
        pruned_task("mix", tmp_path)
    folder = select(tmp_path, lines)
    pruned = pruned_task(lines, folder)
    with pytest.raises(ValueError, match="is already pruned"):
        pruned_task(pruned, folder)


def test_gzip_lines_are_refused(tmp_path):
    (tmp_path / "a.txt.gz").write_bytes(b"")
    add_text_task("gz", seqio.TextLineDataSource({"train": f"{tmp_path}/*.gz"}))
    with pytest.raises(ValueError, match=r"a.txt.gz.*prune export"):
        open_seqio_source("seqio:gz")
