"""Which documents a pruned task gives, and in which order."""

import collections
import itertools

import numpy as np
import pytest
import seqio
import tensorflow as tf
from small_corpora import (
    UNEVEN,
    add_text_task,
    feature_description,
    kept_texts,
    make_selection,
    read_texts,
    write_texts,
    write_tfds,
    write_tfrecords,
)

from seqio_tasks import open_seqio_source, pruned_task

KINDS = ("tfds", "tfrecord", "tfrecord_by_function", "lines", "lines_by_function")


def add_base(kind, folder, lengths=UNEVEN, name="base", **kwargs):
    if kind == "tfds":
        tfds_name = write_tfds(folder, {"train": lengths, "validation": (7, 3)})
        return add_text_task(name, seqio.TfdsDataSource(tfds_name, str(folder)))
    if kind.startswith("tfrecord"):
        write_tfrecords(folder, lengths)
        pattern = {"train": f"{folder}/*.tfrecord"}
        if kind == "tfrecord":
            source = seqio.TFExampleDataSource(pattern, feature_description(), **kwargs)
        else:
            source = seqio.FileDataSource(
                lambda path: tf.data.TFRecordDataset(path).map(
                    lambda r: tf.io.parse_single_example(r, feature_description())
                ),
                pattern,
                **kwargs,
            )
        return add_text_task(name, source)
    write_texts(folder, lengths)
    pattern = {"train": f"{folder}/*.txt"}
    if kind == "lines":
        return add_text_task(name, seqio.TextLineDataSource(pattern, **kwargs))
    return add_text_task(name, seqio.FileDataSource(tf.data.TextLineDataset, pattern, **kwargs))


def prune(tmp_path, share=0.4, base="base"):
    source = open_seqio_source(f"seqio:{base}")
    selection = make_selection(source, tmp_path / "selection", share)
    return pruned_task(base, selection.folder), kept_texts(source, selection)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_order_is_the_base_order_without_the_dropped(tmp_path, kind, shuffle):
    base = add_base(kind, tmp_path / "data")
    pruned, kept = prune(tmp_path)
    # The task's own shuffle would hide the order of reading.
    read = [
        seqio.TaskRegistry.get(name).source.get_dataset("train", shuffle=shuffle, seed=3)
        for name in (base, pruned)
    ]
    in_base, in_pruned = (
        [(x["text"] if isinstance(x, dict) else x).decode() for x in ds.as_numpy_iterator()]
        for ds in read
    )
    assert in_pruned == [t for t in in_base if t in set(kept)]
    assert sorted(in_pruned) == sorted(kept)


@pytest.mark.parametrize(("cycle", "block"), [(1, 16), (3, 1), (3, 2), (16, 5), (2, 1000)])
def test_order_holds_for_any_interleave(tmp_path, cycle, block):
    base = add_base("tfrecord", tmp_path / "data", cycle_length=cycle, block_length=block)
    pruned, kept = prune(tmp_path)
    assert read_texts(pruned) == [t for t in read_texts(base) if t in set(kept)]


def test_everything_kept_is_the_base(tmp_path):
    base = add_base("tfds", tmp_path / "data")
    pruned, kept = prune(tmp_path, share=1.1)
    assert len(kept) == sum(UNEVEN)
    assert read_texts(pruned) == read_texts(base)


@pytest.mark.parametrize(
    ("num_shards", "shuffle", "epochs", "kind"),
    [
        (1, False, 1, "tfds"),
        (2, True, 2, "tfds"),
        (3, False, 2, "tfds"),
        (5, True, 1, "tfds"),
        (16, True, 2, "tfds"),  # more readers than files
        (5, False, 1, "tfrecord_by_function"),
        (3, True, 2, "lines"),
    ],
)
def test_shards_together_give_every_kept_document_once_an_epoch(
    tmp_path, num_shards, shuffle, epochs, kind
):
    add_base(kind, tmp_path / "data", UNEVEN[:6])
    pruned, kept = prune(tmp_path)
    read = collections.Counter()
    for index in range(num_shards):
        shard = seqio.ShardInfo(index, num_shards)
        read.update(
            read_texts(pruned, shard_info=shard, shuffle=shuffle, num_epochs=epochs, seed=5)
        )
    assert read == collections.Counter(dict.fromkeys(kept, epochs))


