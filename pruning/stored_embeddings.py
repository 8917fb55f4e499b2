"""A score store's column of vectors, as a corpus of documents."""

import dataclasses
import os
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pruning.ahead import ahead
from pruning.artifacts import FittedOn, corpus_digest
from pruning.documents import Unit
from pruning.score_store import ScoreStore, open_store
from pruning.scorers.scorer import ScorableDocuments
from pruning.sharding import Shard

COLUMN = "embedding"

# Units read while one is computed on: 25 MB each at 768 dimensions.
UNITS_AHEAD = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredEmbeddings:
    """The documents of some units of a store that have an embedding.

    Attributes:
      store: that has them.
      units: to give, in order.
    """

    store: ScoreStore
    units: tuple[Unit, ...]

    @property
    def num_rows(self) -> int:
        return sum(unit.num_rows for unit in self.units)

    @property
    def fitted_on(self) -> FittedOn:
        """What a learner that has seen this corpus has seen."""
        return FittedOn(
            name=str(self.store.folder), digest=corpus_digest(self.store.manifest), units=self.units
        )

    def part(self, shard: Shard) -> "StoredEmbeddings":
        """The units that fall to one of several processes."""
        units = shard.units(self.units, self.store.units)
        return dataclasses.replace(self, units=tuple(units))

    def __iter__(self) -> Iterator[ScorableDocuments]:
        for _, _, documents in self.with_rows():
            yield documents

    def with_rows(self) -> Iterator[tuple[Unit, np.ndarray, ScorableDocuments]]:
        """Each unit, its rows that have an embedding (their number in the unit), and these."""
        read = ahead(self._read, self.units, most=UNITS_AHEAD, threads=UNITS_AHEAD)
        for unit, (at_N, documents) in zip(self.units, read, strict=True):
            yield unit, at_N, documents

    def _read(self, unit: Unit) -> tuple[np.ndarray, ScorableDocuments]:
        table = self.store.read(unit, [COLUMN, "reason", "n_bytes", "text_hash"])
        is_there = pc.and_(pc.is_null(table["reason"]), pc.is_valid(table[COLUMN]))
        at_N = np.flatnonzero(is_there.to_numpy())
        table = table.filter(is_there).combine_chunks()
        size = table.schema.field(COLUMN).type.list_size
        column = pa.concat_arrays(table[COLUMN].chunks) if table.num_rows else None
        vectors = np.zeros(0, np.float16) if column is None else column.flatten().to_numpy()
        return at_N, ScorableDocuments(
            file=unit.file,
            rows_N=unit.first_row + at_N,
            n_bytes_N=table["n_bytes"].to_numpy(),
            text_hash_N=table["text_hash"].to_numpy(),
            embedding_ND=vectors.reshape(-1, size).astype(np.float32),
        )


def open_embeddings(folder: str | os.PathLike) -> StoredEmbeddings:
    """Opens the units that are on disk of a store of embeddings.

    Raises:
      ValueError: the store has no embeddings.
    """
    store = open_store(folder)
    sizes = {c["name"]: c.get("size") for c in store.manifest["columns"]}
    if not sizes.get(COLUMN):
        raise ValueError(
            f"{store.folder} has the columns {list(sizes)}, and no vectors {COLUMN!r}. "
            "`prune score embedding --source … --model … --output DIR` writes a store of them."
        )
    missing = set(store.missing_units())
    units = tuple(unit for unit in store.units if unit not in missing)
    if not units:
        raise ValueError(
            f"{store.folder} has none of its units on disk. Run `prune score embedding` first."
        )
    return StoredEmbeddings(store=store, units=units)
