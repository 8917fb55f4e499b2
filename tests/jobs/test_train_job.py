"""`prune train`: what it goes on from, and what it refuses."""

import json
import os
import pathlib
import shutil
import sys

import pytest

from models.checkpoints import load_model
from pruning.documents import SourceFile
from pruning.jobs.open_source import open_source
from pruning.jobs.reference_model import corpus_record
from pruning.jobs.train import train
from pruning.prepared_units import Preparation
from pruning.tokenization import train_vocabulary
from pruning.training_batches import TrainingBatches

SETTINGS = {
    "vocabulary": "bytes",
    "window": 32,
    "batch_rows": 2,
    "num_steps": 1,
    "dropout_rate": 0.1,
    "checkpoint_period": 2,
}


class KilledError(Exception):
    pass


def write_corpus(folder: pathlib.Path, seed: int = 0) -> str:
    folder.mkdir()
    rows = [
        {"text": f"{seed + i} times over the lazy dog, and {i} more", "title": f"dog {i} of {seed}"}
        for i in range(60)
    ]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"jsonl:{folder}/a.jsonl"


@pytest.fixture
def source(tmp_path):
    return write_corpus(tmp_path / "corpus")


@pytest.fixture
def no_steps(monkeypatch):
    """The run writes its records and then dies, before the first step."""
    from models import training

    def die(*_, **__):
        raise KilledError

    monkeypatch.setattr(training, "_restore_or_init", die)


def start(source, output, **settings):
    with pytest.raises(KilledError):
        train(source, str(output), **{**SETTINGS, **settings})


