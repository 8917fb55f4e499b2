"""Which of several processes this one is: told by flags, or by the cluster through JAX."""

import atexit
import functools
import os
import sys
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from pruning.sharding import Shard

P = ParamSpec("P")
R = TypeVar("R")

# Others may need days longer for their share; whoever is done waits for them.
LONGEST_WAIT_SECONDS = 30 * 24 * 3600

# Set where other processes hold the rest of this one's model.
holds_part_of_model = threading.Event()


def this_shard(num_shards: int, shard_index: int, distributed: str | None) -> Shard:
    """The share of the units that this process takes.

    Args:
      num_shards, shard_index: of independent jobs, as in a job array; with an address, of
        the processes that meet there.
      distributed: `auto`, where JAX finds out (TPU pods, Slurm, Open MPI), or HOST:PORT of the
        first process. JAX then ends every process of the job when one dies, with a message that
        names it. What each has written stands: they share nothing but the store, and with
        --model_devices of several processes a copy of the model.

    Raises:
      ValueError: index and number do not fit, or are given with `auto`.
    """
    if distributed is None:
        return Shard(shard_index, num_shards)
    import jax

    # It would catch SIGTERM from here on, and a process that still loads its model would live on.
    jax.config.update("jax_enable_preemption_service", False)
    if distributed == "auto":
        if num_shards != 1:
            raise ValueError(
                f"--distributed auto finds out how many processes there are: leave out --num_shards "
                f"{num_shards}, or give --distributed HOST:PORT."
            )
        jax.distributed.initialize(shutdown_timeout_seconds=LONGEST_WAIT_SECONDS)
        return Shard(jax.process_index(), jax.process_count())
    shard = Shard(shard_index, num_shards)
    jax.distributed.initialize(
        coordinator_address=distributed,
        num_processes=num_shards,
        process_id=shard_index,
        shutdown_timeout_seconds=LONGEST_WAIT_SECONDS,
    )
    return shard


def ends_at_once(job: Callable[P, R]) -> Callable[P, R]:
    """A job that ends when it fails, where it holds a part of a model.

    At the end of a process JAX waits until the others are done, and those with the other parts
    would wait for this one. One that was asked to end has agreed on that with them. An earlier job
    of the same interpreter may have held a part, which says nothing about this one.
    """

    @functools.wraps(job)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        holds_part_of_model.clear()
        try:
            return job(*args, **kwargs)
        except InterruptedError:
            raise
        except BaseException as error:
            if holds_part_of_model.is_set():
                code = 130 if isinstance(error, KeyboardInterrupt) else 1
                atexit.register(_end, code)  # which comes before what JAX has registered
            raise

    return run


def _end(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
