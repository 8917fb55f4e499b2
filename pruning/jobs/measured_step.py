"""Scoring on the devices at hand: a step of random parameters, timed."""

import statistics
import time
from typing import Any

STEPS = 3


def measure_here(config: Any, make: Any, lengths: tuple[int, int], topology: str) -> dict[str, Any]:
    """Times steps of the batch that `prune score` takes here, and of twice as many rows.

    Args:
      config: of the model.
      make: of `planned_scoring.maker`.
      lengths: of a row, encoder and decoder.
      topology: `here`.
    """
    del topology
    import jax

    from models.families import init_params
    from pruning.jobs.cpu_devices import split_cpu
    from pruning.jobs.scoring_mesh import (
        default_batch_rows,
        default_model_devices,
        scoring_mesh,
    )

    split_cpu()
    params = jax.tree.map(
        lambda leaf: leaf.astype(config.dtype),
        jax.jit(init_params, static_argnums=0)(config, jax.random.key(0)),
    )
    num_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    found = {}
    model_devices = default_model_devices(num_bytes)
    fewest = default_batch_rows(model_devices)
    for rows in (fewest, 2 * fewest):
        mesh = scoring_mesh(rows, num_bytes, model_devices)
        seconds = _seconds_of_a_step(make(config, params, mesh), rows, lengths)
        found[rows] = seconds, mesh
        print(
            f"  {rows} rows on {_name(mesh)}: {seconds * 1e3:,.1f} ms, {rows / seconds:,.1f} rows/s"
        )
    rows = max(found, key=lambda rows: rows / found[rows][0])
    seconds, mesh = found[rows]
    print(f"Recommended: --batch_rows {rows}")
    return {
        "chips": mesh.size if jax.default_backend() != "cpu" else 1,
        "data": mesh.shape["data"],
        "model_devices": mesh.shape["model"],
        "batch_rows": rows,
        "step_seconds": seconds,
        "rows_per_second": rows / seconds,
    }


def _seconds_of_a_step(batch_fn: Any, rows: int, lengths: tuple[int, int]) -> float:
    import jax
    import numpy as np

    batch = {
        name: np.ones((rows, lengths[0] if name.startswith("encoder") else lengths[1]), np.int32)
        for name in batch_fn.inputs
    }
    jax.block_until_ready(batch_fn(batch))  # compiles
    seconds = []
    for _ in range(STEPS):
        start = time.perf_counter()
        jax.block_until_ready(batch_fn(batch))
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _name(mesh: Any) -> str:
    (kind,) = {device.device_kind for device in mesh.devices.flat}
    return f"{mesh.shape['data']}x{mesh.shape['model']} of {kind}"
