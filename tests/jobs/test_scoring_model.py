"""What `prune score` opens: row shapes, and a model with the vocabulary it was trained with."""

import json
import shutil
import types
from unittest import mock

import numpy as np
import pytest

from pruning.jobs.reference_model import find_or_train_vocabulary
from pruning.jobs.scoring_model import _check_spans, open_scoring_model, row_shape
from pruning.jobs.train import train
from pruning.manifests import first_difference
from pruning.packing import RowShape, fill_rows
from pruning.scorers.el2n import EL2N
from pruning.scorers.memorization import Memorization
from pruning.scorers.perplexity import Perplexity
from pruning.text_objectives import make_objective
from pruning.tokenization import ByteVocabulary, open_vocabulary, train_vocabulary

TEXTS = [f"{i} times over the lazy dog, and {i * i} more" for i in range(60)]


@pytest.mark.parametrize(
    ("objective", "row_length", "expected"),
    [
        ("causal_lm", None, (16, 512)),
        ("causal_lm", 1024, (32, 1024)),
        ("causal_lm", 513, (17, 513)),
        ("prefix_lm", 700, (700, 700)),
        ("span_corruption", 1024, (1024, 228)),
        ("span_corruption", 513, (513, 115)),
    ],
)
def test_row_length_is_the_longer_side(objective, row_length, expected):
    goal = make_objective(objective, ByteVocabulary(), 512)
    assert row_shape(goal, row_length) == RowShape(*expected)


@pytest.mark.parametrize("objective", ["causal_lm", "span_corruption"])
def test_a_row_shorter_than_a_window_is_refused(objective):
    goal = make_objective(objective, ByteVocabulary(), 512)
    with pytest.raises(ValueError, match=r"row_length 511 is shorter than a window of 512"):
        row_shape(goal, 511)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    rows = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    (folder / "a.jsonl").write_text(rows)
    train(
        f"jsonl:{folder}/a.jsonl",
        str(folder / "model"),
        vocabulary_size=60,
        window=32,
        batch_rows=2,
        num_steps=1,
    )
    return folder / "model"


@pytest.fixture
def model(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "model")


def open_model(path, **settings):
    nothing = dict.fromkeys(("vocabulary", "objective", "window", "row_length", "batch_rows"))
    return open_scoring_model(
        [str(path)], [Perplexity()], **{**nothing, "dtype": "float32", **settings}
    )


def test_a_relative_model_opens_with_what_it_was_trained_with(model, monkeypatch):
    monkeypatch.chdir(model.parent)
    by_folder, by_checkpoint = open_model("model"), open_model("model/checkpoint_1")
    assert by_folder.objective.window == by_checkpoint.objective.window == 32
    assert by_folder.digest == by_checkpoint.digest
    assert len(by_folder.vocabulary.encode(TEXTS)) == len(TEXTS)


def test_an_exchanged_vocabulary_is_refused_with_both_digests(model):
    digest = open_model(model).vocabulary.digest
    other = train_vocabulary(TEXTS[:30], model / "spiece.model", vocab_size=55)
    message = f"has digest {other.digest}, but model .* was trained with {digest}"
    with pytest.raises(ValueError, match=message):
        open_model(model)
    with pytest.raises(ValueError, match=f"bytes has digest bytes, .* trained with {digest}"):
        open_model(model, vocabulary="bytes")


def test_another_epsilon_is_another_model_for_the_store(model):
    before = {"files": [], **open_model(model).describe()}
    assert first_difference(before, {"files": [], **open_model(model).describe()}) is None
    file = model / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "layer_norm_epsilon": 1e-5, "dropout_rate": 0.5}))
    after = {"files": [], **open_model(model).describe()}
    assert first_difference(before, after) == ("model.config.layer_norm_epsilon", "1e-06", "1e-05")
    assert "dropout_rate" not in after["model"]["config"]


def test_a_vocabulary_much_smaller_than_the_table_is_refused(model):
    (model / "training.json").unlink()  # which would tell by its digest
    open_model(model)
    (model / "tokenizer_config.json").write_text('{"extra_ids": 0}')
    message = r"has \d\d ids, but model .* has a table of 256; .*multiple of 128"
    with pytest.raises(ValueError, match=message):
        open_model(model)


def test_a_copied_vocabulary_keeps_its_number_of_sentinels(model, tmp_path):
    (model / "tokenizer_config.json").write_text('{"extra_ids": 300}')
    given = open_vocabulary(str(model / "spiece.model"))
    for _ in range(2):  # a run that goes on copies again
        copied, name = find_or_train_vocabulary(
            str(tmp_path / "copy"), given.path, how=None, units=[], trained_on={}
        )
        assert (copied.num_sentinels, copied.digest) == (300, given.digest)
    assert open_vocabulary(str(tmp_path / "copy" / name)).digest == given.digest


def test_several_models_run_together_and_differ_from_each(model, tmp_path):
    other = shutil.copytree(model, tmp_path / "other")
    both = open_models([str(model), str(other)])
    one = open_models([str(model)])
    assert both.digest == f"{one.digest}+{one.digest}"
    batch = some_batch(one)
    for name, value_BT in one.token_statistics(batch).items():
        np.testing.assert_allclose(both.token_statistics(batch)[name], value_BT, rtol=1e-5)


def test_models_of_other_shapes_do_not_run_together(model, tmp_path):
    other = shutil.copytree(model, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "layer_norm_epsilon": 1e-5}))
    with pytest.raises(ValueError, match=r"they have one shape; .*model has .* and .*other has"):
        open_models([str(model), str(other)])


def test_only_losses_are_averaged(model):
    with pytest.raises(ValueError, match="2 models are given; only perplexity and el2n average"):
        open_models([str(model)] * 2, [Memorization()])


@pytest.mark.parametrize(
    ("scorer", "settings", "message"),
    [
        (
            Memorization(),
            {"objective": "causal_lm"},
            r"--objective causal_lm says what is predicted",
        ),
        (Perplexity(), {"window": 3}, "window is 3"),
        (Perplexity(), {"vocabulary": "bytes"}, "digest bytes"),
    ],
)
def test_what_can_be_refused_is_before_a_parameter_is_read(model, scorer, settings, message):
    with (
        mock.patch("models.checkpoints.load_model", side_effect=AssertionError("it was read")),
        pytest.raises(ValueError, match=message),
    ):
        open_models([str(model)], [scorer], **settings)


def open_models(paths, scorers=None, **settings):
    nothing = dict.fromkeys(("vocabulary", "objective", "window", "row_length", "batch_rows"))
    scorers = scorers or [Perplexity(), EL2N()]
    return open_scoring_model(paths, scorers, **{**nothing, "dtype": "float32", **settings})


def some_batch(opened):
    (tokens,) = opened.vocabulary.encode([TEXTS[3]])
    examples = opened.objective.examples(tokens, 0, {})
    return fill_rows(examples, opened.shape).batches(opened.batch_rows)[0]


def test_several_models_do_not_span_processes():
    mesh = types.SimpleNamespace(is_multi_process=True, shape={"data": 1, "model": 16})
    _check_spans(mesh, ["one"])
    with pytest.raises(ValueError, match=r"2 models .* one process only, .* --model_devices 16"):
        _check_spans(mesh, ["one", "two"])
