import contextlib
import json
import os
import subprocess
import sys
import textwrap
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax import serialization, traverse_util

from models.checkpoints import (
    StoredModel,
    hugging_face,
    load_model,
    loading,
    open_model,
    params_digest,
)
from models.checkpoints.stored import StoredArray
from models.configs import T5Config, config_to_json
from models.partitioning import make_mesh
from models.t5 import init_params

CONFIG = T5Config(
    vocab_size=64,
    d_model=16,
    num_heads=2,
    head_dim=8,
    d_ff=24,
    num_encoder_layers=3,
    num_decoder_layers=2,
)
# As t5x's log_model_info writes it.
INFO_LINE = "Variable    {:<80} size {:<12} shape {:<40} partition spec {}"


@pytest.fixture(scope="module")
def params():
    return jax.tree.map(np.asarray, init_params(CONFIG, jax.random.key(0)))


@pytest.fixture
def folder(tmp_path, params):
    """A model folder as t5x leaves it."""
    state = {"target": params, "state": {"step": np.zeros(())}}
    ocp.PyTreeCheckpointer().save(tmp_path / "model" / "checkpoint_5" / "state", state)
    return tmp_path / "model"


def write_model_info(folder, params, **wrong):
    shapes = {path: array.shape for path, array in flat(params).items()} | wrong
    lines = [
        INFO_LINE.format(
            path, int(np.prod(shape)), f"({', '.join(f'embed={n}' for n in shape)})", "(None,)"
        )
        for path, shape in shapes.items()
    ]
    lines += ["Total number of parameters: 7", "", INFO_LINE.format("step", 1, "()", "()")]
    (folder / "model-info.txt").write_text("\n".join(lines) + "\n")


def flat(tree):
    return traverse_util.flatten_dict(tree, sep="/")


def test_the_digest_is_that_of_the_parameters_in_every_format(tmp_path, folder, params):
    (tmp_path / "msgpack").write_bytes(serialization.msgpack_serialize({"target": params}))
    stored = open_model(folder).params
    hugging_face.write(tmp_path / "hf", stored, CONFIG)
    digest = params_digest(params)
    for path in (folder, tmp_path / "msgpack", tmp_path / "hf"):
        for dtype in ("float32", "bfloat16"):
            model = load_model(path, dtype=dtype, mesh=make_mesh())
            assert (model.digest, model.config.dtype) == (digest, dtype)
            jax.tree.map(
                lambda ours, theirs: np.testing.assert_array_equal(ours, theirs.astype(ours.dtype)),
                model.params,
                params,
            )


def test_the_host_holds_few_arrays_at_a_time(monkeypatch, params):
    alive, most = weakref.WeakSet(), 0

    class Tracked(np.ndarray):
        def __hash__(self):
            return id(self)

    def read(array):
        nonlocal most
        copy = array.copy().view(Tracked)
        alive.add(copy)
        most = max(most, len(alive))
        return copy

    stored = {
        path: StoredArray(shape=a.shape, dtype=a.dtype, read=lambda a=a: read(a))
        for path, a in flat(params).items()
    }
    # A cast copies, so that none of these can live on as the device's.
    model = StoredModel(config=CONFIG, params=stored, name="model")
    loaded, _ = loading._to_devices(model, jnp.dtype("bfloat16"), None, loading._no_progress)
    assert len(jax.tree.leaves(loaded)) == len(stored) > 50
    assert most <= loading._READ_AHEAD + 3


def test_opening_reads_nothing(folder, monkeypatch):
    reads = []
    read = lambda store, path, source: reads.append(path)  # noqa: E731
    monkeypatch.setattr("models.checkpoints.tensorstore_arrays._read", read)
    model = open_model(folder)
    assert (model.config, model.name, reads) == (CONFIG, "model", [])
    model.params["token_embedder/embedding"].read()
    assert reads == ["token_embedder/embedding"]


def test_progress_counts_bytes_to_the_end(folder, params):
    totals, steps = [], []

    @contextlib.contextmanager
    def progress(total):
        totals.append(total)
        yield steps.append

    load_model(folder, dtype="bfloat16", progress=progress)
    sizes = [array.nbytes for array in flat(params).values()]
    assert totals == [sum(sizes)] == [sum(steps)]
    assert len(steps) == len(sizes)


def test_float16_is_refused_with_the_reason(folder):
    with pytest.raises(ValueError, match=r"float16.*65,504.*inf or NaN.*bfloat16"):
        load_model(folder, dtype="float16")


@pytest.mark.parametrize("place", ["", "checkpoint_5"])
def test_a_config_in_either_folder_is_obeyed(folder, place):
    values = {**config_to_json(CONFIG), "relative_attention_max_distance": 64}
    (folder / place / "config.json").write_text(json.dumps(values))
    assert load_model(folder).config.relative_attention_max_distance == 64
    (folder / place / "config.json").write_text(json.dumps({**values, "d_ff": 25}))
    wo = "decoder/layers_0/mlp/wo/kernel"
    with pytest.raises(ValueError, match=rf"{wo}: found \(24, 16\), expected \(25, 16\)"):
        load_model(folder)


def test_model_info_is_checked(folder, params):
    write_model_info(folder, params)
    assert load_model(folder).config == CONFIG
    scale, extra = "encoder/encoder_norm/scale", "encoder/layers_3/mlp/wo/kernel"
    write_model_info(folder, params, **{scale: (12,), extra: (2, 3)})
    with pytest.raises(ValueError, match=r"do not fit .*model-info\.txt") as error:
        load_model(folder)
    assert f"{scale}: found (16,), expected (12,)" in str(error.value)
    assert f"{extra}: found nothing, expected (2, 3)" in str(error.value)
    # Without names of axes.
    text = (folder / "model-info.txt").read_text().replace("embed=12", "16,").replace("embed=", "")
    (folder / "model-info.txt").write_text(text.replace(extra, ""))
    assert load_model(folder).config == CONFIG


def test_model_info_of_mesh_tensorflow_says_nothing(folder):
    line = (
        "Variable decoder/block_000/layer_000/rms_norm/scale  size 32  slice_size 32  Shape[d=32]"
    )
    (folder / "model-info.txt").write_text(line)
    assert load_model(folder).config == CONFIG


_ON_FOUR_DEVICES = """
    import sys
    import jax, numpy as np
    from models.checkpoints import load_model
    from models.partitioning import make_mesh

    one, four = load_model(sys.argv[1]), load_model(sys.argv[1], mesh=make_mesh(1, 4))
    assert one.digest == four.digest
    jax.tree.map(np.testing.assert_array_equal, one.params, four.params)
    embedding = four.params["token_embedder"]["embedding"]
    assert [shard.data.shape for shard in embedding.addressable_shards] == [(16, 16)] * 4
    assert len(one.params["token_embedder"]["embedding"].devices()) == 1
"""


def test_parameters_go_to_their_shards(folder):
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    environment |= {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)}
    program = [sys.executable, "-c", textwrap.dedent(_ON_FOUR_DEVICES), os.fspath(folder)]
    subprocess.run(program, check=True, env=environment)
