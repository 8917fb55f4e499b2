"""What the runs that filled a score store cost: a small file each, in its folder `.costs`.

No part of what a store says: the same manifest gives the same units, and another run another
cost. So nothing compares or digests these files, and whoever deletes them loses nothing else.
"""

import contextlib
import dataclasses
import datetime
import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence

from etils import epath

from pruning.local_processes import available_cores
from pruning.publishing import publish_bytes
from pruning.throughput import Throughput
from pruning.wording import plural

# Hidden, since a store mirrors its source files, and none of these is.
COSTS = ".costs"
# Between two notes of a run; one that is killed loses what came after its last.
SECONDS_BETWEEN = 20.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Devices:
    """What a process computes on.

    Attributes:
      kind: as the maker calls it; "CPU core" where there is no other.
      count: of them.
      flops_per_position: of the matrix products, for a computed position of encoder or decoder;
        None where no model runs.
    """

    kind: str
    count: int
    flops_per_position: float | None = None


def this_cpu() -> Devices:
    """The cores that a process without a model may use."""
    return Devices(kind="CPU core", count=available_cores())


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunCost:
    """What one process did for a store, or several together.

    Attributes:
      device, devices: kind and number.
      seconds: from the beginning of the command, loading, learning and compiling included.
      scoring_seconds: of the scoring loop.
      documents, tokens: that could be scored.
      flops: of matrix products; None where no model ran.
      began: UTC, as ISO 8601 has it; of several, the first.
      runs: how many these are.
    """

    device: str
    devices: int
    seconds: float
    scoring_seconds: float
    documents: int
    tokens: int
    flops: float | None
    began: str
    runs: int = 1

    @property
    def device_hours(self) -> float:
        return self.devices * self.seconds / 3600

    @property
    def documents_per_second(self) -> float:
        return self.documents / max(self.scoring_seconds, 1e-9)

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / max(self.scoring_seconds, 1e-9)

    @property
    def flops_per_second(self) -> float | None:
        return None if self.flops is None else self.flops / max(self.scoring_seconds, 1e-9)


@contextlib.contextmanager
def noting_cost(
    folder: epath.Path, devices: Devices, begun: float
) -> Iterator[Callable[[Throughput], None]]:
    """Gives what notes the cost of a run that fills a store, now and then and at its end.

    A run that scores nothing leaves no note.

    Args:
      folder: of the store.
      devices: that the run computes on.
      begun: when the command began, by `time.monotonic`.
    """
    began = datetime.datetime.now(datetime.UTC) - datetime.timedelta(
        seconds=time.monotonic() - begun
    )
    path = folder / COSTS / f"{uuid.uuid4().hex[:16]}.json"
    latest: list[Throughput] = []
    written = time.monotonic()

    def write() -> None:
        (done,) = latest
        flops = devices.flops_per_position
        cost = RunCost(
            device=devices.kind,
            devices=devices.count,
            seconds=time.monotonic() - begun,
            scoring_seconds=done.seconds,
            documents=done.documents,
            tokens=done.tokens,
            flops=None if flops is None else flops * done.allocated_positions,
            began=began.isoformat(timespec="milliseconds"),
        )
        # Scores that cannot be written are an error; a note about them is not worth one.
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            publish_bytes(path, (json.dumps(dataclasses.asdict(cost), indent=1) + "\n").encode())

    def note(done: Throughput) -> None:
        nonlocal written
        latest[:] = [dataclasses.replace(done)]
        if time.monotonic() - written > SECONDS_BETWEEN:
            write()
            written = time.monotonic()

    try:
        yield note
    finally:
        if latest:
            write()


def read_costs(folder: epath.Path) -> list[RunCost]:
    """The costs of a store's runs, in the order in which they began; none where none is noted."""
    paths = (folder / COSTS).glob("[!.]*.json") if (folder / COSTS).exists() else ()
    found = (json.loads(path.read_text()) for path in paths if path.is_file())
    costs = [RunCost(**x) for x in found if x.keys() == RunCost.__dataclass_fields__.keys()]
    return sorted(costs, key=lambda cost: cost.began)


def total_costs(costs: Sequence[RunCost]) -> list[RunCost]:
    """Sums of the runs on the same number of the same devices.

    Seconds add up, so that rates are those of one process, however many ran side by side.
    """
    together: dict[tuple[str, int], RunCost] = {}
    for cost in costs:
        key = cost.device, cost.devices
        together[key] = _sum(together[key], cost) if key in together else cost
    return list(together.values())


def _sum(one: RunCost, other: RunCost) -> RunCost:
    flops = [cost.flops for cost in (one, other) if cost.flops is not None]
    added = ("seconds", "scoring_seconds", "documents", "tokens", "runs")
    return dataclasses.replace(
        one,
        **{name: getattr(one, name) + getattr(other, name) for name in added},
        flops=sum(flops) if flops else None,
        began=min(one.began, other.began),
    )


def cost_sentence(cost: RunCost) -> str:
    """Device-hours and rates, as a person reads them."""
    rates = [f"{cost.documents_per_second:,.1f} documents/s"]
    if cost.tokens:
        rates.append(f"{cost.tokens_per_second:,.0f} tokens/s")
    if cost.flops_per_second is not None:
        rates.append(f"{_si(cost.flops_per_second)}FLOP/s")
    each = "" if cost.runs == 1 else f" in {cost.runs:,} runs"
    return (
        f"{cost.device_hours:.2g} device-hours{each} on {cost.devices:,} × {cost.device}, for "
        f"{plural(cost.documents, 'document')}; "
        f"while scoring, {', '.join(rates)}" + ("" if cost.runs == 1 else " a run")
    )


def _si(value: float) -> str:
    """A number with its prefix.

    >>> _si(3.92e9), _si(2.47e14)
    ('3.9 G', '247 T')
    """
    for size, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:,.0f} "
