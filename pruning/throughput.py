"""What a run did, counted as the device finishes it."""

import dataclasses
import time
from collections.abc import Callable

from pruning.prepared_units import PreparedUnit
from pruning.progress import Advance


@dataclasses.dataclass
class Throughput:
    """What a run did: documents that could be scored, seconds, positions of encoder plus decoder."""

    documents: int = 0
    tokens: int = 0
    real_positions: int = 0
    allocated_positions: int = 0
    seconds: float = 0.0

    @property
    def fill(self) -> float:
        """Share of the computed positions that hold a token."""
        return self.real_positions / max(self.allocated_positions, 1)

    @property
    def documents_per_second(self) -> float:
        return self.documents / max(self.seconds, 1e-9)

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / max(self.seconds, 1e-9)


class Meter:
    """Counts what the device has finished, batch by batch, and reports it."""

    def __init__(self, advance: Advance, batch_rows: int, note: Callable[[Throughput], None]):
        self.done = Throughput()
        self.note = note
        self._advance, self._batch_rows = advance, batch_rows
        self._begun = time.monotonic()

    def add(self, prepared: PreparedUnit, batch: int, num_batches: int) -> None:
        """The batch of that number, of `num_batches` of the unit, is there."""

        def share(total: int) -> int:
            return total * (batch + 1) // num_batches - total * batch // num_batches

        done = self.done
        done.documents += share(len(prepared.scorable))
        done.tokens += share(prepared.n_read)
        if prepared.packed is not None and prepared.packed.num_rows:
            done.real_positions += share(prepared.packed.num_real)
            done.allocated_positions += self._batch_rows * prepared.packed.positions_per_row
        done.seconds = time.monotonic() - self._begun
        rates = {"tokens": f"{done.tokens_per_second:,.0f}/s", "fill": f"{done.fill:.1%}"}
        self._advance(
            share(prepared.unit.num_rows), **(rates if prepared.packed is not None else {})
        )
