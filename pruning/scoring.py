"""The one loop over units: read, tokenize, pack, run, write, resume.

A thread prepares units ahead of the device, the main thread sends batches
without waiting for their results, and another thread turns finished results
into a unit's file.
"""

import collections
import concurrent.futures
import dataclasses
import functools
import queue
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
import pyarrow as pa

from pruning.ahead import ahead
from pruning.documents import DocumentId, Unit
from pruning.lockstep import Lockstep
from pruning.packing import Batch
from pruning.prepared_units import Preparation, PreparedUnit, prepare
from pruning.progress import progress
from pruning.score_store import ScoreStore
from pruning.scorers import ScorableDocuments, Scorer
from pruning.sharding import stop_at_sigterm
from pruning.throughput import Meter, Throughput
from pruning.wording import plural

# One batch to per-token statistics [B, T] or [B, T, D] by name; returns before they are computed.
TokenStatistics = Callable[[Batch], Mapping[str, object]]

# A unit's results in the order of its batches, as they are sent; None where the model failed.
Results = queue.SimpleQueue

# Units prepared ahead, and units whose results wait to be written.
UNITS_AHEAD = 2

# Batches of one unit that wait for the device or are computed: enough to keep it busy, and no
# more, since each holds memory there.
BATCHES_IN_FLIGHT = 16

# A process that holds the whole model.
ALONE = Lockstep()

# A unit with so many documents, none of which the model gives a number for, ends the run.
HOPELESS_DOCUMENTS = 10


def score_units(
    store: ScoreStore,
    units: Sequence[Unit],
    *,
    how: Preparation,
    scorers: Sequence[Scorer],
    model: TokenStatistics | None = None,
    batch_rows: int = 1,
    lockstep: Lockstep = ALONE,
    note: Callable[[Throughput], None] = lambda done: None,
) -> Throughput:
    """Scores the units that are not in the store yet, and writes each when it is done.

    Args:
      store: where they go.
      units: to do.
      how: documents become rows.
      scorers: of the store, in its order.
      model: gives what the scorers need; None if they need nothing.
      batch_rows: rows of each batch that the model gets.
      lockstep: the processes that hold the model, which all call this with the same arguments;
        the first of them writes.
      note: told what is done so far, after every unit that is written.

    Asked to end by SIGTERM, it finishes the units that the device has begun.

    Raises:
      ValueError: the source is not what the manifest says, or with `how.strict`
        the first record that cannot be scored.
      InterruptedError: it was asked to end, and what it had begun is written.
    """
    todo = _todo(store, units, lockstep)
    rows = sum(unit.num_rows for unit in units)
    rows_done = rows - sum(unit.num_rows for unit in todo)
    stopped = False
    with (
        concurrent.futures.ThreadPoolExecutor(1, "write") as writing,
        progress("score", rows, "records", rows_done) as advance,
        stop_at_sigterm() as stopping,
    ):
        meter = Meter(advance, batch_rows, note)
        writes: list[concurrent.futures.Future] = []
        finish = functools.partial(_finish, store, scorers, writes=lockstep.is_first)
        for prepared in ahead(lambda unit: prepare(unit, how), todo, most=UNITS_AHEAD):
            batches = _batches(prepared, model, batch_rows)
            results: Results = queue.SimpleQueue()
            writes.append(writing.submit(finish, prepared, results, len(batches), meter))
            _send(batches, model, results)
            while len(writes) > UNITS_AHEAD:
                writes.pop(0).result()
            if stopped := lockstep.any(stopping.is_set()):
                break
        for written in writes:
            written.result()
        left = len(_todo(store, todo, lockstep))
        if stopped and left:
            raise InterruptedError(
                f"Stopped by SIGTERM: {plural(len(todo) - left, 'unit')} written, {left:,} left. The "
                "same command goes on."
            )
    return meter.done


def _todo(store: ScoreStore, units: Sequence[Unit], lockstep: Lockstep) -> list[Unit]:
    """Those of the units that the first process finds missing."""
    written = store.appeared(units)
    missing_U = lockstep.first(np.array([unit not in written for unit in units], bool))
    return [unit for unit, is_missing in zip(units, missing_U, strict=True) if is_missing]


def _batches(prepared: PreparedUnit, model: TokenStatistics | None, batch_rows: int) -> list[Batch]:
    if model is None or prepared.packed is None:
        return []
    return prepared.packed.batches(batch_rows)


def _send(batches: Sequence[Batch], model: TokenStatistics | None, results: Results) -> None:
    in_flight: collections.deque = collections.deque()
    try:
        for batch in batches:
            assert model is not None
            if len(in_flight) == BATCHES_IN_FLIGHT:
                jax.block_until_ready(in_flight.popleft())
            in_flight.append(model(batch))
            results.put(in_flight[-1])
    except BaseException:
        results.put(None)  # else who waits for the rest would wait for ever
        raise


