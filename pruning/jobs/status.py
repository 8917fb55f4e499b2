"""`prune status`: how far a score store is, whoever works on it."""

import datetime
import time
from typing import Any

from pruning.wording import plural

# Units of the last hour tell the rate; of the last day, if there are none.
RECENT_SECONDS = (3_600, 86_400)
FILES_NAMED = 5


def status(scores: str) -> dict[str, Any]:
    """Says what is done, what is missing, how fast it goes, how long it will take and what it cost.

    The rate is that of all processes together, from the times at which units appeared.

    Args:
      scores: folder of a score store.

    Returns:
      units, units_done, rows, rows_done, scored (of the rows; None until the store is complete),
      rows_per_second (None if fewer than two units were written lately), seconds_left, and device_hours of all runs so far (None if none is noted).
    """
    from pruning.run_costs import cost_sentence, read_costs, total_costs
    from pruning.score_store import open_store

    store = open_store(scores)
    units = store.units
    written = store.appeared(units)
    rows = sum(unit.num_rows for unit in units)
    rows_done = sum(unit.num_rows for unit in written)
    rate = _rows_per_second(written)
    left = (rows - rows_done) / rate if rate else None
    costs = total_costs(read_costs(store.folder))
    result = {
        "units": len(units),
        "units_done": len(written),
        "rows": rows,
        "rows_done": rows_done,
        "scored": store.read_success()["scored"] if store.is_complete else None,
        "rows_per_second": rate,
        "seconds_left": left,
        "device_hours": sum(cost.device_hours for cost in costs) if costs else None,
    }
    print(_summary(scores, result))
    for cost in costs:
        print(f"  {cost_sentence(cost)}")
    missing = [unit for unit in units if unit not in written]
    for unit in missing[:FILES_NAMED]:
        print(f"  missing: {store.path(unit)}")
    if len(missing) > FILES_NAMED:
        print(f"  and {len(missing) - FILES_NAMED:,} more")
    return result


def _rows_per_second(written: dict[Any, float]) -> float | None:
    now = time.time()
    for seconds in RECENT_SECONDS:
        recent = {u: t for u, t in written.items() if t > now - seconds}
        if len(recent) > 1:
            first = min(recent, key=lambda u: recent[u])
            # From the first unit's end on: it began before the time that is looked at.
            rows = sum(unit.num_rows for unit in recent if unit != first)
            return rows / max(now - recent[first], 1e-9)
    return None


def _summary(scores: str, result: dict[str, Any]) -> str:
    done = result["rows_done"] / max(result["rows"], 1)
    line = (
        f"{scores}: {result['units_done']:,} of {plural(result['units'], 'unit')}, {result['rows_done']:,} of "
        f"{plural(result['rows'], 'record')} done ({done:.1%})"
    )
    if result["scored"] is not None:
        return f"{line}, {result['scored']:,} scored, complete."
    if result["units_done"] == result["units"]:
        return f"{line}. Any shard's `prune score` marks it as complete."
    if result["rows_per_second"] is None:
        return f"{line}. Too few units were written in the last day to tell a rate."
    left = datetime.timedelta(seconds=round(result["seconds_left"]))
    return f"{line}, {result['rows_per_second']:,.1f} records/s, {left} left."


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("status")
