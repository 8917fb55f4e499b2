"""Functions from a packed batch to statistics of decoder positions, on one device or many."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from models.checkpoints import check_params
from models.configs import Config
from models.partitioning import batch_sharding, param_shardings, put

# The parameters of one model, or of several whose statistics are averaged.
Params = Mapping[str, Any] | Sequence[Mapping[str, Any]]

# Of (params, batch), compiled.
Statistics = Callable[[Any, dict[str, jax.Array]], dict[str, jax.Array]]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class BatchFn:
    """From a batch of int32 arrays to statistics [B, T] or [B, T, D] by name.

    A batch has `encoder_input_tokens` and `encoder_segment_ids` [B, S], `decoder_input_tokens`,
    `decoder_target_tokens` and `decoder_segment_ids` [B, T]; what is not in `inputs` may be
    missing. Statistics are float32, zero at padding, and on their way when the call returns.

    Attributes:
        inputs: Arrays of a batch that are read.
        params: On the devices; or their shapes, for `trace` alone.
        mesh: Devices; None is one.
        compute: Of (params, batch), compiled once a shape.
        check: Raises ValueError for a batch that cannot be computed.
    """

    inputs: frozenset[str]
    params: Any
    mesh: Mesh | None
    compute: Any
    check: Callable[[Mapping[str, np.ndarray]], None] | None = None

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
        if self.check is not None:
            self.check(batch)
        needed = put_batch({name: batch[name] for name in self.inputs}, self.mesh)
        return self.compute(self.params, needed)

    def trace(self, rows: int, encoder_length: int, decoder_length: int) -> jax.stages.Traced:
        """The program of a shape, to be lowered and compiled ahead of time, without a batch."""
        sharding = None if self.mesh is None else batch_sharding(self.mesh)

        def array(name: str) -> jax.ShapeDtypeStruct:
            length = encoder_length if name.startswith("encoder") else decoder_length
            return jax.ShapeDtypeStruct((rows, length), np.int32, sharding=sharding)

        return self.compute.trace(self.params, {name: array(name) for name in self.inputs})


def make_batch_fn(
    config: Config,
    params: Params,
    mesh: Mesh | None,
    *,
    inputs: Sequence[str],
    statistics: Statistics,
    check: Callable[[Mapping[str, np.ndarray]], None] | None = None,
) -> BatchFn:
    """Puts parameters on the devices and compiles `statistics` for them.

    Several models run together, as one with another axis, and their statistics are averaged at
    each position.

    Args:
        config: Of all models.
        params: Of one model, or a sequence of several. Those of one may be
            `jax.ShapeDtypeStruct`s, for a function that is only traced.
        mesh: Splits rows over `data` and parameters over `model`; None uses one device.
        inputs: Arrays of a batch that are needed, besides `decoder_segment_ids`.
        statistics: Of one model.
        check: Raises ValueError for a batch that cannot be computed.

    Raises:
        ValueError: One of several models does not fit the config.
    """
    models = [params] if isinstance(params, Mapping) else params
    on_devices = (
        _on_devices(config, models[0], mesh) if len(models) == 1 else _stacked(config, models, mesh)
    )
    # Float32 means float32 on GPUs and TPUs too, not TF32 or passes of bfloat16.
    precision = "highest" if config.dtype == "float32" else None

    # By rows, so that a process has all statistics of a row on its own devices.
    @functools.partial(jax.jit, out_shardings=None if mesh is None else batch_sharding(mesh))
    @jax.default_matmul_precision(precision)
    def masked_statistics(params, batch):
        with _inside(mesh):
            if len(models) == 1:
                values = statistics(params, batch)
            else:
                each = jax.vmap(statistics, in_axes=(0, None))(params, batch)
                values = jax.tree.map(lambda values: jnp.mean(values, axis=0), each)
        is_real_BT = batch["decoder_segment_ids"] != 0
        return {name: _masked(values, is_real_BT) for name, values in values.items()}

    return BatchFn(
        inputs=frozenset({*inputs, "decoder_segment_ids"}),
        params=on_devices,
        mesh=mesh,
        compute=masked_statistics,
        check=check,
    )


def _inside(mesh: Mesh | None) -> Any:
    """Lets what is traced know the mesh."""
    if mesh is None:
        return contextlib.nullcontext()
    return jax.sharding.use_abstract_mesh(mesh.abstract_mesh)


def _on_devices(config: Config, params: Mapping[str, Any], mesh: Mesh | None) -> Any:
    if not isinstance(jax.tree.leaves(params)[0], jax.ShapeDtypeStruct):
        return jax.device_put(
            params, None if mesh is None else param_shardings(config, params, mesh)
        )
    if mesh is None:
        return params
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        params,
        param_shardings(config, params, mesh),
    )


def _masked(values: jax.Array, is_real_BT: jax.Array) -> jax.Array:
    return values * jnp.expand_dims(is_real_BT, range(2, values.ndim))


def _stacked(config: Config, params: Sequence[Mapping[str, Any]], mesh: Mesh | None) -> Any:
    """The models as one tree with a new first axis, made array by array."""
    for number, tree in enumerate(params, start=1):
        check_params(tree, config, source=f"model {number} of {len(params)}")

    def stack(sharding: NamedSharding | None, *arrays: Any) -> jax.Array:
        stacked = np.stack([np.asarray(array) for array in arrays])
        if sharding is not None:
            sharding = NamedSharding(sharding.mesh, PartitionSpec(None, *sharding.spec))
        return jax.device_put(stacked, sharding)

    if mesh is None:
        return jax.tree.map(lambda *arrays: stack(None, *arrays), *params)
    return jax.tree.map(stack, param_shardings(config, params[0], mesh), *params)


def put_batch(batch: Mapping[str, np.ndarray], mesh: Mesh | None) -> dict[str, jax.Array]:
    """Puts a batch on the devices, rows split over the mesh's `data` axis.

    Raises:
        ValueError: The axis does not divide the number of rows.
    """
    if mesh is None:
        return jax.device_put(dict(batch))
    for name, array in batch.items():
        if array.shape[0] % mesh.shape["data"]:
            raise ValueError(
                f"{name} has {array.shape[0]} rows, which do not divide evenly over the mesh's "
                f"{mesh.shape['data']} devices of axis 'data'. Choose a multiple as batch size."
            )
    return {name: put(array, batch_sharding(mesh)) for name, array in batch.items()}
