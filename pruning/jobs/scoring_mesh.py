"""Which devices score: a mesh, the copies of a model on it, and the rows of a batch."""

import dataclasses
import math
import os
from typing import TYPE_CHECKING

from jax.sharding import Mesh

from pruning.jobs.processes import holds_part_of_model
from pruning.packing import RowShape
from pruning.run_costs import Devices, this_cpu

if TYPE_CHECKING:
    from models.batch_fn import BatchFn

# Share of a device's memory; the rest is for activations.
MOST_PARAMETERS = 0.75


def default_batch_rows(model_devices: int = 1) -> int:
    """Rows at a time: few where caches are small, many where a device must be kept busy."""
    import jax

    if jax.default_backend() == "cpu":
        return 4
    return 64 * max(1, jax.local_device_count() // model_devices)


def default_model_devices(model_bytes: int) -> int:
    """One, or the smallest divisor of the devices over which a copy of a model fits.

    Where it exceeds those of a process, it takes all devices of as few processes as it needs.
    Each sum over devices takes time, so no more than it needs. A CPU's parts share one memory.
    """
    import jax

    devices = jax.local_devices()
    memory = (devices[0].memory_stats() or {}).get("bytes_limit")
    if memory is None:  # a CPU
        return 1
    sizes = _divisors(len(devices))
    sizes += [len(devices) * n for n in _divisors(jax.process_count())[1:]]
    fit = (n for n in sizes if model_bytes / n <= MOST_PARAMETERS * memory)
    return next(fit, sizes[-1])


def scoring_mesh(batch_rows: int, model_bytes: int = 0, model_devices: int = 1) -> Mesh:
    """All devices of this process, or on a CPU as many of its parts as divide a batch evenly.

    Where copies of a model would fill half of a CPU's memory, there is one. A copy that takes more
    devices than this process has is on those of several, each of which makes the same mesh.

    Args:
      batch_rows: split over the copies of the model.
      model_bytes: of one copy.
      model_devices: that share a copy.

    Raises:
      ValueError: the devices do not divide evenly.
    """
    import jax

    from models.partitioning import make_mesh

    devices = jax.local_devices()
    if model_devices > len(devices):
        devices = _over_processes(model_devices)
        holds_part_of_model.set()
        return make_mesh(model=model_devices, devices=devices)
    if len(devices) % model_devices:
        raise ValueError(
            f"--model_devices {model_devices} does not divide the {len(devices)} devices of this "
            f"process. Use one of: {_listed(_divisors(len(devices)))}."
        )
    if jax.default_backend() == "cpu" and model_devices == 1:
        devices = devices[: math.gcd(len(devices), batch_rows)]
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if len(devices) * model_bytes > memory / 2:
            devices = devices[:1]
    copies = len(devices) // model_devices
    if batch_rows % copies:
        raise ValueError(
            f"--batch_rows {batch_rows} does not divide evenly over {copies} copies of the model. "
            f"Use a multiple of {copies}, such as {-(-batch_rows // copies) * copies}."
        )
    return make_mesh(model=model_devices, devices=devices)


def devices_of(statistics: "BatchFn", shape: RowShape, batch_rows: int) -> Devices:
    """What a model runs on, and its operations for a computed position."""
    import jax

    from models.compiled_program import matmul_flops

    lengths = shape.encoder_length, shape.decoder_length
    flops = matmul_flops(statistics.trace(batch_rows, *lengths)) / (batch_rows * sum(lengths))
    on = this_cpu()
    if jax.default_backend() != "cpu" and statistics.mesh is not None:
        on = Devices(kind=jax.devices()[0].device_kind, count=statistics.mesh.size)
    return dataclasses.replace(on, flops_per_position=flops)


def _over_processes(model_devices: int) -> list:
    """The devices of this process and of its neighbours that share a copy of the model with it."""
    import jax

    local, processes = jax.local_device_count(), jax.process_count()
    if processes == 1:
        raise ValueError(
            f"--model_devices {model_devices} is more than the {local} devices of this process. A copy "
            "of the model takes those of several where --distributed joins them, and "
            f"here is one. Use one of: {_listed(_divisors(local))}."
        )
    size = model_devices // local
    if model_devices % local or processes % size:
        whole = [local * n for n in _divisors(processes)]
        raise ValueError(
            f"--model_devices {model_devices} is more than the {local} devices of a process, and does "
            f"not divide the {processes} processes into groups that have so many. Use one of: "
            f"{_listed(sorted({*_divisors(local), *whole}))}."
        )
    group = jax.process_index() // size
    devices = [device for device in jax.devices() if device.process_index // size == group]
    if len(devices) != model_devices:
        raise ValueError(
            f"--model_devices {model_devices} takes {size} processes of {local} devices, and some have "
            f"another number: together they have {len(devices)}. Start all on machines of one kind."
        )
    return devices


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
