"""From a score store to a selection folder: rank, cut, keep bits, books."""

import dataclasses
import hashlib
import os
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import pruning
from pruning.accounting import Accounting
from pruning.documents import SourceFile, Unit
from pruning.expressions import Expression, parse_expression
from pruning.hashing import text_hash
from pruning.keep_bits import GUARD_ROWS, Selection, write_selection
from pruning.score_store import ScoreStore
from pruning.selection import Chunk, Chunks, Cut, Rule, find_cut

# Scores of more rows than this are read again for every pass (8 bytes a row).
ROWS_IN_MEMORY = 50_000_000


def select(
    store: ScoreStore,
    output: str | os.PathLike,
    *,
    rule: Rule,
    score: str | None = None,
    by: list[str] | None = None,
    partial: bool = False,
) -> Selection:
    """Applies a rule to one column of a score store, or to an expression, and writes the keep bits.

    Args:
      store: of the scores.
      output: folder of the selection; must not exist.
      rule: what to keep.
      score: column, or expression of columns, to rank by; the store's main column by default.
        Documents whose numbers give an expression no finite value are dropped as `undefined`.
      by: carried fields to keep books by; `domain` by default, if there is one.
      partial: take a store that is not complete. Rows without a unit are dropped
        as `not_sampled`.

    Raises:
      ValueError: no such column or field, no expression, or the store is not complete.
    """
    score = score or next(iter(store.score_columns))
    if score not in store.score_columns:
        score = parse_expression(score, store.score_columns).text
    store = store.with_scores([score])
    by = [f for f in ("domain",) if f in store.fields] if by is None else by
    for field in by:
        if field not in store.fields:
            raise ValueError(
                f"The store has no field {field!r}; it has {', '.join(store.fields) or 'none'}."
            )
    missing = len(store.missing_units())
    if missing and not partial:
        raise ValueError(
            f"Score store {store.folder} lacks {missing:,} of {len(store.units):,} units. Run "
            "`prune score` again to finish it, or give --partial to drop their documents."
        )
    cut = find_cut(rule, _chunks(store, score))
    accounting = Accounting(by)
    text_hashes: dict[str, list[str | None]] = {}
    files = list(_kept_files(store, score, cut, accounting, text_hashes))
    return write_selection(
        output,
        files=files,
        source=store.manifest["source"],
        info={
            "code_version": pruning.__version__,
            "rule": dataclasses.asdict(rule),
            "score": score,
            "thresholds": cut.thresholds,
            "stores": [
                {
                    "path": os.fspath(store.folder.resolve()),
                    "manifest": manifest_digest(store),
                    "digest": digest(store),
                }
            ],
            **accounting.result(),
            "unit_rows": store.manifest["unit_rows"],
            "text_hashes": text_hashes,
        },
    )


def manifest_digest(store: ScoreStore) -> str:
    """SHA-256 of the manifest: what was scored, with what."""
    return hashlib.sha256((store.folder / "manifest.json").read_bytes()).hexdigest()


def digest(store: ScoreStore) -> str:
    """SHA-256 over the manifest and every unit's file, in order."""
    total = hashlib.sha256((store.folder / "manifest.json").read_bytes())
    for unit in store.units:
        if store.path(unit).exists():
            total.update(hashlib.sha256(store.path(unit).read_bytes()).digest())
    return total.hexdigest()


def _chunks(store: ScoreStore, score: str) -> Chunks:
    """Opens the scores for a pass; keeps them in memory where that is cheap."""

    def read() -> Iterator[Chunk]:
        for unit, table in store.tables([score]):
            yield _chunk(unit, table, score)

    if sum(file.num_rows for file in store.files.values()) > ROWS_IN_MEMORY:
        return read
    chunks = list(read())
    return lambda: chunks


def _chunk(unit: Unit, table: pa.Table, score: str) -> Chunk:
    rows_N = unit.first_row + np.arange(unit.num_rows)
    return Chunk(unit.file, rows_N, table[score].to_numpy().astype(np.float64))


def _kept_files(
    store: ScoreStore,
    score: str,
    cut: Cut,
    accounting: Accounting,
    text_hashes: dict[str, list[str | None]],
) -> Iterator[tuple[SourceFile, np.ndarray, Mapping[int, int]]]:
    """Keep bits and guards of each file; fills the books and the digests of text hashes."""
    columns = [score, "reason", "text_hash", "n_tokens", "n_bytes", *accounting.fields]
    if score in store.expressions:
        columns += store.expressions[score].columns
    units_of: dict[str, list[Unit]] = {path: [] for path in store.files}
    for unit in store.units:
        units_of[unit.file].append(unit)
    for path, file in store.files.items():
        keep_N = np.zeros(file.num_rows, bool)
        guards: dict[int, int] = {}
        text_hashes[path] = []
        for unit in units_of[path]:
            if not store.path(unit).exists():
                accounting.add_unread(unit.num_rows, "not_sampled")
                text_hashes[path].append(None)
                continue
            table = store.read(unit, columns)
            chunk = _chunk(unit, table, score)
            keep_N[chunk.rows_N] = cut.keeps(chunk)
            books = _with_undefined(table, store.expressions.get(score))
            accounting.add(books, keep_N[chunk.rows_N], ~np.isnan(chunk.score_N))
            text_hashes[path].append(text_hashes_digest(table["text_hash"]))
            guards = guards or _guards(chunk.rows_N, table["text_hash"])
        yield file, keep_N, guards


def _with_undefined(table: pa.Table, expression: Expression | None) -> pa.Table:
    """Gives rows the reason `undefined` whose numbers the expression has no finite value for."""
    if expression is None:
        return table
    undefined_N = expression.is_undefined({c: table[c].to_numpy() for c in expression.columns})
    reason_N = pc.if_else(pa.array(undefined_N), "undefined", table["reason"])
    return table.set_column(table.column_names.index("reason"), "reason", reason_N)


def _guards(rows_N: np.ndarray, text_hash_N: pa.ChunkedArray) -> dict[int, int]:
    """Text hashes of some rows from the first one on that has a text."""
    has_text_N = pc.is_valid(text_hash_N).to_numpy()
    if not has_text_N.any():
        return {}
    candidates = int(has_text_N.argmax()) + np.array(GUARD_ROWS)
    chosen = [i for i in candidates if i < len(rows_N) and has_text_N[i]]
    return {int(rows_N[i]): text_hash_N[int(i)].as_py() for i in chosen}


def text_hashes_digest(text_hash_N: pa.ChunkedArray) -> str:
    """SHA-256 of a unit's text hashes as little-endian int64.

    0 stands for a record without text and for one with an empty text: an export
    cannot tell the two apart, and neither is ever kept.
    """
    hashes_N = pc.fill_null(text_hash_N, 0).to_numpy()
    hashes_N = np.where(hashes_N == text_hash(b""), 0, hashes_N)
    return hashlib.sha256(hashes_N.astype("<i8").tobytes()).hexdigest()