def _finish(
    store: ScoreStore,
    scorers: Sequence[Scorer],
    prepared: PreparedUnit,
    results: Results,
    num_results: int,
    meter: Meter,
    *,
    writes: bool,
) -> None:
    """Waits for a unit's results, scores its documents and writes it, or leaves that to another."""
    needs = sorted({name for scorer in scorers for name in scorer.needs})
    batches: dict[str, list[np.ndarray]] = {name: [] for name in needs}
    for i in range(num_results):
        result = results.get()
        if result is None:
            return  # the model failed: the main thread says why, and the unit is not written
        for name in needs:
            batches[name].append(np.asarray(result[name]))
        meter.add(prepared, i, num_results)
    if not num_results:
        meter.add(prepared, 0, 1)
    documents = _scorable_documents(prepared, batches)
    columns, failed = score_columns(
        scorers, documents, prepared.scorable, num_rows=prepared.unit.num_rows
    )
    arrays = {**prepared.facts, **prepared.fields, "reason": _reasons(prepared, failed)}
    made = {
        name: pa.array(values, store.schema.field(name).type) for name, values in arrays.items()
    }
    table = pa.table({**made, **columns}).select(store.schema.names)
    if writes:
        store.write(prepared.unit, table)
        meter.note(meter.done)


def score_columns(
    scorers: Sequence[Scorer], documents: ScorableDocuments, at: np.ndarray, *, num_rows: int
) -> tuple[dict[str, pa.Array], np.ndarray]:
    """Scores some rows of a unit.

    Args:
      scorers: to ask.
      documents: M of the unit.
      at: the unit's rows that these are, [M].
      num_rows: of the unit.

    Returns:
      The scorers' columns over all rows of the unit, NaN (vectors: null) where there is no
      finite number; and bool [M], where the main column of some scorer has none.
    """
    columns: dict[str, pa.Array] = {}
    failed_M = np.zeros(len(at), bool)
    for scorer in scorers:
        scores = scorer.score(documents)
        for column in scorer.columns:
            values_M = scores[column.name]
            if column.size is None:
                is_finite_M = np.isfinite(values_M)
                row_N = np.full(num_rows, np.nan, np.float32)
                row_N[at[is_finite_M]] = values_M[is_finite_M]
                columns[column.name] = pa.array(row_N)
            else:
                half_MD = values_M.reshape(-1, column.size).astype(np.float16)
                is_finite_M = np.isfinite(half_MD).all(axis=1)
                row_ND = np.zeros((num_rows, column.size), np.float16)
                row_ND[at[is_finite_M]] = half_MD[is_finite_M]
                missing_N = np.ones(num_rows, bool)
                missing_N[at[is_finite_M]] = False
                columns[column.name] = pa.FixedSizeListArray.from_arrays(
                    pa.array(row_ND.reshape(-1)), column.size, mask=pa.array(missing_N)
                )
            if column == scorer.columns[0]:
                failed_M |= ~is_finite_M
    return columns, failed_M


def _scorable_documents(
    prepared: PreparedUnit, batches: Mapping[str, Sequence[np.ndarray]]
) -> ScorableDocuments:
    at, facts, packed = prepared.scorable, prepared.facts, prepared.packed

    def fact(name: str) -> np.ndarray:
        return np.array([facts[name][i] for i in at], np.int64)

    documents = ScorableDocuments(
        file=prepared.unit.file,
        rows_N=prepared.unit.first_row + at,
        n_bytes_N=fact("n_bytes"),
        text_hash_N=fact("text_hash"),
        texts_N=prepared.texts,
    )
    if packed is None:
        return documents
    sums = {}
    for name, values in batches.items():
        sums_P = packed.sums(np.concatenate(values) if values else np.zeros((0, 0)))
        # A document's windows stand one after the other, and each document has one.
        first_N = np.searchsorted(prepared.document_P, np.arange(len(at)))
        sums[name] = np.add.reduceat(sums_P, first_N) if len(at) else sums_P
    return dataclasses.replace(
        documents,
        n_tokens_N=fact("n_tokens"),
        n_targets_N=fact("n_targets"),
        n_predicted_N=prepared.n_predicted,
        token_sums=sums,
    )


def _reasons(prepared: PreparedUnit, failed: np.ndarray) -> list[str | None]:
    """Adds `not_finite` where a scorer gave no number for a document it was asked about."""
    reasons = list(prepared.facts["reason"])
    for i in prepared.scorable[failed]:
        reasons[i] = "not_finite"
    if failed.sum() == len(failed) >= HOPELESS_DOCUMENTS:
        unit = prepared.unit
        first = DocumentId(unit.file, unit.first_row + int(prepared.scorable[0]))
        raise ValueError(
            f"The model gives no finite number for any of {len(failed):,} documents, the first of "
            f"them {first}. Its checkpoint is damaged, or --dtype does not hold its activations: "
            "try --dtype float32."
        )
    return reasons
