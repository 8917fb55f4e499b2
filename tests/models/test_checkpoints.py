import json
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax import traverse_util

from models.checkpoints import load_model, params_digest, t5x_orbax
from models.checkpoints.optimizer_state import from_param_states, to_param_states
from models.configs import SIZES, T5Config, config_to_json
from models.optimizer import init_adafactor
from models.t5 import init_params

CONFIG = T5Config(
    vocab_size=160,
    d_model=128,
    num_heads=2,
    head_dim=8,
    d_ff=130,
    num_encoder_layers=1,
    num_decoder_layers=2,
)


@pytest.fixture(scope="module")
def params():
    return init_params(CONFIG, jax.random.key(0))


@pytest.fixture
def folder(tmp_path, params):
    """A model folder with checkpoints of steps 2 and 10, whose parameters differ."""
    folder = tmp_path / "model"
    for step, tree in ((2, jax.tree.map(jnp.zeros_like, params)), (10, params)):
        states = to_param_states(init_adafactor(tree))
        t5x_orbax.write(folder, step, tree, states, {"position": [step, 3], "note": "x"})
    return folder


def read_params(path):
    """All parameters of an Orbax checkpoint, nested."""
    stored = t5x_orbax.stored_params(path)
    return traverse_util.unflatten_dict({k: a.read() for k, a in stored.items()}, sep="/")


def assert_trees_equal(left, right):
    jax.tree.map(np.testing.assert_array_equal, left, right)


def test_what_is_written_is_read(folder, params):
    assert t5x_orbax.steps(folder) == [2, 10]
    step, params_read, param_states, data_state = t5x_orbax.read(folder)
    assert (step, data_state) == (10, {"position": [10, 3], "note": "x"})
    assert_trees_equal(params_read, params)
    assert_trees_equal(from_param_states(step, param_states).v, init_adafactor(params).v)
    assert_trees_equal(read_params(folder / "checkpoint_10"), params)
    assert not any(
        leaf.any() for leaf in jax.tree.leaves(t5x_orbax.read(folder / "checkpoint_2")[1])
    )


def test_layout_is_that_of_t5x(folder):
    metadata = json.loads((folder / "checkpoint_10/state/_METADATA").read_text())
    shapes = {
        tuple(key["key"] for key in entry["key_metadata"]): entry["value_metadata"]["write_shape"]
        for entry in metadata["tree_metadata"].values()
    }
    kernel = ("encoder", "layers_0", "mlp", "wi_0", "kernel")
    assert metadata["use_ocdbt"]
    assert shapes[("state", "step")] == []
    assert shapes[("target", *kernel)] == [128, 130]
    # t5x: a row's entry is a mean over the larger side, a column's over the smaller.
    slots = {slot: shapes[("state", "param_states", *kernel, slot)] for slot in ("m", "v")}
    assert slots == {"m": [1], "v": [1]}
    assert shapes[("state", "param_states", *kernel, "v_row")] == [128]
    assert shapes[("state", "param_states", *kernel, "v_col")] == [130]
    scale = ("decoder", "decoder_norm", "scale")
    assert shapes[("state", "param_states", *scale, "v")] == [128]
    assert shapes[("state", "param_states", *scale, "v_row")] == [1]
    assert len(shapes) == 1 + 5 * sum(path[0] == "target" for path in shapes)


def test_only_the_latest_are_kept(tmp_path):
    for step in (1, 2, 3):
        t5x_orbax.write(tmp_path, step, {"a": np.ones(3)}, {"a": {"v": np.ones(3)}}, {}, keep=2)
    assert t5x_orbax.steps(tmp_path) == [2, 3]


def test_unfinished_checkpoints_are_ignored(folder):
    unfinished = folder / "checkpoint_12.orbax-checkpoint-tmp-7"
    shutil.copytree(folder / "checkpoint_10", unfinished)
    shutil.copytree(folder / "checkpoint_10", folder / "checkpoint_11")
    (folder / "checkpoint_11/state/_METADATA").unlink()
    assert t5x_orbax.find(folder).name == "checkpoint_10"
    assert t5x_orbax.find(unfinished) is None


def test_loading_a_bare_checkpoint_infers_its_config(folder, params):
    model = load_model(folder / "checkpoint_10")
    assert model.config == CONFIG
    assert_trees_equal(model.params, params)
    assert model.name == "model/checkpoint_10"
    assert model.digest == params_digest(params) == load_model(folder, dtype="bfloat16").digest
    assert model.digest != load_model(folder / "checkpoint_2").digest


def test_digest_depends_on_name_dtype_shape_and_value():
    array = np.arange(6, dtype=np.float32)
    trees = [
        {"a": array},
        {"b": array},
        {"a": array.reshape(2, 3)},
        {"a": array.view(np.int32)},
        {"a": array + 1},
    ]
    assert len({params_digest(tree) for tree in trees}) == len(trees)
    assert params_digest({"a": array, "b": array}) == params_digest({"b": array, "a": array})


