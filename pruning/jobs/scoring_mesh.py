"""Which devices score: a mesh, the copies of a model on it, and the rows of a batch."""

import math
import os

from jax.sharding import Mesh

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

    Each sum over devices takes time, so no more than it needs. A CPU's parts share one memory.
    """
    import jax

    devices = jax.local_devices()
    memory = (devices[0].memory_stats() or {}).get("bytes_limit")
    if memory is None:  # a CPU
        return 1
    divisors = [n for n in range(1, len(devices) + 1) if len(devices) % n == 0]
    fit = (n for n in divisors if model_bytes / n <= MOST_PARAMETERS * memory)
    return next(fit, len(devices))


def scoring_mesh(batch_rows: int, model_bytes: int = 0, model_devices: int = 1) -> Mesh:
    """All devices of this process, or on a CPU as many of its parts as divide a batch evenly.

    Where copies of a model would fill half of a CPU's memory, there is one.

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
    if len(devices) % model_devices:
        divisors = [n for n in range(1, len(devices) + 1) if len(devices) % n == 0]
        raise ValueError(
            f"--model_devices {model_devices} does not divide the {len(devices)} devices of this "
            f"process. Use one of: {', '.join(str(n) for n in divisors)}."
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
