"""Processes that hold one copy of a model between them, and so have to do everything together."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from pruning.sharding import Shard


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lockstep:
    """A group of processes that run the same programs on the same batches in the same order.

    What each would find out for itself, such as which units are there already or whether it was
    asked to stop, they agree on, by a program over their own devices: other groups of the job are
    at other units.

    Attributes:
      mesh: over the devices of all of them; None is a process alone, which agrees with itself.
    """

    mesh: Mesh | None = None

    @functools.cached_property
    def processes(self) -> list[int]:
        """The numbers of several, in order."""
        assert self.mesh is not None
        return sorted({device.process_index for device in self.mesh.devices.flat})

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.mesh is None or jax.process_index() == self.processes[0]

    def share(self, shard: Shard) -> Shard:
        """The units of this group, all of whose processes take the same.

        Args:
          shard: of this process among all of the job.
        """
        size = 1 if self.mesh is None else len(self.processes)
        return Shard(shard.index // size, shard.count // size)

    def first(self, flag_U: np.ndarray) -> np.ndarray:
        """What the first process says: bool [U], of one length in all of them."""
        return self._any(flag_U if self.is_first else np.zeros_like(flag_U))

    def any(self, flag: bool) -> bool:
        """Whether it is true in one of them. The devices first finish what they were sent."""
        return bool(self._any(np.array([flag]))[0])

    @contextlib.contextmanager
    def explaining_errors(self) -> Iterator[None]:
        """Says what an error of the devices most likely means, where one of several ended.

        Raises:
          RuntimeError: in its place.
        """
        try:
            yield
        except jax.errors.JaxRuntimeError as error:
            if self.mesh is None:
                raise
            reason = str(error).partition("\n")[0]
            raise RuntimeError(
                f"Processes {self.processes} hold the model between them, and one of them has most "
                f"likely ended: its own output says why. This is process {jax.process_index()}, and "
                f"JAX says: {reason} Written units stay: start all processes again, and they go on."
            ) from error

    def _any(self, flag_U: np.ndarray) -> np.ndarray:
        if self.mesh is None:
            return flag_U
        # A row for each device, which its process fills.
        flag_XU = jax.make_array_from_callback(
            (self.mesh.devices.size, len(flag_U)),
            NamedSharding(self.mesh, PartitionSpec(self.mesh.axis_names)),
            lambda _: flag_U[None],
        )
        return np.asarray(_any_over(self.mesh)(flag_XU))


@functools.cache
def _any_over(mesh: Mesh) -> Callable[[jax.Array], jax.Array]:
    everywhere = NamedSharding(mesh, PartitionSpec())
    return jax.jit(lambda flag_XU: flag_XU.any(axis=0), out_shardings=everywhere)
