"""What `t5x.train` reads: the kept documents, all of them, each once an epoch, over all shards."""

import collections

import numpy as np
import pytest
import seqio
import tensorflow as tf

from pruning.keep_bits import write_selection
from seqio_tasks import open_seqio_source, pruned_mixture, pruned_task
from seqio_tasks.pretraining import text_task

# Documents a file; one file keeps nothing.
LENGTHS = (40, 30, 50, 20, 10)
EMPTY = 3


def write_corpus(folder, lengths=LENGTHS, tag=""):
    folder.mkdir()
    for i, n in enumerate(lengths):
        with tf.io.TFRecordWriter(str(folder / f"part-{i}.tfrecord")) as writer:
            for row in range(n):
                value = tf.train.BytesList(value=[document(i, row, tag).encode()])
                features = tf.train.Features(feature={"text": tf.train.Feature(bytes_list=value)})
                writer.write(tf.train.Example(features=features).SerializeToString())


def document(file, row, tag=""):
    return f"{tag}{file}.{row} " + "ab" * (row % 5)


def select(folder, task):
    """Keeps a random 40 % of each file but one, of which it keeps nothing."""
    source = open_seqio_source(f"seqio:{task}")
    rng = np.random.default_rng(0)
    files = [(f, rng.random(f.num_rows) < 0.4, {}) for f in source.files()]
    files[EMPTY][1][:] = False
    write_selection(folder, files=files, source=source.describe(), info={})
    return [[*np.flatnonzero(keep)] for _, keep, _ in files]


@pytest.fixture
def corpus(tmp_path):
    write_corpus(tmp_path / "data")
    task = text_task(
        "base",
        tfrecords={"train": f"{tmp_path}/data/*.tfrecord"},
        vocabulary="bytes",
        objective="causal_lm",
    )
    kept = select(tmp_path / "selection", task)
    return task, tmp_path / "selection", kept


def documents_of(batches):
    """Texts of all packed segments."""
    vocabulary = seqio.ByteVocabulary()
    for batch in batches:
        targets, segments = batch["decoder_target_tokens"], batch["decoder_segment_ids"]
        for row, ids in zip(targets, segments, strict=True):
            for segment in range(1, ids.max() + 1):
                yield vocabulary.decode(row[ids == segment].tolist())


def read(task, shard, num_shards, **kwargs):
    from t5x import models, utils

    config = utils.DatasetConfig(
        mixture_or_task_name=task,
        task_feature_lengths={"inputs": 16, "targets": 64},
        split="train",
        batch_size=num_shards,  # one example each: what does not fill a batch is dropped
        shuffle=True,
        seed=3,
        pack=True,
        **kwargs,
    )
    dataset = utils.get_dataset(
        config, shard, num_shards, models.EncoderDecoderModel.FEATURE_CONVERTER_CLS, num_epochs=1
    )
    return documents_of(dataset.as_numpy_iterator())


@pytest.mark.parametrize("num_shards", [1, 2])
def test_an_epoch_has_exactly_the_kept_documents(corpus, num_shards):
    base, selection, kept = corpus
    task = pruned_task(base, selection)
    shards = [list(read(task, i, num_shards)) for i in range(num_shards)]
    assert all(shards)
    found = collections.Counter(d for shard in shards for d in shard)
    expected = collections.Counter(document(i, r) for i, rows in enumerate(kept) for r in rows)
    assert found == expected
    assert seqio.TaskRegistry.get(task).num_input_examples("train") == expected.total()


def test_a_file_that_keeps_nothing_is_no_shard(corpus):
    base, selection, _ = corpus
    task = seqio.TaskRegistry.get(pruned_task(base, selection))
    assert len(task.source.list_shards("train")) == len(LENGTHS) - 1


def test_a_mixture_reads_the_kept_documents_of_both(corpus, tmp_path):
    base, selection, kept = corpus
    write_corpus(tmp_path / "other", tag="x")
    other = text_task(
        "other",
        tfrecords={"train": f"{tmp_path}/other/*.tfrecord"},
        vocabulary="bytes",
        objective="causal_lm",
    )
    kept_other = select(tmp_path / "other_selection", other)
    seqio.MixtureRegistry.add("mix", [(base, 1.0), (other, 1.0)])
    folders = {base: selection, other: tmp_path / "other_selection"}
    found = set(read(pruned_mixture("mix", folders), 0, 1))
    expected = {document(i, r) for i, rows in enumerate(kept) for r in rows} | {
        document(i, r, "x") for i, rows in enumerate(kept_other) for r in rows
    }
    # Sampling ends with the task that ends first.
    assert found <= expected and len(found) > len(expected) / 2
