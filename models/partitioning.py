"""Laying parameters and batches over a mesh of devices, by t5x's logical axis names."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import traverse_util
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from models.configs import Config

# Logical axis to mesh axis: t5x's standard rules for one dimension of parameters and one of
# activations. `joined_kv` are heads and their width in one axis. From these and the batch's XLA
# derives the layout of every activation; tests read its programs, and none needs a constraint.
LOGICAL_AXIS_RULES: dict[str, str | None] = {
    "batch": "data",
    "vocab": "model",
    "embed": None,
    "mlp": "model",
    "heads": "model",
    "kv": None,
    "joined_kv": "model",
    "relpos_buckets": None,
    "length": None,
}

# By the last two names of a path: the module and its parameter.
_LOGICAL_AXES: dict[tuple[str, str], tuple[str, ...]] = {
    ("token_embedder", "embedding"): ("vocab", "embed"),
    ("position_embedder", "embedding"): ("length", "embed"),
    ("relpos_bias", "rel_embedding"): ("heads", "relpos_buckets"),
    ("query", "kernel"): ("embed", "joined_kv"),
    ("key", "kernel"): ("embed", "joined_kv"),
    ("value", "kernel"): ("embed", "joined_kv"),
    ("out", "kernel"): ("joined_kv", "embed"),
    ("wi", "kernel"): ("embed", "mlp"),
    ("wi_0", "kernel"): ("embed", "mlp"),
    ("wi_1", "kernel"): ("embed", "mlp"),
    ("wo", "kernel"): ("mlp", "embed"),
    ("logits_dense", "kernel"): ("embed", "vocab"),
    ("projection_layer", "kernel"): ("embed", "embed"),
}


def make_mesh(
    data: int = -1, model: int = 1, *, devices: Sequence[jax.Device] | None = None
) -> Mesh:
    """Makes a mesh with axes `data` and `model`.

    Args:
        data: Devices over which the rows of a batch are split; -1 takes all that `model`
            leaves.
        model: Devices over which one copy of the parameters is split.
        devices: To make it of; by default all of this process.

    Raises:
        ValueError: The product is not the number of devices.
    """
    devices = jax.local_devices() if devices is None else devices
    if data == -1:
        data = len(devices) // model
    if data * model != len(devices):
        raise ValueError(
            f"A mesh of data={data} x model={model} needs {data * model} devices; there "
            f"are {len(devices)}. Choose factors whose product is {len(devices)}."
        )
    return Mesh(np.asarray(devices).reshape(data, model), ("data", "model"))


def logical_axes(params: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a tree like `params` with a tuple of logical axis names for each array.

    Raises:
        ValueError: A path is no parameter of a model here.
    """
    return traverse_util.unflatten_dict(
        {path: _axes_of(path) for path in traverse_util.flatten_dict(params)}
    )


def _axes_of(path: tuple[str, ...]) -> tuple[str, ...]:
    if path[-1] == "scale" or (path[-1] == "bias" and path[-2].endswith("_norm")):
        return ("embed",)
    if path[-1] == "bias" and (path[-2], "kernel") in _LOGICAL_AXES:
        # As the results of the product that it is added to.
        return _LOGICAL_AXES[path[-2], "kernel"][-1:]
    if path[-2:] not in _LOGICAL_AXES:
        raise ValueError(f"No logical axes are known for the parameter {'/'.join(path)}.")
    return _LOGICAL_AXES[path[-2:]]  # type: ignore[index]


def param_shardings(config: Config, params: Mapping[str, Any], mesh: Mesh) -> dict[str, Any]:
    """Returns a tree like `params` of shardings.

    What its mesh axis does not divide is replicated: a vocabulary of 50,257 over 2 devices, or
    6 heads over 4. Of such heads every device has and computes all; splitting their joined axis
    in the middle of a head would gather queries, keys and values in every layer.

    Args:
        config: Of the model.
        params: Arrays or `jax.ShapeDtypeStruct`s.
        mesh: From `make_mesh`.
    """

    def mesh_axis(axis: str, size: int) -> str | None:
        name = LOGICAL_AXIS_RULES[axis]
        parts = config.num_heads if axis == "joined_kv" else size
        return name if name and parts % mesh.shape[name] == 0 else None

    def sharding(path: tuple[str, ...], shape: tuple[int, ...]) -> NamedSharding:
        axes = [mesh_axis(*axis) for axis in zip(_axes_of(path), shape, strict=True)]
        return NamedSharding(mesh, PartitionSpec(*axes))

    flat = traverse_util.flatten_dict(params)
    return traverse_util.unflatten_dict(
        {path: sharding(path, leaf.shape) for path, leaf in flat.items()}
    )


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of a batch's arrays: rows over `data`."""
    return NamedSharding(mesh, PartitionSpec(LOGICAL_AXIS_RULES["batch"]))


def put(array: Any, sharding: NamedSharding | None) -> jax.Array:
    """Puts an array on the devices, of which other processes may have some.

    Args:
        array: Whole, and the same in all processes; each sends its own devices their parts.
        sharding: Of the array; None is the default device.
    """
    if sharding is None or sharding.is_fully_addressable:
        return jax.device_put(array, sharding)
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def data_parts() -> int:
    """Returns over how many parts the rows of a batch are split, inside a compiled function."""
    return jax.sharding.get_abstract_mesh().shape.get("data", 1)
