"""A cut applied to documents: which of them stay, and what the books count of them."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pruning.accounting import Accounting
from pruning.cuts import Cut
from pruning.documents import Unit
from pruning.kept_scores import KeptScores
from pruning.ranked_documents import RankedDocuments
from pruning.ranking import Chunk
from pruning.several_stores import Place


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """A unit with its keep bits.

    Attributes:
      chunk: what was ranked.
      keep_N: the keep bits, bool.
      books: what it adds to the books.
      is_whole: whether a store has all rows.
    """

    chunk: Chunk
    keep_N: np.ndarray
    books: Accounting
    is_whole: bool

    def enter(self, books: Accounting, kept: KeptScores) -> None:
        """Enters it into the books of all units."""
        books.merge(self.books)
        kept.add(self.chunk, self.keep_N)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judge:
    """Judges unit by unit; any thread may.

    Attributes:
      ranked: the documents.
      cut: that decides.
      fields: carried fields to keep books by.
    """

    ranked: RankedDocuments
    cut: Cut
    fields: Sequence[str]

    @property
    def places(self) -> dict[str, Place]:
        """What is read."""
        stores = self.ranked.stores
        facts = {
            f"{name} {fact}": Place(name, fact)
            for name in stores.stores
            for fact in ("reason", "n_bytes")
        }
        tokens = {"n_tokens": Place(stores.with_tokens, "n_tokens")}
        fields = {field: stores.fields[field] for field in self.fields}
        return {**self.ranked.places, **facts, **tokens, **fields}

    def __call__(self, unit: Unit, table: pa.Table) -> Judged | None:
        """Judges one table of `places`, which may have more columns; None if no store has the unit."""
        reasons = {name: table[f"{name} reason"] for name in self.ranked.stores.stores}
        unread_N = np.logical_and.reduce([_is_unread(reason_N) for reason_N in reasons.values()])
        if unread_N.all():
            return None
        chunk = self.ranked.chunk(unit, table)
        n_bytes_N, *of_others = (table[f"{name} n_bytes"] for name in reasons)
        if of_others:
            n_bytes_N = pc.coalesce(n_bytes_N, *of_others)
        reason_N = self.ranked.reasons(unit, table, reasons, chunk.score_N)
        counted = table.append_column("n_bytes", n_bytes_N).append_column("reason", reason_N)
        keep_N, books = self.cut.keeps(chunk), Accounting(self.fields)
        books.add(counted, keep_N, ~np.isnan(chunk.score_N))
        return Judged(chunk=chunk, keep_N=keep_N, books=books, is_whole=not unread_N.any())


def _is_unread(reason_N: pa.ChunkedArray) -> np.ndarray:
    if reason_N.null_count == len(reason_N):
        return np.zeros(len(reason_N), bool)
    return pc.fill_null(pc.equal(reason_N, "not_sampled"), False).to_numpy()
