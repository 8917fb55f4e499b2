import dataclasses

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax import serialization, traverse_util

from models.checkpoints import load_model, params_digest, scanned
from models.checkpoints.stored import StoredArray
from models.configs import T5Config
from models.families import param_shapes
from models.t5 import T5, head_kernel

UMT5 = T5Config(
    vocab_size=48,
    d_model=16,
    num_heads=2,
    head_dim=6,
    d_ff=24,
    num_encoder_layers=3,
    num_decoder_layers=2,
    position_bias="per_layer",
)
CONFIGS = {"umt5": UMT5, "tied": dataclasses.replace(UMT5, mlp="relu", tied_embedding=True)}


def random_params(config):
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype("f4"), param_shapes(config))


def split_heads(config, name, array):
    heads, width = config.num_heads, config.head_dim
    if name.endswith(("query/kernel", "key/kernel", "value/kernel")):
        return array.reshape(-1, heads, width)
    if name.endswith("attention/out/kernel"):
        return array.reshape(heads, width, -1)
    return array


def to_scanned(config, params, axis):
    """The tree of t5x's scalable_t5, flat."""
    flat = traverse_util.flatten_dict(params, sep="/")
    tree = {path: array for path, array in flat.items() if "/layers_" not in path}
    for stack, layers in (
        ("encoder", config.num_encoder_layers),
        ("decoder", config.num_decoder_layers),
    ):
        first = f"{stack}/layers_0/"
        for name in [path.removeprefix(first) for path in flat if path.startswith(first)]:
            each = [flat[f"{stack}/layers_{layer}/{name}"] for layer in range(layers)]
            each = [split_heads(config, name, array) for array in each]
            tree[f"{stack}/{stack}/{name}"] = np.stack(each, axis=axis)
    return tree


def stored(tree, reads):
    def read(path):
        reads.append(path)
        return tree[path]

    return {
        path: StoredArray(shape=a.shape, dtype=a.dtype, read=lambda path=path: read(path))
        for path, a in tree.items()
    }


def logits(config, params):
    rng = np.random.default_rng(1)
    tokens, segment_ids = rng.integers(2, 48, (2, 9)), np.ones((2, 9), np.int32)
    hidden = T5(config).apply(
        {"params": params}, tokens, segment_ids, tokens[:, :5], segment_ids[:, :5]
    )
    return np.asarray(hidden @ head_kernel(params, config))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_scanned_model_is_the_unrolled_one(tmp_path, name, axis):
    config = CONFIGS[name]
    params = random_params(config)
    tree = traverse_util.unflatten_dict(to_scanned(config, params, axis), sep="/")
    assert tree["encoder"]["encoder"]["attention"]["query"]["kernel"].shape == (
        (16, 3, 2, 6) if axis else (3, 16, 2, 6)
    )
    ocp.PyTreeCheckpointer().save(tmp_path / "checkpoint_0" / "state", {"target": tree})
    file = tmp_path / "legacy"
    file.write_bytes(serialization.msgpack_serialize({"optimizer": {"target": tree}}))
    for path in (tmp_path, file):
        model = load_model(path)
        assert model.config == config
        jax.tree.map(np.testing.assert_array_equal, model.params, params)
        assert model.digest == params_digest(params)
    np.testing.assert_array_equal(logits(config, model.params), logits(config, params))
    # Each layer's own bias matters, so that an average would be noticed.
    biases = [params["encoder"][f"layers_{layer}"].pop("relpos_bias") for layer in range(3)]
    mean = jax.tree.map(lambda *arrays: np.mean(arrays, axis=0), *biases)
    for layer in range(3):
        params["encoder"][f"layers_{layer}"]["relpos_bias"] = mean
    assert np.abs(logits(config, model.params) - logits(config, params)).max() > 1e-2


def test_heads_of_layers_that_are_not_scanned_are_joined():
    params = traverse_util.flatten_dict(random_params(UMT5), sep="/")
    split = {path: split_heads(UMT5, path, array) for path, array in params.items()}
    unrolled = scanned.unroll(stored(split, []), source="here")
    for path, array in unrolled.items():
        assert array.shape == params[path].shape
        np.testing.assert_array_equal(array.read(), params[path])


def test_unrolled_trees_stay_as_they_are():
    params = stored(traverse_util.flatten_dict(random_params(UMT5), sep="/"), [])
    assert scanned.unroll(params, source="here") == params


def test_stacked_arrays_are_read_once():
    reads = []
    tree = to_scanned(UMT5, random_params(UMT5), axis=1)
    unrolled = scanned.unroll(stored(tree, reads), source="here")
    assert not reads
    arrays = {path: unrolled[path].read() for path in sorted(unrolled)}
    assert sorted(reads) == sorted(tree)
    # A layer asked for again is right, too.
    path = "decoder/layers_1/relpos_bias/rel_embedding"
    np.testing.assert_array_equal(unrolled[path].read(), arrays[path])


def test_an_axis_that_shapes_do_not_tell_is_refused():
    square = dataclasses.replace(UMT5, num_encoder_layers=16, num_decoder_layers=16)
    tree = to_scanned(square, random_params(square), axis=1)
    with pytest.raises(ValueError, match=r"_norm/scale is \(16, 16\), expected \[16, layers\]"):
        scanned.unroll(stored(tree, []), source="here")
    tree = to_scanned(UMT5, random_params(UMT5), axis=1)
    tree["token_embedder/embedding"] = np.ones((48, 18))
    with pytest.raises(ValueError, match=r"here has stacked layers.*expected \[18, layers\]"):
        scanned.unroll(stored(tree, []), source="here")