def test_a_run_in_a_relative_folder_goes_on_to_the_same_bits(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(source, "whole", **{**SETTINGS, "num_steps": 4})
    train(source, "demo/model", **{**SETTINGS, "num_steps": 2})
    train(source, "demo/model", **{**SETTINGS, "num_steps": 4})
    assert load_model("demo/model").digest == load_model("whole/checkpoint_4").digest
    monkeypatch.chdir("demo/model")
    assert load_model(".").name == "model"


def test_progress_goes_on_where_the_run_stopped(source, tmp_path, monkeypatch):
    import contextlib

    from pruning import progress as module

    bars = []

    @contextlib.contextmanager
    def progress(what, total, unit, done=0):
        bars.append([done, total, 0])

        def advance(n, **_):
            bars[-1][2] += n

        yield advance

    monkeypatch.setattr(module, "progress", progress)
    for num_steps in (2, 3):
        train(source, str(tmp_path / "model"), **{**SETTINGS, "num_steps": num_steps})
    assert bars == [[0, 2, 2], [2, 3, 1]]


def test_a_resume_on_another_corpus_is_refused_with_both_values(source, tmp_path, no_steps):
    output = tmp_path / "model"
    start(source, output)
    start(source, output)
    file = tmp_path / "corpus/a.jsonl"
    for settings, message in (
        ({"text_field": "title"}, "source.text_field: the folder has 'text', .* for 'title'"),
        ({"source": f"text:{file}"}, "source.kind: the folder has 'jsonl', .* for 'text'"),
        ({"max_document_bytes": 99}, "max_document_bytes: the folder has 1000000, .* 99"),
        ({"row_length": 64}, "row.encoder_length: the folder has 32, .* 64"),
        ({"hold_steps": 5}, "settings.learning_rate.hold_steps: the folder has 10000, .* 5"),
        ({"linear_warmup_steps": 7}, "linear_warmup_steps: the folder has 0, .* 7"),
    ):
        with pytest.raises(ValueError, match=message):
            train(**{"source": source, **SETTINGS, "output": str(output), **settings})
    # Bytes of the same number, written later.
    os.utime(file, ns=(1, 1))
    with pytest.raises(ValueError, match=r"files.a.jsonl.mark: the folder has '\d+', .* '1'"):
        train(source, str(output), **SETTINGS)


def test_the_same_corpus_elsewhere_is_the_same_run(source, tmp_path, no_steps):
    start(source, tmp_path / "model")
    shutil.copytree(tmp_path / "corpus", tmp_path / "moved")
    start(f"jsonl:{tmp_path}/moved/*.jsonl", tmp_path / "model")


def test_the_record_has_all_of_every_file(source):
    whole = SourceFile(path="a", size=9, mark="m", num_rows=9)
    part = SourceFile(path="a", size=9, mark="m", num_rows=9, first_row=3, end_row=5)
    how = Preparation(source=open_source(source))
    records = [corpus_record(how, [file], unit_rows=4) for file in (whole, part)]
    assert records[0]["files"]["a"] == {
        "size": 9,
        "mark": "m",
        "num_rows": 9,
        "first_row": 0,
        "end_row": None,
    }
    assert records[0] != records[1]
    assert records[0]["source"] == {
        "kind": "jsonl",
        "text_field": "text",
        "fields": [],
        "split": "train",
    }


def test_what_can_be_refused_is_before_a_vocabulary_is_trained(source, tmp_path, monkeypatch):
    from pruning.jobs import reference_model

    monkeypatch.setattr(reference_model, "train_vocabulary", lambda *_, **__: sys.exit("trained"))
    output = str(tmp_path / "model")
    for settings, error, message in (
        ({"window": 4096}, ValueError, "sentinels"),
        ({"window": 3}, ValueError, "window is 3"),
        ({"size": "huge"}, ValueError, "Unknown model size 'huge'"),
        ({"objective": "other"}, ValueError, "Unknown objective 'other'"),
        ({"row_length": 8}, ValueError, "row_length 8 is shorter"),
        ({"dtype": "int8"}, ValueError, "dtype is 'int8'"),
        ({"hold_steps": 0}, ValueError, "hold_steps is 0"),
        ({"batch_rows": 0}, ValueError, "--batch_rows is 0; it must be at least 1"),
        ({"num_steps": 0}, ValueError, "--num_steps is 0; it must be at least 1"),
        ({"where": str(tmp_path / "nowhere")}, FileNotFoundError, "nowhere"),
        ({"max_document_bytes": 3}, ValueError, "nothing to train on.*--where"),
    ):
        with pytest.raises(error, match=message):
            train(source, output, **{**SETTINGS, "vocabulary": None, **settings})
    assert not os.path.exists(output)


TRAINED = {"vocabulary": None, "vocabulary_size": 60}


def test_a_vocabulary_of_other_documents_is_not_taken_over(source, tmp_path, no_steps):
    output = tmp_path / "model"
    start(source, output, **TRAINED)
    (output / "training.json").unlink()  # as if the first attempt had died before it
    before = (output / "spiece.model").read_bytes()
    start(source, output, **TRAINED)
    (output / "training.json").unlink()
    for settings, message in (
        ({"text_field": "title"}, "source.text_field: the folder has 'text', .* 'title'"),
        ({"vocabulary_size": 55}, "vocabulary_size: the folder has 60, .* 55"),
        ({"source": write_corpus(tmp_path / "other", seed=100)}, r"files.a.jsonl.mark: the folder"),
    ):
        with pytest.raises(ValueError, match=rf"vocabulary\.json is from(?s:.*){message}"):
            train(**{"source": source, "output": str(output), **SETTINGS, **TRAINED, **settings})
    assert (output / "spiece.model").read_bytes() == before


def test_a_run_killed_within_its_vocabulary_leaves_nothing_in_the_way(
    source, tmp_path, no_steps, monkeypatch
):
    from pruning.jobs import reference_model

    def killed(*_, **__):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(reference_model, "train_vocabulary", killed)
        start(source, tmp_path / "model", **TRAINED)
    start(source, tmp_path / "model", **TRAINED, text_field="title")
    record = json.loads((tmp_path / "model/vocabulary.json").read_text())
    assert record["source"]["text_field"] == "title"


def test_a_given_vocabulary_is_not_taken_for_a_trained_one(source, tmp_path, no_steps):
    start(source, tmp_path / "first", **TRAINED)
    given = str(tmp_path / "first/spiece.model")
    start(source, tmp_path / "model", vocabulary=given)
    start(source, tmp_path / "model", vocabulary=given)
    with pytest.raises(ValueError, match=r"not trained by this command.*--vocabulary"):
        train(source, str(tmp_path / "model"), **{**SETTINGS, **TRAINED})
    start(source, tmp_path / "second", **TRAINED, text_field="title")
    with pytest.raises(ValueError, match="differs from --vocabulary"):
        train(source, str(tmp_path / "second"), **{**SETTINGS, "vocabulary": given})


def test_a_file_that_is_no_vocabulary_is_not_copied(source, tmp_path):
    (tmp_path / "broken.model").write_bytes(b"broken")
    with pytest.raises(ValueError, match="not a SentencePiece model"):
        train(
            source,
            str(tmp_path / "model"),
            **{**SETTINGS, "vocabulary": str(tmp_path / "broken.model")},
        )
    assert not (tmp_path / "model").exists()


def test_an_exchanged_vocabulary_is_refused_on_resume(source, tmp_path):
    output = tmp_path / "model"
    train(source, str(output), **{**SETTINGS, **TRAINED})
    digest = json.loads((output / "training.json").read_text())["recipe"]["vocabulary_digest"]
    train_vocabulary(["another corpus of other words"] * 9, output / "spiece.model", vocab_size=30)
    with pytest.raises(ValueError, match=f"has digest (?!{digest}).* was trained with {digest}"):
        train(source, str(output), **{**SETTINGS, **TRAINED, "num_steps": 2})


def test_batches_are_closed_when_training_fails(source, tmp_path, no_steps, monkeypatch):
    closed = []
    monkeypatch.setattr(TrainingBatches, "close", lambda self: closed.append(self))
    start(source, tmp_path / "model")
    assert len(closed) == 1
