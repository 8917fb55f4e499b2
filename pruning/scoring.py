"""The one loop over units: read, tokenize, pack, run, write, resume.

A thread prepares units ahead of the device, the main thread sends batches
without waiting for their results, and another thread turns finished results
into a unit's file.
"""

import collections
import concurrent.futures
import dataclasses
import queue
import time
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
import pyarrow as pa

from pruning.ahead import ahead
from pruning.documents import DocumentId, Unit
from pruning.packing import Batch
from pruning.prepared_units import Preparation, PreparedUnit, prepare
from pruning.progress import Advance, progress
from pruning.score_store import ScoreStore
from pruning.scorers import ScorableDocuments, Scorer
from pruning.sharding import stop_at_sigterm

# One batch to per-token statistics [B, T] or [B, T, D] by name; returns before they are computed.
TokenStatistics = Callable[[Batch], Mapping[str, object]]

# A unit's results in the order of its batches, as they are sent; None where the model failed.
Results = queue.SimpleQueue

# Units prepared ahead, and units whose results wait to be written.
UNITS_AHEAD = 2

# Batches of one unit that wait for the device or are computed: enough to keep it busy, and no
# more, since each holds memory there.
BATCHES_IN_FLIGHT = 16

# A unit with so many documents, none of which the model gives a number for, ends the run.
HOPELESS_DOCUMENTS = 10


@dataclasses.dataclass
class Throughput:
    """What a run did. Times in seconds, positions of encoder plus decoder."""

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
    def tokens_per_second(self) -> float:
        return self.tokens / max(self.seconds, 1e-9)


def score_units(
    store: ScoreStore,
    units: Sequence[Unit],
    *,
    how: Preparation,
    scorers: Sequence[Scorer],
    model: TokenStatistics | None = None,
    batch_rows: int = 1,
) -> Throughput:
    """Scores the units that are not in the store yet, and writes each when it is done.

    Args:
      store: where they go.
      units: to do.
      how: documents become rows.
      scorers: of the store, in its order.
      model: gives what the scorers need; None if they need nothing.
      batch_rows: rows of each batch that the model gets.

    Asked to end by SIGTERM, it finishes the units that the device has begun.

    Raises:
      ValueError: the source is not what the manifest says, or with `how.strict`
        the first record that cannot be scored.
      InterruptedError: it was asked to end, and what it had begun is written.
    """
    written = store.appeared(units)
    todo = [unit for unit in units if unit not in written]
    rows = sum(unit.num_rows for unit in units)
    rows_done = rows - sum(unit.num_rows for unit in todo)
    with (
        concurrent.futures.ThreadPoolExecutor(1, "write") as writing,
        progress("score", rows, "documents", rows_done) as advance,
        stop_at_sigterm() as stopping,
    ):
        meter = _Meter(advance, batch_rows)
        writes: list[concurrent.futures.Future] = []
        for prepared in ahead(lambda unit: prepare(unit, how), todo, most=UNITS_AHEAD):
            batches = _batches(prepared, model, batch_rows)
            results: Results = queue.SimpleQueue()
            writes.append(
                writing.submit(_finish, store, prepared, scorers, results, len(batches), meter)
            )
            _send(batches, model, results)
            while len(writes) > UNITS_AHEAD:
                writes.pop(0).result()
            if stopping.is_set():
                break
        for write in writes:
            write.result()
        left = len(todo) - len(store.appeared(todo))
        if stopping.is_set() and left:
            raise InterruptedError(
                f"Stopped by SIGTERM: {len(todo) - left:,} units are written, {left:,} are left. The "
                "same command goes on."
            )
    return meter.done


class _Meter:
    """Counts what the device has finished, batch by batch, and reports it."""

    def __init__(self, advance: Advance, batch_rows: int):
        self.done = Throughput()
        self._advance, self._batch_rows = advance, batch_rows
        self._begun = time.monotonic()

    def add(self, prepared: PreparedUnit, batch: int, num_batches: int) -> None:
        """The batch of that number, of `num_batches` of the unit, is there."""

        def share(total: int) -> int:
            return total * (batch + 1) // num_batches - total * batch // num_batches

        documents, done = share(prepared.unit.num_rows), self.done
        done.documents += documents
        done.tokens += share(prepared.n_read)
        if prepared.packed is not None and prepared.packed.num_rows:
            done.real_positions += share(prepared.packed.num_real)
            done.allocated_positions += self._batch_rows * prepared.packed.positions_per_row
        done.seconds = time.monotonic() - self._begun
        rates = {"tokens": f"{done.tokens_per_second:,.0f}/s", "fill": f"{done.fill:.1%}"}
        self._advance(documents, **(rates if prepared.packed is not None else {}))


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
    prepared: PreparedUnit,
    scorers: Sequence[Scorer],
    results: Results,
    num_results: int,
    meter: _Meter,
) -> None:
    """Waits for a unit's results, scores its documents and writes it."""
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
    store.write(prepared.unit, pa.table({**made, **columns}).select(store.schema.names))


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
