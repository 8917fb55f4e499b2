"""Scoring on a TPU slice that is not there: compiled, counted and set against the chip's peaks."""

import collections
import os
from collections.abc import Sequence
from typing import Any

# Of a chip's memory; the rest is for what the runtime keeps and for batches on their way.
USABLE_MEMORY = 0.95
GIB = 2**30
# Rows of a batch for each part of axis `data`.
ROWS = (8, 32)


def plan_slice(config: Any, make: Any, lengths: tuple[int, int], topology: str) -> dict[str, Any]:
    """Tries meshes and batches, and compiles the best whole.

    Args:
      config: of the model.
      make: of `planned_scoring.maker`.
      lengths: of a row, encoder and decoder.
      topology: of the slice.

    Raises:
      ValueError: the slice is unknown, or the model does not fit it.
    """
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # libtpu would look for a TPU
    from models.mesh_choice import estimate, model_axes, num_parameters
    from models.partitioning import make_mesh
    from models.tpu_slices import open_slice

    chip, devices = open_slice(topology)
    print(
        f"{topology}: {len(devices)} chips of {chip.memory_bytes / GIB:.0f} GiB, "
        f"{chip.flops / 1e12:,.0f} TFLOP/s, {chip.memory_bandwidth / 1e9:,.0f} GB/s, "
        f"{chip.link_bandwidth / 1e9:,.0f} GB/s a link; {num_parameters(config) / 1e9:.2f} billion "
        "parameters"
    )
    print("  mesh      rows  GiB a chip  ms: compute  memory  links  rows/s")
    best = None
    for model in model_axes(config, chip, len(devices)):
        if best is not None and model > 2 * best.model:
            break  # more devices for each copy only sent more
        mesh = make_mesh(len(devices) // model, model, devices=devices)
        for rows in ROWS:
            shape = (rows * mesh.shape["data"], *lengths)
            layout = estimate(config, make, shape, mesh, chip)
            fits = layout.memory_bytes < USABLE_MEMORY * chip.memory_bytes
            print(_line(layout, fits), flush=True)
            if fits and (best is None or layout.rows_per_second > best.rows_per_second):
                best = layout
    if best is None:
        raise ValueError(
            f"The model does not fit {topology}: {len(devices)} chips of {chip.memory_bytes / GIB:.0f} "
            "GiB. Plan a larger slice, a shorter --window, or --dtype bfloat16."
        )
    return _compiled_whole(config, make, lengths, best, chip=chip, devices=devices)


def _line(layout: Any, fits: bool) -> str:
    times, mesh = layout.times, f"{layout.data}x{layout.model}"
    return (
        f"  {mesh:<8} {layout.rows:>5} {layout.memory_bytes / GIB:>11.2f} "
        f"{times.compute * 1e3:>12.1f} {times.memory * 1e3:>7.1f} {times.links * 1e3:>6.1f} "
        f"{layout.rows_per_second:>7.1f}{'' if fits else '  does not fit'}"
    )


def _over_hosts(model: int, devices: Sequence[Any]) -> str:
    """What to do where a copy of the model has more chips than a host."""
    chips = sum(device.process_index == devices[0].process_index for device in devices)
    if model <= chips:
        return ""
    return (
        f" A copy is on {model // chips} hosts of {chips} chips: run `prune score` on all hosts, with "
        "--distributed auto."
    )


def _compiled_whole(
    config: Any, make: Any, lengths: tuple[int, int], layout: Any, *, chip: Any, devices: Any
) -> dict[str, Any]:
    from models.compiled_program import measure
    from models.mesh_choice import shapes_of
    from models.partitioning import make_mesh
    from models.roofline import roofline

    mesh = make_mesh(layout.data, layout.model, devices=devices)
    batch_fn = make(config, shapes_of(config), mesh)
    work = measure(batch_fn.trace(layout.rows, *lengths), mesh)
    times = roofline(work, chip, config.dtype)
    print(
        f"Recommended: --model_devices {layout.model}, and --batch_rows "
        f"{layout.rows // layout.data} for each {layout.model} chips of a process "
        f"({layout.rows} over the slice).{_over_hosts(layout.model, devices)} Compiled whole:"
    )
    print(
        f"  memory of a chip: {work.memory_bytes / GIB:.2f} GiB (arguments "
        f"{work.argument_bytes / GIB:.2f}, temporaries {work.temporary_bytes / GIB:.2f}, output "
        f"{work.output_bytes / GIB:.2f}, program {work.program_bytes / GIB:.2f})"
    )
    print(
        f"  a step: {work.flops / 1e12:.2f} TFLOP and {work.bytes_accessed / 1e9:.1f} GB a chip; "
        f"{times.step * 1e3:.1f} ms (compute {times.compute * 1e3:.1f}, memory "
        f"{times.memory * 1e3:.1f}, links {times.links * 1e3:.1f})"
    )
    by_kind: dict[str, collections.Counter] = {}
    for collective in work.collectives:
        of_kind = by_kind.setdefault(collective.kind, collections.Counter())
        of_kind["count"] += collective.times
        of_kind["bytes"] += collective.times * collective.num_bytes
    for kind, of_kind in by_kind.items():
        print(f"  {kind}: {of_kind['count']} a step, {of_kind['bytes'] / 1e9:.2f} GB a chip")
    return {
        "chips": len(devices),
        "peak_flops": chip.flops,
        "data": layout.data,
        "model_devices": layout.model,
        "batch_rows": layout.rows,
        "memory_bytes": work.memory_bytes,
        "flops": work.flops,
        "bytes_accessed": work.bytes_accessed,
        "collectives": {kind: dict(of_kind) for kind, of_kind in by_kind.items()},
        "step_seconds": times.step,
        "rows_per_second": layout.rows / times.step,
    }