def test_each_epoch_of_an_endless_dataset_is_every_kept_document_once(tmp_path):
    add_base("tfds", tmp_path / "data", UNEVEN[:6])
    pruned, kept = prune(tmp_path)
    source = seqio.TaskRegistry.get(pruned).source
    ds = source.get_dataset("train", shuffle=True, seed=1).repeat().take(3 * len(kept))
    read = [x["text"].decode() for x in ds.as_numpy_iterator()]
    epochs = [read[i * len(kept) : (i + 1) * len(kept)] for i in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [sorted(kept)] * 3
    assert epochs[0] != epochs[1]


def test_files_that_keep_nothing_are_left_out(tmp_path):
    add_base("lines", tmp_path / "data", (20, 30, 40))
    source = open_seqio_source("seqio:base")
    keep = {"part-001.txt": np.arange(30) == 29}
    make_selection(source, tmp_path / "selection", keep=keep)
    pruned = pruned_task("base", tmp_path / "selection")
    task = seqio.TaskRegistry.get(pruned)
    assert task.source.list_shards("train") == [str(tmp_path / "data/part-001.txt")]
    (tmp_path / "data/part-000.txt").unlink()  # nothing would be read from it
    seqio.utils._list_files_for_glob.cache_clear()
    assert read_texts(pruned) == ["document 29 of file 1, x"]


def test_num_input_examples_is_the_kept_count(tmp_path):
    add_base("tfds", tmp_path / "data", UNEVEN[:6])
    pruned, kept = prune(tmp_path)
    task = seqio.TaskRegistry.get(pruned)
    assert task.num_input_examples("train") == len(kept)
    assert task.num_input_examples("validation") == 10


def test_other_splits_are_the_base(tmp_path):
    base = add_base("tfds", tmp_path / "data", UNEVEN[:6])
    pruned, _ = prune(tmp_path)
    task = seqio.TaskRegistry.get(pruned)
    assert set(task.splits) == {"train", "validation"}
    assert task.source.list_shards("validation") == seqio.TaskRegistry.get(base).source.list_shards(
        "validation"
    )
    for shards in (1, 2, 5):
        for i in range(shards):
            kwargs = {"dataset_split": "validation", "shard_info": seqio.ShardInfo(i, shards)}
            assert read_texts(pruned, **kwargs) == read_texts(base, **kwargs)


def test_the_split_to_prune_can_be_another(tmp_path):
    base = add_base("tfds", tmp_path / "data", UNEVEN[:6])
    source = open_seqio_source("seqio:base", split="validation")
    keep = {source.files()[0].path: np.arange(7) == 2}
    make_selection(source, tmp_path / "selection", keep=keep)
    pruned = pruned_task(base, tmp_path / "selection", split="validation")
    assert read_texts(pruned, dataset_split="validation") == ["document 2 of file 0, xx"]
    assert read_texts(pruned) == read_texts(base)


@pytest.mark.parametrize("part", ["train[:50%]", "train[21:23]", "train[25%:]+train[:10]"])
def test_parts_of_a_split(tmp_path, part):
    name = write_tfds(tmp_path / "data", {"train": UNEVEN[:8]})
    whole = open_seqio_source(f"tfds:{name}", data_dir=str(tmp_path / "data"))
    selection = make_selection(whole, tmp_path / "selection")
    kept = set(kept_texts(whole, selection))
    data_dir = str(tmp_path / "data")
    base = add_text_task("base", seqio.TfdsDataSource(name, data_dir, splits={"train": part}))
    pruned = pruned_task(base, selection.folder)
    in_base = read_texts(base)
    expected = [t for t in in_base if t in kept]
    assert 0 < len(in_base) < sum(UNEVEN[:8])
    assert read_texts(pruned) == expected
    assert seqio.TaskRegistry.get(pruned).num_input_examples("train") == len(expected)
    shards = [read_texts(pruned, shard_info=seqio.ShardInfo(i, 2)) for i in range(2)]
    assert sorted(itertools.chain(*shards)) == sorted(expected)


def test_header_lines_are_no_documents(tmp_path):
    base = add_base("lines", tmp_path / "data", UNEVEN[:6], skip_header_lines=1)
    source = open_seqio_source("seqio:base")
    first = list(source.read("part-000.txt", 0, 2))
    assert [d.reason for d in first] == ["outside_split", None]
    pruned, kept = prune(tmp_path)
    assert not any("document 0 " in t for t in kept)
    assert sorted(read_texts(pruned)) == sorted(kept)
    assert seqio.TaskRegistry.get(pruned).num_input_examples("train") == len(kept)
    assert read_texts(base)[:2] == ["document 1 of file 0, x", "document 2 of file 0, xx"]


def test_carriage_returns_do_not_shift_rows(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"zero\rstill zero\r\n\n\xff two\r\r\nthree")
    add_text_task("base", seqio.TextLineDataSource({"train": f"{folder}/*.txt"}))
    source = open_seqio_source("seqio:base")
    assert [d.text for d in source.read("a.txt", 0, 4)] == [
        b"zero\rstill zero\r",
        b"",
        b"\xff two\r\r",
        b"three",
    ]
    make_selection(source, tmp_path / "s", keep={"a.txt": np.array([True, False, False, True])})
    pruned = pruned_task("base", tmp_path / "s")
    assert read_texts(pruned) == ["zerostill zero", "three"]  # TensorFlow drops \r


@pytest.mark.parametrize("in_memory", [True, False])
def test_an_iterator_is_saved_and_restored_in_mid_epoch(tmp_path, in_memory):
    add_base("tfds", tmp_path / "data", UNEVEN)
    pruned, kept = prune(tmp_path)

    def dataset():
        task = seqio.get_mixture_or_task(pruned)
        return task.get_dataset(
            None, shuffle=True, seed=7, num_epochs=2, try_in_mem_cache=in_memory
        ).map(lambda x: x["targets_pretokenized"])

    iterator = iter(dataset())
    for _ in range(len(kept) // 2):
        next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).save(str(tmp_path / "checkpoint"))
    rest = [t.numpy() for t in iterator]
    restored = iter(dataset())
    tf.train.Checkpoint(iterator=restored).restore(path).assert_consumed()
    assert [t.numpy() for t in restored] == rest
    assert len(rest) == 2 * len(kept) - len(kept) // 2
