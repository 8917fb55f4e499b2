"""From a store of embeddings to a store of scores: no source is read, no model runs."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

import pruning
from pruning.artifacts import corpus_digest
from pruning.documents import DocumentId, Unit
from pruning.manifests import FACTS, columns_of, make_manifest
from pruning.progress import progress
from pruning.score_store import ScoreStore
from pruning.scorers import Scorer
from pruning.scoring import HOPELESS_DOCUMENTS, score_columns
from pruning.sharding import stop_at_sigterm
from pruning.stored_embeddings import StoredEmbeddings
from pruning.throughput import Throughput

# Of the embeddings' manifest, what also holds for scores made of them.
INHERITED = ("where", "max_document_bytes")


def rescoring_manifest(
    embeddings: ScoreStore, scorers: Sequence[Scorer], fitted: Mapping[str, str]
) -> dict[str, Any]:
    """The manifest of a store of scores made of embeddings.

    Args:
      embeddings: the store with the same files and units.
      scorers: of the new store.
      fitted: digest of what was learnt, by the learner's name.
    """
    known = embeddings.manifest
    return make_manifest(
        files=list(embeddings.files.values()),
        source=known["source"],
        unit_rows=known["unit_rows"],
        scorers={s.name: s.settings() for s in scorers},
        columns=columns_of(scorers, fitted),
        settings={
            "code_version": pruning.__version__,
            **{name: known.get(name) for name in INHERITED},
            "embeddings": {"name": str(embeddings.folder), "digest": corpus_digest(known)},
            "fitted": dict(fitted),
        },
    )


def rescore_units(
    store: ScoreStore,
    embeddings: StoredEmbeddings,
    *,
    scorers: Sequence[Scorer],
    note: Callable[[Throughput], None] = lambda done: None,
) -> Throughput:
    """Scores the units that are not in the store yet, and writes each when it is done.

    Facts and carried fields are those of the embeddings' store.

    Args:
      store: made with `rescoring_manifest`.
      embeddings: of the documents.
      scorers: of the store, in its order.
      note: told what is done so far, after every unit that is written.

    Raises:
      InterruptedError: it was asked to end by SIGTERM; the unit it was at is written, and others
        are left.
    """
    units = embeddings.units
    written = store.appeared(units)
    todo = tuple(unit for unit in units if unit not in written)
    rows = embeddings.num_rows
    left = StoredEmbeddings(store=embeddings.store, units=todo)
    done, begun = Throughput(), time.monotonic()
    with (
        progress("score", rows, "records", rows - left.num_rows) as advance,
        stop_at_sigterm() as stopping,
    ):
        for unit, at_N, documents in left.with_rows():
            columns, failed_N = score_columns(scorers, documents, at_N, num_rows=unit.num_rows)
            _check_hope(unit, at_N, failed_N)
            facts = embeddings.store.read(unit, [*FACTS, *store.fields])
            reasons = facts["reason"].to_numpy(zero_copy_only=False).copy()
            reasons[at_N[failed_N]] = "not_finite"
            arrays = {
                **{name: facts[name] for name in facts.column_names},
                **columns,
                "reason": pa.array(reasons, pa.string()),
            }
            store.write(unit, pa.table(arrays).select(store.schema.names))
            done.documents += len(at_N)
            done.seconds = time.monotonic() - begun
            note(done)
            advance(unit.num_rows)
            if stopping.is_set() and unit != todo[-1]:
                raise InterruptedError("Stopped by SIGTERM. The same command goes on.")
    return done


def _check_hope(unit: Unit, at_N: np.ndarray, failed_N: np.ndarray) -> None:
    if failed_N.sum() == len(failed_N) >= HOPELESS_DOCUMENTS:
        first = DocumentId(unit.file, unit.first_row + int(at_N[0]))
        raise ValueError(
            f"None of {len(failed_N):,} documents of a unit has an embedding with a direction, the "
            f"first of them {first}: they are all zero. Make the embeddings anew."
        )
