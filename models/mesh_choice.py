"""Which mesh and batch suit a slice: what a step takes there, worked out from shallow models."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from models.batch_fn import BatchFn
from models.compiled_program import measure
from models.configs import Config, T5Config
from models.families import param_shapes
from models.roofline import Chip, Times, roofline

# Of (config, parameter shapes, mesh).
MakeBatchFn = Callable[[Config, Any, Mesh], BatchFn]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """A mesh with a batch, and what one step of it takes.

    Attributes:
        data, model: Axes of the mesh.
        rows: Of a batch, over the whole mesh.
        memory_bytes: That a device must hold.
        times: Of a step.
    """

    data: int
    model: int
    rows: int
    memory_bytes: float
    times: Times

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.times.step


def shapes_of(config: Config) -> dict[str, Any]:
    """The parameters' shapes, in the dtype of activations."""
    dtype = np.dtype(jax.numpy.dtype(config.dtype))
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype), param_shapes(config))


def num_parameters(config: Config) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(param_shapes(config)))


def model_axes(config: Config, chip: Chip, devices: int) -> list[int]:
    """Powers of two of devices over which the parameters, so split, fit a chip."""
    num_bytes = num_parameters(config) * np.dtype(jax.numpy.dtype(config.dtype)).itemsize
    powers = (2**n for n in range(devices.bit_length()))
    return [n for n in powers if devices % n == 0 and num_bytes / n < chip.memory_bytes]


def estimate(
    config: Config, make: MakeBatchFn, shape: tuple[int, int, int], mesh: Mesh, chip: Chip
) -> Layout:
    """What a step takes, from programs with one and with two equal parts of the model's depth.

    All that is counted grows by the same amount with each part, and shallow models compile in
    seconds.

    Args:
        config: Of the model, with the dtype of activations.
        make: Makes the function that is run.
        shape: Rows of a batch, encoder and decoder positions.
        mesh: Of devices that need not exist.
        chip: Of which they are.
    """
    depth, shallow = _parts_of_depth(config)
    found = []
    for parts in (1, 2):
        part = shallow(parts)
        work = measure(make(part, shapes_of(part), mesh).trace(*shape), mesh)
        times = dataclasses.astuple(roofline(work, chip, config.dtype))
        found.append(np.array([work.memory_bytes, *times]))
    memory, *seconds = found[0] + (depth - 1) * (found[1] - found[0])
    compute, memory_seconds, links = (float(value) for value in seconds)
    return Layout(
        data=mesh.shape["data"],
        model=mesh.shape["model"],
        rows=shape[0],
        memory_bytes=float(memory),
        times=Times(compute=compute, memory=memory_seconds, links=links),
    )


def _parts_of_depth(config: Config) -> tuple[int, Callable[[int], Config]]:
    """Into how many equal parts the layers can be cut, and the model with some of them."""
    if isinstance(config, T5Config):
        encoder, decoder = config.num_encoder_layers, config.num_decoder_layers
        parts = math.gcd(encoder, decoder)
        return parts, lambda n: dataclasses.replace(
            config,
            num_encoder_layers=n * encoder // parts,
            num_decoder_layers=n * decoder // parts,
        )
    return config.num_layers, lambda n: dataclasses.replace(config, num_layers=n)
