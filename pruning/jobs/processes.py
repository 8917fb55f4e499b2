"""Which of several processes this one is: told by flags, or by the cluster through JAX."""

from pruning.sharding import Shard

# Others may need days longer for their share; whoever is done waits for them.
LONGEST_WAIT_SECONDS = 30 * 24 * 3600


def this_shard(num_shards: int, shard_index: int, distributed: str | None) -> Shard:
    """The share of the units that this process takes.

    Args:
      num_shards, shard_index: of independent jobs, as in a job array; with an address, of
        the processes that meet there.
      distributed: `auto`, where JAX finds out (TPU pods, Slurm, Open MPI), or HOST:PORT of the
        first process. JAX then ends every process of the job when one dies, with a message that
        names it. They share nothing but the store, so what each has written stands.

    Raises:
      ValueError: index and number do not fit, or are given with `auto`.
    """
    if distributed is None:
        return Shard(shard_index, num_shards)
    import jax

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
