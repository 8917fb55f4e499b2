"""TPU slices that are not there, for programs that are compiled ahead of time."""

import importlib.util
import os
import re
from typing import Any

import jax

from models.roofline import CHIPS, Chip


def open_slice(topology: str) -> tuple[Chip, list[Any]]:
    """Describes a slice to XLA's compiler for TPUs.

    Args:
        topology: Generation and chips along each side of the slice, such as `v5e:2x4`.

    Returns:
        The kind of chip, and a device for each, which compiles and cannot run.

    Raises:
        ValueError: There is no such slice.
        ImportError: libtpu, which has the compiler, is not installed.
    """
    name, _, sides = topology.partition(":")
    if name not in CHIPS or not re.fullmatch(r"\d+(x\d+){1,2}", sides):
        raise ValueError(
            f"--topology {topology} is no TPU slice. It is a generation ({', '.join(CHIPS)}) and the "
            "chips along each side, such as v5e:2x4 or v5p:2x2x2; or `here`."
        )
    if importlib.util.find_spec("libtpu") is None:
        raise ImportError(
            f"Compiling for {topology} needs the package libtpu, which has the compiler for TPUs and "
            "needs no TPU; it is not installed. Run: pip install 'jax[tpu]'"
        )
    # Or else it asks Google Cloud's metadata server, which only a machine there has.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    # Or else one process of the machine at a time, as with TPUs that are there.
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    from jax.experimental import topologies

    chip = CHIPS[name]
    try:
        described = topologies.get_topology_desc(topology, platform="tpu", **dict(chip.options))
    except jax.errors.JaxRuntimeError as error:
        raise ValueError(f"XLA's compiler knows no slice {topology}: {error}") from error
    return chip, list(described.devices)
