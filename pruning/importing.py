"""Scores made elsewhere become a score store: a table is joined with a source by id or text hash."""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from pruning.documents import DocumentId, Unit
from pruning.prepared_units import Preparation, PreparedUnit, prepare
from pruning.progress import progress
from pruning.score_store import ScoreStore
from pruning.score_tables import By, TablePart
from pruning.sharding import stop_at_sigterm
from pruning.sorted_lookup import find

# Ids or hashes shown of the rows that found no document.
_SHOWN = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreTable:
    """A table in memory, sorted by key, each key once.

    It takes 8 bytes a row, 4 for each column of scores and 8 for `check_N`. While it is read
    and sorted that is some 110 bytes a row in all (measured with one column).

    Attributes:
      by: what the key is.
      ends: the rows of each file end here, by file in order; by text hash all are of file "".
      key_N: row of the document or hash of its text, int64, rising within a file.
      scores: float32 [N] by column.
      check_N: hash of the text beside an id, int64, or None.
    """

    by: By
    ends: Mapping[str, int]
    key_N: np.ndarray
    scores: Mapping[str, np.ndarray]
    check_N: np.ndarray | None

    @property
    def digest(self) -> str:
        """Of what the table says: the same for other orders of rows and other formats."""
        digest = hashlib.sha256(repr((self.by, dict(self.ends), [*self.scores])).encode())
        for array in (self.key_N, *self.scores.values(), self.check_N):
            if array is not None:
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def find(self, file: str, rows: np.ndarray, text_hashes: np.ndarray) -> np.ndarray:
        """Where the table has each document, -1 where it has not."""
        name, wanted = ("", text_hashes) if self.by == "text_hash" else (file, rows)
        if name not in self.ends:
            return np.full(len(rows), -1)
        files = [*self.ends]
        at = files.index(name)
        start = self.ends[files[at - 1]] if at else 0
        found = find(self.key_N[start : self.ends[name]], wanted)
        return np.where(found >= 0, found + start, -1)

    def key(self, at: int) -> str:
        """What row `at` is about, for people."""
        file = next(name for name, end in self.ends.items() if at < end)
        key = int(self.key_N[at])
        return f"text hash {key}" if self.by == "text_hash" else str(DocumentId(file, key))


def make_table(parts: Iterable[TablePart], by: By) -> ScoreTable:
    """Sorts what was read of a table.

    Raises:
      ValueError: it is empty, or has two rows of one key that say different things, or some
        of it has the text beside the id and some has not.
    """
    taken = list(parts)
    if not taken:
        raise ValueError("The table has no rows.")
    files = sorted({file for part in taken for file in part.files})
    number = {file: i for i, file in enumerate(files)}
    code_N = np.concatenate(
        [np.array([number[f] for f in part.files], np.int32)[part.file] for part in taken]
    )
    key_N = np.concatenate([part.key for part in taken])
    order_N = np.lexsort((key_N, code_N))
    checks = [part.check for part in taken if part.check is not None]
    if checks and len(checks) < len(taken):
        raise ValueError(
            "Some files of the table have text or text_hash beside the id, and others have not. "
            "Give it in all of them, or in none."
        )
    ends = np.cumsum(np.bincount(code_N, minlength=len(files)))
    return _each_key_once(
        ScoreTable(
            by=by,
            ends=dict(zip(files, ends.tolist(), strict=True)),
            key_N=key_N[order_N],
            scores={
                name: np.concatenate([part.scores[name] for part in taken])[order_N]
                for name in taken[0].scores
            },
            check_N=np.concatenate(checks)[order_N] if checks else None,
        )
    )


