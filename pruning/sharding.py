"""Which units a process takes: a sample, or its share of them; and when it has to stop."""

import contextlib
import dataclasses
import signal
import threading
from collections.abc import Iterator, Sequence

import numpy as np

from pruning.documents import Unit
from pruning.hashing import id_hash


@dataclasses.dataclass(frozen=True)
class Shard:
    """One of several processes that share a store and nothing else.

    They may run in any order, at different times, and twice.

    Attributes:
      index: from 0.
      count: of all.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(
                f"--shard_index is {self.index} and --num_shards {self.count}; the index counts from 0 "
                "and is below the number."
            )

    def units(self, units: Sequence[Unit], all_units: Sequence[Unit]) -> list[Unit]:
        """Those of some units whose number among all is this process's.

        Args:
          units: to be shared.
          all_units: of the store, which number them.
        """
        if self.count == 1:
            return list(units)
        mine = set(all_units[self.index :: self.count])
        return [unit for unit in units if unit in mine]


def sampled_units(units: Sequence[Unit], share: float | None, seed: int) -> list[Unit]:
    """A seeded share of the units, at least one, in order; a larger share contains a smaller.

    Args:
      units: all units of the store.
      share: in (0, 1], or None for all.
      seed: of the draw.
    """
    if share is None:
        return list(units)
    if not 0 < share <= 1:
        raise ValueError(f"sample is {share}; it is a share of the units, above 0 and at most 1.")
    drawn = sorted(units, key=lambda u: int(id_hash(u.file, u.first_row, seed)))
    chosen = set(drawn[: max(1, int(np.ceil(share * len(units))))])
    return [unit for unit in units if unit in chosen]


@contextlib.contextmanager
def stop_at_sigterm() -> Iterator[threading.Event]:
    """An event that is set when the process is asked to end; asked twice, it ends at once.

    Schedulers send SIGTERM before they take a machine away. Outside the main thread, where no
    signal can be caught, the event is never set.
    """
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return
    before = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: object) -> None:
        del number, frame
        stopping.set()
        signal.signal(signal.SIGTERM, before)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield stopping
    finally:
        signal.signal(signal.SIGTERM, before)
