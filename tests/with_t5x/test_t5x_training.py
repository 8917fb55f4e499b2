"""`t5x.train` on a pruned task: stopped and continued; and checkpoints that both sides read."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest
import seqio
from test_documents_seen import corpus as corpus  # a fixture

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
VOCABULARY_FILE = "bytes"
VOCABULARY_ROWS = 384
BASE = "base"
TASK_FEATURE_LENGTHS = {"inputs": 16, "targets": 16}
BATCH_SIZE = 2
train/utils.DatasetConfig.pack = False
train.train_eval_dataset_cfg = None
utils.SaveCheckpointConfig.period = 2
network.T5Config.num_encoder_layers = 1
network.T5Config.num_decoder_layers = 1
""".strip().splitlines()


@pytest.fixture
def train(corpus, tmp_path, run_as_script):
    """Runs t5x.train in this process, and returns the last step and state."""
    from test_gin_files import parse

    def run(folder, steps, bindings=()):
        import gin

        gin.clear_config(clear_constants=True)
        module = run_as_script("train")
        configurable = gin.external_configurable(module.train, module="t5x.train")
        gin.external_configurable(other_vocabulary)
        where = [f'SELECTION = "{tmp_path}/selection"', f'MODEL_DIR = "{tmp_path}/{folder}"']
        parse(FILES, [*SMALL, *where, f"TRAIN_STEPS = {steps}", *bindings])
        return configurable()

    return run


def other_vocabulary():
    return seqio.ByteVocabulary(extra_ids=9)


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