def _each_key_once(table: ScoreTable) -> ScoreTable:
    """Drops the rows that repeat what the one before them says."""
    is_again_N = np.zeros(len(table.key_N), bool)
    is_again_N[1:] = table.key_N[1:] == table.key_N[:-1]
    is_again_N[[end for end in table.ends.values() if end < len(is_again_N)]] = False
    said = dict(table.scores) if table.check_N is None else {**table.scores, "text": table.check_N}
    for name, value_N in said.items():
        is_nan_N = np.isnan(value_N)
        same_N = (value_N[1:] == value_N[:-1]) | (is_nan_N[1:] & is_nan_N[:-1])
        if (differs := np.flatnonzero(is_again_N[1:] & ~same_N)).size:
            at = int(differs[0])
            raise ValueError(
                f"The table has {table.key(at)} twice with different {name}: {value_N[at]} and "
                f"{value_N[at + 1]}. Leave one row for each document."
            )
    once_N = ~is_again_N
    kept = np.concatenate([[0], np.cumsum(once_N)])
    return dataclasses.replace(
        table,
        ends={file: int(kept[end]) for file, end in table.ends.items()},
        key_N=table.key_N[once_N],
        scores={name: value_N[once_N] for name, value_N in table.scores.items()},
        check_N=None if table.check_N is None else table.check_N[once_N],
    )


def import_units(
    store: ScoreStore, units: Sequence[Unit], table: ScoreTable, how: Preparation
) -> None:
    """Writes those of some units that are not in the store yet.

    A row without a partner gets the reason `not_imported`; one whose main score is not
    finite gets `not_finite`.

    Raises:
      ValueError: the text of a document is not the one that the table has for its id.
      InterruptedError: it was asked to end by SIGTERM; the unit it was at is written, and others
        are left.
    """
    written = store.appeared(units)
    todo = [unit for unit in units if unit not in written]
    rows = sum(unit.num_rows for unit in units)
    rows_done = rows - sum(unit.num_rows for unit in todo)
    with (
        progress("import", rows, "documents", rows_done) as advance,
        stop_at_sigterm() as stopping,
    ):
        for unit in todo:
            store.write(unit, _joined(store, table, prepare(unit, how)))
            advance(unit.num_rows)
            if stopping.is_set() and unit != todo[-1]:
                raise InterruptedError("Stopped by SIGTERM. The same command goes on.")


def _joined(store: ScoreStore, table: ScoreTable, prepared: PreparedUnit) -> pa.Table:
    unit, scorable, facts = prepared.unit, prepared.scorable, prepared.facts
    text_hashes = np.array([facts["text_hash"][i] for i in scorable], np.int64)
    at = table.find(unit.file, unit.first_row + scorable, text_hashes)
    if table.check_N is not None:
        _check_texts(table, unit, at, text_hashes)
    reasons = list(facts["reason"])
    columns: dict[str, np.ndarray] = {}
    for name, score_N in table.scores.items():
        columns[name] = np.full(unit.num_rows, np.nan, np.float32)
        columns[name][scorable[at >= 0]] = score_N[at[at >= 0]]
    main = next(iter(columns.values()))
    for i, found in zip(scorable, at, strict=True):
        if found < 0:
            reasons[i] = "not_imported"
        elif np.isnan(main[i]):
            reasons[i] = "not_finite"
    arrays = {**columns, **facts, **prepared.fields, "reason": reasons}
    return pa.table({f.name: pa.array(arrays[f.name], f.type) for f in store.schema}, store.schema)


def _check_texts(table: ScoreTable, unit: Unit, at: np.ndarray, text_hashes: np.ndarray) -> None:
    assert table.check_N is not None
    is_other = (at >= 0) & (table.check_N[at] != text_hashes)
    if is_other.any():
        first = int(np.argmax(is_other))
        raise ValueError(
            f"{table.key(int(at[first]))} has text hash {text_hashes[first]} in the source and "
            f"{table.check_N[at[first]]} in the table, and so have {is_other.sum() - 1:,} more of "
            f"the unit from row {unit.first_row}: the table is about other texts, or its rows are "
            "shifted. Make it again from these files, or join it with --by text_hash."
        )


def unused_rows(store: ScoreStore, table: ScoreTable) -> tuple[int, list[str]]:
    """How many rows of the table found no record in a finished store, and the first of them."""
    is_used_N = np.zeros(len(table.key_N), bool)
    for unit, columns in store.tables(["text_hash"]):
        known = columns["text_hash"].is_valid().to_numpy()
        rows = unit.first_row + np.flatnonzero(known)
        at = table.find(unit.file, rows, columns["text_hash"].drop_null().to_numpy())
        is_used_N[at[at >= 0]] = True
    unused = np.flatnonzero(~is_used_N)
    return len(unused), [table.key(int(at)) for at in unused[:_SHOWN]]
