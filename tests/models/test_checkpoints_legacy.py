import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorstore as ts
from flax import serialization, traverse_util

from models.checkpoints import load_model, params_digest, t5x_legacy, t5x_orbax
from models.checkpoints.optimizer_state import to_param_states
from models.configs import T5Config
from models.optimizer import init_adafactor
from models.t5 import init_params

CONFIG = T5Config(
    vocab_size=48,
    d_model=16,
    num_heads=2,
    head_dim=8,
    d_ff=24,
    num_encoder_layers=1,
    num_decoder_layers=2,
)
WO = "decoder/layers_1/mlp/wo/kernel"


@pytest.fixture(scope="module")
def params():
    return jax.tree.map(np.asarray, init_params(CONFIG, jax.random.key(0)))


def file_spec(name, metadata):
    return {"driver": "zarr", "kvstore": {"driver": "file", "path": name}, "metadata": metadata}


def bucket_spec(name, metadata):
    kvstore = {"driver": "gcs", "bucket": "t5x-dummy-bucket", "path": f"{name}/"}
    return {"driver": "zarr", "kvstore": kvstore, "metadata": metadata}


def early_spec(name, metadata):
    kvstore = {"driver": "gfile"}
    return {"driver": "zarr", "kvstore": kvstore, "path": name, "metadata": metadata}


def placeholder(name, metadata):
    return f"PLACEHOLDER://{name}"


def write_zarr(folder, array, compressor):
    """Writes an array as t5x did, in chunks; returns its metadata."""
    chunks = [max(1, size // 2) for size in array.shape]
    metadata = {"shape": list(array.shape), "chunks": chunks, "compressor": compressor}
    kvstore = {"driver": "file", "path": f"{folder}/"}
    spec = {"driver": "zarr", "kvstore": kvstore, "metadata": metadata}
    ts.open(spec, create=True, dtype=array.dtype).result().write(array).result()
    return metadata


def write(checkpoint, params, leaf=file_spec, compressor=None):
    """Writes a legacy checkpoint: kernels in zarr, the rest inline."""
    checkpoint.mkdir(parents=True)
    leaves = {}
    for path, array in traverse_util.flatten_dict(params).items():
        name = ".".join(("target", *path))
        if path[-1] == "kernel":
            metadata = write_zarr(checkpoint / name, array, compressor)
            leaves[path] = leaf(name, metadata)
        else:
            leaves[path] = array
    state = {"step": np.int32(3), "param_states": {"unused": None}}
    optimizer = {"target": traverse_util.unflatten_dict(leaves), "state": state}
    content = serialization.msgpack_serialize({"version": 3, "optimizer": optimizer})
    (checkpoint / "checkpoint").write_bytes(content)


def assert_trees_equal(left, right):
    jax.tree.map(np.testing.assert_array_equal, left, right)


@pytest.mark.parametrize("leaf", [file_spec, bucket_spec, early_spec, placeholder])
@pytest.mark.parametrize("compressor", [None, {"id": "gzip", "level": 1}, {"id": "zstd"}])
def test_arrays_in_zarr_are_read_wherever_they_were_written(tmp_path, params, leaf, compressor):
    write(tmp_path / "flan" / "checkpoint_3", params, leaf, compressor)
    model = load_model(tmp_path / "flan")
    assert model.config == CONFIG
    assert model.name == "flan"
    assert_trees_equal(model.params, params)
    assert model.digest == params_digest(params)


def test_a_file_alone_is_read_and_so_is_one_without_version(tmp_path, params):
    file = tmp_path / "tiny.checkpoint_0"
    file.write_bytes(serialization.msgpack_serialize({"optimizer": {"target": params}}))
    assert_trees_equal(load_model(file).params, params)
    file.write_bytes(serialization.msgpack_serialize({"target": params, "state": {}}))
    assert load_model(file).digest == params_digest(params)
    assert load_model(file).name == f"{tmp_path.name}/tiny.checkpoint_0"


def test_large_inline_arrays_come_in_chunks(tmp_path, params, monkeypatch):
    monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", 256)
    content = serialization.msgpack_serialize({"optimizer": {"target": params}})
    assert b"__msgpack_chunked_array__" in content
    (tmp_path / "checkpoint").write_bytes(content)
    assert load_model(tmp_path).digest == params_digest(params)


def test_bfloat16_is_read_as_such(tmp_path, params):
    half = jax.tree.map(lambda array: array.astype(jnp.bfloat16), params)
    write(tmp_path / "checkpoint_3", half)
    # Until version 2 its bits were written as integers.
    bits = {
        path: array.view(np.uint16) if path[-1] == "kernel" else array
        for path, array in traverse_util.flatten_dict(half).items()
    }
    write(tmp_path / "old" / "checkpoint_3", traverse_util.unflatten_dict(bits))
    for folder in (tmp_path, tmp_path / "old"):
        stored = t5x_legacy.stored_params(t5x_legacy.find(folder))
        assert stored[WO].dtype == stored[WO].read().dtype == jnp.bfloat16
        assert_trees_equal(load_model(folder, dtype="bfloat16").params, half)
    assert load_model(tmp_path).digest == params_digest(half)


def test_the_latest_checkpoint_is_taken_whatever_its_format(tmp_path, params):
    zeros = jax.tree.map(np.zeros_like, params)
    write(tmp_path / "checkpoint_9", params)
    write(tmp_path / "checkpoint_10", zeros, lambda name, _: np.zeros(1))
    assert t5x_legacy.find(tmp_path).name == "checkpoint_10"
    (tmp_path / "checkpoint_10" / "checkpoint").unlink()
    assert t5x_legacy.find(tmp_path).name == "checkpoint_9"
    assert load_model(tmp_path).digest == params_digest(params)
    t5x_orbax.write(tmp_path, 11, zeros, to_param_states(init_adafactor(zeros)), {})
    assert load_model(tmp_path).digest == params_digest(zeros)
    write(tmp_path / "checkpoint_12", params)
    assert load_model(tmp_path).digest == params_digest(params)


def test_incomplete_copies_are_named(tmp_path, params):
    write(tmp_path / "checkpoint_3", params)
    folder = tmp_path / "checkpoint_3" / f"target.{WO.replace('/', '.')}"
    (folder / "1.1").unlink()
    with pytest.raises(ValueError, match=f"array {WO} of .* cannot be read; is the checkpoint"):
        load_model(tmp_path)
    (folder / ".zarray").unlink()
    with pytest.raises(ValueError, match=f"array {WO} of .* cannot be read; is the checkpoint"):
        load_model(tmp_path)


def test_arrays_of_another_checkpoint_are_noticed(tmp_path, params):
    write(tmp_path / "checkpoint_3", params)
    folder = tmp_path / "checkpoint_3" / f"target.{WO.replace('/', '.')}"
    for file in folder.iterdir():
        file.unlink()
    write_zarr(folder, np.ones((24, 18), np.float32), None)
    with pytest.raises(ValueError, match=rf"(?s){WO}.*\[24,16\].*\[24,18\]"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a file that is no msgpack"),
        (b"# A text\n\n", "is no checkpoint of t5x: found int|a file that is no msgpack"),
        (
            serialization.msgpack_serialize({"params": {}}),
            "found params, expected optimizer/target",
        ),
        (b'model_checkpoint_path: "model.ckpt-7"', "Mesh TensorFlow.*convert_tf_checkpoint"),
    ],
)
def test_other_files_say_what_they_are(tmp_path, content, message):
    (tmp_path / "checkpoint").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_model(tmp_path)