def test_loading_uses_the_config_beside(folder, params):
    values = {**config_to_json(CONFIG), "relative_attention_max_distance": 64}
    (folder / "config.json").write_text(json.dumps(values))
    model = load_model(folder, dtype="bfloat16")
    assert model.config.relative_attention_max_distance == 64
    assert model.config.dtype == "bfloat16"
    assert {leaf.dtype for leaf in jax.tree.leaves(model.params)} == {jnp.dtype("bfloat16")}


def test_leaves_that_do_not_fit_are_named(tmp_path, params):
    damaged = dict(params) | {"extra": np.ones(4)}
    damaged["token_embedder"] = {"embedding": np.ones((160, 127))}
    damaged["encoder"] = {k: v for k, v in params["encoder"].items() if k != "encoder_norm"}
    t5x_orbax.write(tmp_path, 1, damaged, {"a": {"v": np.ones(1)}}, {})
    (tmp_path / "config.json").write_text(json.dumps(config_to_json(CONFIG)))
    with pytest.raises(ValueError, match="do not fit its config") as error:
        load_model(tmp_path)
    for line in (
        "encoder/encoder_norm/scale: found nothing, expected (128,)",
        "extra: found (4,), expected nothing",
        "token_embedder/embedding: found (160, 127), expected (160, 128)",
    ):
        assert line in str(error.value)


@pytest.mark.parametrize(("ocdbt", "zarr3"), [(True, False), (False, False), (True, True)])
def test_every_way_orbax_has_of_storing_arrays(tmp_path, params, ocdbt, zarr3):
    tree = jax.tree.map(lambda array: array.astype(jnp.bfloat16), params)
    handler = ocp.PyTreeCheckpointHandler(use_ocdbt=ocdbt, use_zarr3=zarr3)
    ocp.Checkpointer(handler).save(tmp_path / "checkpoint_7" / "state", {"target": tree})
    assert (tmp_path / "checkpoint_7/state/manifest.ocdbt").exists() == ocdbt
    stored = t5x_orbax.stored_params(tmp_path)
    assert {array.dtype for array in stored.values()} == {jnp.dtype(jnp.bfloat16)}
    kernel = stored["encoder/layers_0/mlp/wi_0/kernel"]
    assert kernel.shape == (128, 130) == kernel.read().shape
    assert_trees_equal(read_params(tmp_path), tree)
    assert load_model(tmp_path).digest == params_digest(tree)


def test_incomplete_copies_are_named(tmp_path, params):
    handler = ocp.PyTreeCheckpointHandler(use_ocdbt=False)
    ocp.Checkpointer(handler).save(tmp_path / "checkpoint_7" / "state", {"target": params})
    part = tmp_path / "checkpoint_7/state/target.encoder.layers_0.mlp.wo.kernel/0.0"
    part.unlink()
    named = "array encoder/layers_0/mlp/wo/kernel of .* cannot be read; is the checkpoint whole"
    with pytest.raises(ValueError, match=named):
        load_model(tmp_path)
    shutil.rmtree(part.parent)
    with pytest.raises(ValueError, match=named):
        t5x_orbax.stored_params(tmp_path)


def test_what_cannot_be_read_says_what_can(tmp_path):
    with pytest.raises(FileNotFoundError, match="no model at"):
        load_model(tmp_path / "absent")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"found notes.txt.*Known formats: t5x's Orbax"):
        load_model(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no complete t5x Orbax checkpoint"):
        t5x_orbax.stored_params(tmp_path)
    ocp.PyTreeCheckpointer().save(tmp_path / "checkpoint_0" / "state", {"params": np.ones(3)})
    with pytest.raises(FileNotFoundError, match="has no target, found: params"):
        load_model(tmp_path)


def test_checkpoint_without_optimizer_loads_but_does_not_resume(tmp_path):
    tree = {"target": init_params(SIZES["tiny"], jax.random.key(0))}
    ocp.PyTreeCheckpointer().save(tmp_path / "checkpoint_0" / "state", tree)
    assert load_model(tmp_path).config == SIZES["tiny"]
    with pytest.raises(FileNotFoundError, match="has no state, found: target"):
        t5x_orbax.read(tmp_path)


def test_relative_paths_are_those_of_the_working_directory(folder, params, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert t5x_orbax.find("model") == folder / "checkpoint_10"
    assert t5x_orbax.steps("model") == [2, 10]
    assert t5x_orbax.read("model")[0] == 10
    assert_trees_equal(read_params("model/checkpoint_10"), params)
    t5x_orbax.write("other/model", 3, params, to_param_states(init_adafactor(params)), {})
    assert load_model("other/model").digest == load_model("model").digest
    assert load_model("model/checkpoint_10/").name == "model/checkpoint_10"


def test_urls_stay_as_they_are():
    assert os.fspath(t5x_orbax.absolute("gs://bucket/model")) == "gs://bucket/model"
