"""Pretraining tasks over text files, TFRecords and TFDS: registered once, read, counted."""

import itertools

import gin
import numpy as np
import pytest
import seqio
import tensorflow as tf
from small_corpora import text, write_texts, write_tfds, write_tfrecords

from pruning.tokenization import train_vocabulary
from seqio_tasks.pretraining import c4_task, nll, text_task
from seqio_tasks.vocabularies import open_vocabulary

LENGTHS = {"inputs": 64, "targets": 32}
FILES = (30, 20)
PIECES = 60


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "spiece.model"
    texts = [text(i, row) for i in range(20) for row in range(20)]
    return train_vocabulary(texts, path, vocab_size=PIECES).path


@pytest.fixture
def tfrecords(tmp_path):
    write_tfrecords(tmp_path / "tfrecords", FILES)
    return {"train": f"{tmp_path}/tfrecords/*.tfrecord"}


def read(name, split="train", lengths=LENGTHS, **kwargs):
    dataset = seqio.TaskRegistry.get(name).get_dataset(
        lengths, split, shuffle=False, seed=0, **kwargs
    )
    return list(dataset.as_numpy_iterator())


@pytest.mark.parametrize("objective", ["span_corruption", "prefix_lm", "causal_lm"])
def test_text_and_tfrecords_give_the_same_examples(tmp_path, vocabulary, tfrecords, objective):
    write_texts(tmp_path / "texts", FILES)
    kwargs = {"vocabulary": vocabulary, "objective": objective}
    one = text_task("one", tfrecords=tfrecords, **kwargs)
    two = text_task("two", texts={"train": f"{tmp_path}/texts/*.txt"}, **kwargs)
    for a, b in itertools.zip_longest(read(one), read(two)):
        np.testing.assert_array_equal(a["inputs"], b["inputs"])
        np.testing.assert_array_equal(a["targets"], b["targets"])
        assert a["inputs"][-1] == a["targets"][-1] == 1
        assert len(a["inputs"]) <= 64 and len(a["targets"]) <= 32


def test_causal_lm_predicts_every_document(vocabulary, tfrecords):
    name = text_task("task", tfrecords=tfrecords, vocabulary=vocabulary, objective="causal_lm")
    found = sorted(e["targets_pretokenized"].decode() for e in read(name))
    assert found == sorted(text(i, row) for i, n in enumerate(FILES) for row in range(n))


@pytest.mark.parametrize("config", ["en", "realnewslike", "webtextlike"])
def test_c4_is_read_from_tfds(tmp_path, vocabulary, config):
    write_tfds(tmp_path, {"train": (20, 30), "validation": (10,)}, name="c4")
    folder = tmp_path / f"c4/{config}/3.1.0"
    folder.parent.mkdir()
    (tmp_path / "c4/1.0.0").rename(folder)
    name = c4_task(config, vocabulary=vocabulary, objective="causal_lm")
    assert name == f"c4_{config}_causal_lm"
    seqio.set_tfds_data_dir_override(str(tmp_path))
    try:
        assert len(read(name)) == 50
        assert len(read(name, "validation")) == 10
    finally:
        seqio.set_tfds_data_dir_override(None)


def test_registering_opens_no_dataset(vocabulary):
    assert c4_task(vocabulary=vocabulary) == "c4_en_span_corruption"
    assert c4_task(vocabulary=vocabulary, objective="prefix_lm") == "c4_en_prefix_lm"


def test_the_same_again_is_fine_and_another_is_refused(vocabulary, tfrecords):
    text_task("task", tfrecords=tfrecords, vocabulary=vocabulary)
    assert text_task("task", tfrecords=tfrecords, vocabulary=vocabulary) == "task"
    with pytest.raises(
        ValueError, match="'task' is registered with objective 'span_corruption', not 'prefix_lm'"
    ):
        text_task("task", tfrecords=tfrecords, vocabulary=vocabulary, objective="prefix_lm")
    with pytest.raises(ValueError, match=r"is registered with vocabulary .*, not 'bytes'"):
        text_task("task", tfrecords=tfrecords, vocabulary="bytes")
    with pytest.raises(ValueError, match=r"is registered with reads .tfrecords:.*not .texts:"):
        text_task("task", texts={"train": "x"}, vocabulary=vocabulary)


def test_the_name_of_a_task_made_elsewhere_is_refused(vocabulary, tfrecords):
    source = seqio.TextLineDataSource({"train": "x"})
    seqio.TaskRegistry.add("taken", source=source, output_features={})
    with pytest.raises(ValueError, match="'taken' exists already, made elsewhere"):
        text_task("taken", tfrecords=tfrecords, vocabulary=vocabulary)


def test_wrong_arguments_are_refused(vocabulary):
    with pytest.raises(ValueError, match="Unknown config 'de' of C4; known are en, realnewslike"):
        c4_task("de", vocabulary=vocabulary)
    with pytest.raises(ValueError, match="Unknown objective 'mlm'; known are span_corruption"):
        c4_task(vocabulary=vocabulary, objective="mlm")
    for files in ({}, {"tfrecords": {"train": "x"}, "texts": {"train": "x"}}):
        with pytest.raises(ValueError, match=r"Give one of the two, such as tfrecords="):
            text_task("task", vocabulary=vocabulary, **files)
    with pytest.raises(FileNotFoundError, match=r"There is no vocabulary file missing\.model"):
        c4_task(vocabulary="missing.model")


def test_the_vocabulary_has_as_many_extra_ids_as_the_file_needs(vocabulary):
    opened = open_vocabulary(vocabulary)
    assert (opened.extra_ids, opened.vocab_size) == (100, PIECES + 100)
    assert isinstance(open_vocabulary("bytes"), seqio.ByteVocabulary)


def test_a_gin_file_sets_the_vocabulary_of_task_and_model(vocabulary):
    config = f"""
        from __gin__ import dynamic_registration
        import seqio
        from seqio_tasks import pretraining
        from seqio_tasks import vocabularies
        VOCABULARY_FILE = "{vocabulary}"
        vocabularies.open_vocabulary.path = %VOCABULARY_FILE
        pretraining.c4_task.vocabulary = %VOCABULARY_FILE
        seqio.get_mixture_or_task.task_or_mixture_name = @pretraining.c4_task()
        seqio.Feature.vocabulary = @vocabularies.open_vocabulary()
    """
    gin.clear_config(clear_constants=True)  # which another test may have locked
    try:
        gin.parse_config(config.replace("\n        ", "\n"))
        task = gin.get_configurable("seqio.get_mixture_or_task")()
        feature = gin.get_configurable("seqio.Feature")()
    finally:
        gin.clear_config(clear_constants=True)
    assert task.output_features["targets"].vocabulary == feature.vocabulary


def test_nll_is_per_target_token(vocabulary, tfrecords):
    assert nll([2, 3], [-1.0, -4.0]) == pytest.approx({"nll": 1.0, "perplexity": np.e})
    name = text_task("task", tfrecords=tfrecords, vocabulary=vocabulary, objective="causal_lm")
    evaluator = seqio.Evaluator(
        name, seqio.EncDecFeatureConverter(pack=False), "train", sequence_length=LENGTHS
    )

    def score(dataset, **_):
        lengths = [int(tf.math.count_nonzero(x["decoder_target_tokens"])) for _, x in dataset]
        return [(i, -2.5 * n) for i, n in enumerate(lengths)]

    metrics, _ = evaluator.evaluate(
        compute_metrics=True, predict_fn=None, score_fn=score, predict_with_aux_fn=None
    )
    assert metrics.result()[name]["nll"] == pytest.approx(2.5)
