"""What a score store holds, counted over its units."""

from collections import Counter, defaultdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pruning.documents import REASONS_ASKED_FOR, DocumentId
from pruning.score_store import ScoreStore

EXAMPLES_EACH = 5


def count(store: ScoreStore) -> dict[str, Any]:
    """Documents, bytes and tokens of a store, and what could not be scored.

    Returns:
      units, rows, scored, truncated, n_bytes, n_tokens, n_targets (of scored
      rows); `unscored` and `notes`: rows by reason and by note; `examples`: the
      first ids of each reason and note.
    """
    totals: Counter[str] = Counter()
    by_kind: dict[str, Counter[str]] = {"reason": Counter(), "note": Counter()}
    examples: dict[str, list[str]] = defaultdict(list)
    sums = ["n_bytes", "n_tokens", "n_targets", "truncated"]
    for unit, table in store.tables(["reason", "note", *sums]):
        scored = table.filter(pc.is_null(table["reason"]))
        totals.update({"units": 1, "rows": len(table), "scored": len(scored)})
        for name in sums:
            totals[name] += pc.sum(scored[name].cast(pa.int64())).as_py() or 0
        for kind, counter in by_kind.items():
            for key, rows in _rows_by_value(table[kind]).items():
                counter[key] += len(rows)
                if key not in REASONS_ASKED_FOR:
                    room = EXAMPLES_EACH - len(examples[key])
                    ids = (DocumentId(unit.file, unit.first_row + row) for row in rows[:room])
                    examples[key] += map(str, ids)
    return {
        **{k: totals[k] for k in ("units", "rows", "scored", *sums)},
        "unscored": dict(sorted(by_kind["reason"].items())),
        "notes": dict(sorted(by_kind["note"].items())),
        "examples": dict(sorted(examples.items())),
    }


def _rows_by_value(column: pa.ChunkedArray) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = defaultdict(list)
    if column.null_count < len(column):
        for row, value in enumerate(column.to_pylist()):
            if value is not None:
                rows[value].append(row)
    return rows
