"""`t5x.train` on a pruned task: stopped and continued; and checkpoints that both sides read."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest
import seqio
from test_documents_seen import corpus as corpus  # a fixture
from test_documents_seen import document, select, write_corpus

from models.checkpoints import t5x_orbax
from models.checkpoints.optimizer_state import to_param_states
from models.configs import named_config
from models.optimizer import init_adafactor
from models.t5 import init_params

FILES = [
    "gin/models/tiny.gin",
    "gin/pretrain/recipe.gin",
    "gin/pretrain/pruned_task.gin",
]
SMALL = """
from __gin__ import dynamic_registration
import __main__ as train_script
from t5x import utils
from t5x.examples.t5 import network

VOCABULARY_FILE = "bytes"
VOCABULARY_ROWS = 384
BASE = "base"
TASK_FEATURE_LENGTHS = {"inputs": 16, "targets": 16}
BATCH_SIZE = 2
train/utils.DatasetConfig.pack = False
train_script.train.train_eval_dataset_cfg = None
utils.SaveCheckpointConfig.period = 2
network.T5Config.num_encoder_layers = 1
network.T5Config.num_decoder_layers = 1
"""


@pytest.fixture
def train(corpus, tmp_path, run_as_script):
    """Runs t5x.train in this process, and returns the last step and state."""
    from test_gin_files import parse

    def run(folder, steps, bindings=(), files=FILES):
        import gin

        gin.clear_config(clear_constants=True)
        module = run_as_script("train")
        (tmp_path / "small.gin").write_text(SMALL)
        where = [f'SELECTION = "{tmp_path}/selection"', f'MODEL_DIR = "{tmp_path}/{folder}"']
        steps = f"TRAIN_STEPS = {steps}"
        parse([*files, str(tmp_path / "small.gin")], [*where, steps, *bindings])
        return gin.get_configurable(module.train)()

    return run


@pytest.fixture
def trained_on(monkeypatch):
    """The documents of all batches that `t5x.train` trains on, as they come."""
    from t5x import trainer

    documents, whole = [], trainer.BaseTrainer.train
    vocabulary = seqio.ByteVocabulary()

    def note(batch):
        documents.extend(vocabulary.decode(row) for row in batch["decoder_target_tokens"].tolist())
        return batch

    def noting(self, batch_iter, num_steps, start_step=None):
        return whole(self, map(note, batch_iter), num_steps, start_step)

    monkeypatch.setattr(trainer.BaseTrainer, "train", noting)
    return documents


def arrays(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def test_a_run_that_stops_goes_on_to_the_same_parameters(train, tmp_path):
    _, whole = train("run", 4)
    # As if it had been killed between step 2 and step 4.
    shutil.rmtree(tmp_path / "run/checkpoint_4")
    step, continued = train("run", 4)
    assert step == 4
    for a, b in zip(arrays(whole.params), arrays(continued.params), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (tmp_path / "run/checkpoint_2/dataset").is_dir()
    # And what t5x wrote is read on our side.
    stored = t5x_orbax.stored_params(tmp_path / "run/checkpoint_4")
    assert len(stored) == len(arrays(continued.params))


def test_t5x_restores_parameters_and_optimizer_of_our_trainer(train, tmp_path):
    config = dataclasses.replace(
        named_config("tiny"), vocab_size=384, num_encoder_layers=1, num_decoder_layers=1
    )
    params = init_params(config, jax.random.key(1))
    optimizer = init_adafactor(params)
    optimizer = optimizer._replace(v=jax.tree.map(lambda v: v + 0.25, optimizer.v))
    t5x_orbax.write(tmp_path / "ours", 7, params, to_param_states(optimizer), {"unit": 0})
    restore = [
        f'utils.RestoreCheckpointConfig.path = "{tmp_path}/ours/checkpoint_7"',
        'utils.RestoreCheckpointConfig.mode = "specific"',
        # t5x would look for its own data in that checkpoint.
        "utils.SaveCheckpointConfig.save_dataset = False",
    ]
    step, state = train("theirs", 7, restore)
    assert step == 7
    restored = state.state_dict()
    expected = {"target": params, "param_states": to_param_states(optimizer)}
    found = {"target": restored["target"], "param_states": restored["state"]["param_states"]}
    jax.tree.map(np.testing.assert_array_equal, found, jax.tree.map(np.asarray, expected))


def test_a_mixture_of_two_pruned_tasks_trains(train, corpus, trained_on, tmp_path, caplog):
    from seqio_tasks.pretraining import text_task

    _, selection, kept = corpus
    write_corpus(tmp_path / "other", tag="x")
    files = {"train": f"{tmp_path}/other/*.tfrecord"}
    text_task("other", tfrecords=files, vocabulary="bytes", objective="causal_lm")
    kept_other = select(tmp_path / "other_selection", "other")
    seqio.MixtureRegistry.add("mix", [("base", 1.0), ("other", 1.0)])
    selections = {"base": str(selection), "other": f"{tmp_path}/other_selection"}
    caplog.set_level("INFO", logger="absl")
    train(
        "mixed",
        20,
        ['BASE = "mix"', f"SELECTIONS = {selections}", "utils.SaveCheckpointConfig.period = 20"],
        files=[*FILES[:2], "gin/pretrain/pruned_mixture.gin"],
    )
    of_both = [
        {document(i, r, tag) for i, rows in enumerate(of_task) for r in rows}
        for tag, of_task in (("", kept), ("x", kept_other))
    ]
    assert set(trained_on) <= of_both[0] | of_both[1]
    assert all(set(trained_on) & of_task for of_task in of_both)
    assert "Mixture mix.base." in caplog.text


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        (['BASE = "bose"'], r"No task 'bose' is registered\. Import .* such as base"),
        (['SELECTION = "nowhere"'], r"nowhere is not a selection: it has no selection\.json"),
        (["VOCABULARY_ROWS = 128"], r"has 259 ids, and the model's table 128 rows\. Set network"),
        (
            ["VOCABULARY = @other_vocabulary()"],
            r"The inputs of .* have the voc.* Give both one file",
        ),
        (
            ['TASK_FEATURE_LENGTHS = {"inputs": 64, "targets": 9}', 'BASE = "spans"'],
            r"targets of up to 14, but their length is 9\. Set TASK_FEATURE_LENGTHS",
        ),
    ],
    ids=["base", "selection", "rows", "vocabulary", "lengths"],
)
def test_what_does_not_fit_is_said_before_anything_is_compiled(
    train, tmp_path, monkeypatch, bindings, message
):
    from t5x import trainer

    from seqio_tasks.pretraining import text_task

    monkeypatch.setattr(trainer.Trainer, "compile_train", None)
    files = {"train": f"{tmp_path}/data/*.tfrecord"}
    text_task("spans", tfrecords=files, vocabulary="bytes")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        train("run", 4, bindings)


def test_another_version_of_the_corpus_is_refused(train, tmp_path, monkeypatch):
    from t5x import trainer

    monkeypatch.setattr(trainer.Trainer, "compile_train", None)
    path = tmp_path / "data/part-0.tfrecord"
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(ValueError, match=r"was made on another corpus .* score and select again"):
        train("run", 4)
