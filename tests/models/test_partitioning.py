import os
import subprocess
import sys
import textwrap

import jax
import pytest
from flax import traverse_util
from jax.sharding import PartitionSpec

from models.configs import SIZES
from models.families import param_shapes
from models.partitioning import (
    LOGICAL_AXIS_RULES,
    batch_sharding,
    logical_axes,
    make_mesh,
    param_shardings,
)


@pytest.mark.parametrize("name", ["t5_small", "t5_1_1_small", "gpt_124m", "mpt_125m"])
def test_every_parameter_has_an_axis_name_for_each_dimension(name):
    shapes = traverse_util.flatten_dict(param_shapes(SIZES[name]))
    axes = traverse_util.flatten_dict(logical_axes(param_shapes(SIZES[name])))
    assert {path: len(names) for path, names in axes.items()} == {
        path: len(leaf.shape) for path, leaf in shapes.items()
    }
    assert {name for names in axes.values() for name in names} <= set(LOGICAL_AXIS_RULES)


def test_unknown_parameters_are_named():
    with pytest.raises(ValueError, match="known for the parameter encoder/extra/bias"):
        logical_axes({"encoder": {"extra": {"bias": None}}})


def test_mesh_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"data=3 x model=1 needs 3 devices; there are"):
        make_mesh(data=3)


def test_batches_are_split_by_rows():
    assert batch_sharding(make_mesh()).spec == PartitionSpec("data")


def test_biases_are_split_as_what_they_are_added_to():
    layer = logical_axes(param_shapes(SIZES["gpt_tiny"]))["decoder"]["layers_0"]
    assert layer["self_attention"]["query"]["bias"] == ("joined_kv",)
    assert layer["self_attention"]["out"]["bias"] == ("embed",)
    assert layer["mlp"]["wi"]["bias"] == ("mlp",)
    assert layer["pre_mlp_layer_norm"]["bias"] == ("embed",)


def test_one_device_needs_no_split():
    params = param_shapes(SIZES["tiny"])
    shardings = param_shardings(SIZES["tiny"], params, make_mesh())
    assert jax.tree.structure(shardings) == jax.tree.structure(params)


_ON_EIGHT_DEVICES = """
    import jax, numpy as np
    from jax.sharding import PartitionSpec as P
    from models.configs import DecoderOnlyConfig, T5Config
    from models.families import init_params
    from models.partitioning import make_mesh, param_shardings
    from models.scoring_model import make_token_statistics_fn

    assert len(jax.devices()) == 8
    config = T5Config(vocab_size=64, d_model=16, num_heads=6, head_dim=8, d_ff=32,
                      num_encoder_layers=1, num_decoder_layers=1)
    params = init_params(config, jax.random.key(0))
    rng = np.random.default_rng(0)
    batch = {f"{side}_{kind}": rng.integers(1, 64, (8, length)).astype(np.int32)
             for side, length in (("encoder", 11), ("decoder", 5))
             for kind in ("input_tokens", "target_tokens")}
    for side, length in (("encoder", 11), ("decoder", 5)):
        batch[f"{side}_segment_ids"] = np.sort(rng.integers(1, 3, (8, length)).astype(np.int32))
    expected = np.asarray(make_token_statistics_fn(config, params)(batch)["nll"])
    for data, model in ((8, 1), (4, 2), (2, 4)):
        mesh = make_mesh(data, model)
        shardings = param_shardings(config, params, mesh)
        assert shardings["token_embedder"]["embedding"].spec == P("model", None)
        assert shardings["encoder"]["layers_0"]["mlp"]["wo"]["kernel"].spec == P("model", None)
        # 6 heads do not divide by 4: neither does their joined axis of 48.
        assert shardings["encoder"]["layers_0"]["attention"]["query"]["kernel"].spec == (
            P(None, None) if model == 4 else P(None, "model"))
        assert shardings["encoder"]["relpos_bias"]["rel_embedding"].spec == (
            P(None, None) if model == 4 else P("model", None))
        nll = make_token_statistics_fn(config, params, mesh)(batch)["nll"]
        assert len(nll.sharding.device_set) == 8
        print(data, model, np.abs(np.asarray(nll) - expected).max())
        np.testing.assert_allclose(nll, expected, atol=1e-5)
    gpt = DecoderOnlyConfig(vocab_size=64, d_model=24, num_heads=6, d_ff=32, num_layers=1)
    names = ("nll", "el2n")
    for config in (config, gpt):
        several = [init_params(config, jax.random.key(seed)) for seed in range(3)]
        expected = make_token_statistics_fn(config, several, names=names)(batch)
        for data, model in ((8, 1), (2, 4)):
            mesh = make_mesh(data, model)
            found = make_token_statistics_fn(config, several, mesh, names)(batch)
            for name in names:
                assert len(found[name].sharding.device_set) == 8
                np.testing.assert_allclose(found[name], expected[name], atol=1e-5)
    try:
        make_token_statistics_fn(config, several, make_mesh(8, 1))({k: v[:3] for k, v in batch.items()})
    except ValueError as error:
        assert "has 3 rows" in str(error) and "8 devices" in str(error), error
    else:
        raise AssertionError("3 rows over 8 devices were accepted")
"""


def test_every_mesh_scores_as_one_device():
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    environment["JAX_PLATFORMS"] = "cpu"
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_ON_EIGHT_DEVICES)], check=True, env=environment
    )
