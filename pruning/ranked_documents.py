"""What is ranked: a value for every document of a source, or the reason why it has none."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pruning.corpus_statistics import fit_expression
from pruning.cuts import Cut, find_cut
from pruning.documents import REASONS_ASKED_FOR, Unit
from pruning.expressions import Expression
from pruning.groups import Groups, find_groups
from pruning.prepared_units import Where
from pruning.ranking import Chunk, Chunks
from pruning.selection import Rule
from pruning.several_stores import Place, SeveralStores

# What takes more than this is read again for every pass: 4 bytes a document for the score, 8
# more each for its group and its tokens.
BYTES_IN_MEMORY = 1 << 30

T = TypeVar("T")

_GROUP, _TOKENS = "(group)", "(tokens)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RankedDocuments:
    """Documents with the value of an expression.

    Attributes:
      stores: of the scores.
      expression: to rank by, fitted.
      where: documents that may be ranked; all by default.
      groups: within which they are ranked; None for one ranking of all.
      by_tokens: whether a document needs a token count.
      checksums: of what was first read of each unit.
    """

    stores: SeveralStores
    expression: Expression
    where: Where | None = None
    groups: Groups | None = None
    by_tokens: bool = False
    checksums: dict[Unit, int] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def places(self) -> dict[str, Place]:
        """What ranking reads."""
        places = {name: self.stores.scores[name] for name in self.expression.columns}
        if self.groups is not None:
            places[_GROUP] = find_place(self.stores, self.groups.column)
        if self.by_tokens:
            places[_TOKENS] = Place(self.stores.with_tokens, "n_tokens")
        return places

    def find_cut(self, rule: Rule) -> Cut:
        """Finds the ends of a rule's stretch.

        Without a look at the seals, which whoever reads the documents by this cut has: what `chunk`
        makes of them must then be the same.

        Raises:
          ValueError: the budget exceeds what is there, or a file of a store is damaged.
        """
        try:
            return find_cut(rule, self._chunks(), self.groups.names if self.groups else ("",))
        except Exception:
            self.stores.check_seals()  # of damage, other errors are only what follows
            raise

    def _chunks(self) -> Chunks:
        """Opens the documents for a pass; keeps them in memory where that is cheap."""

        row_bytes = 4 + 8 * (self.groups is not None) + 8 * self.by_tokens
        hold = self.stores.num_rows * row_bytes <= BYTES_IN_MEMORY
        held: list[Chunk] = []  # all of them, or none

        def read(work: Callable[[Chunk], T]) -> Iterator[T]:
            if held:
                yield from map(work, held)
                return
            read_now: list[Chunk] = []

            def look_at(unit: Unit, table: pa.Table) -> tuple[Chunk, T]:
                chunk = self.chunk(unit, table)
                return chunk, work(chunk)

            for chunk, result in self.stores.each(
                look_at, self.places, "read scores", sealed=False
            ):
                if hold:
                    read_now.append(chunk)
                yield result
            held[:] = read_now

        return read

    def chunk(self, unit: Unit, table: pa.Table) -> Chunk:
        """The values of one table of `places`.

        Raises:
          ValueError: they are not those that they were before.
        """
        chunk = Chunk(
            unit.file,
            unit.first_row,
            self.expression(self._inputs(unit, table)),
            None if self.groups is None else self.groups.numbers(table[_GROUP]),
            pc.fill_null(table[_TOKENS], 0).to_numpy() if self.by_tokens else None,
        )
        found = chunk.checksum()
        if self.checksums.setdefault(unit, found) != found:
            raise ValueError(
                f"What the stores have of {unit.num_rows:,} rows of {unit.file} from row "
                f"{unit.first_row} on is not what it was a moment ago. Run this again when nothing "
                "writes to them; where nothing does, look after the disk."
            )
        return chunk

    def reasons(
        self, unit: Unit, table: pa.Table, of_store: dict[str, pa.ChunkedArray], score_N: np.ndarray
    ) -> pa.Array:
        """Why the rows without a value have none; null where there is one.

        Args:
          unit: of the table.
          table: of `places`.
          of_store: reasons of the rows in each store, by its name.
          score_N: the values.
        """
        if not np.isnan(score_N).any():
            return pa.nulls(unit.num_rows)
        columns = {name: table[name].to_numpy() for name in self.expression.columns}
        reason_N: pa.Array = pa.nulls(unit.num_rows, pa.string())
        if self.by_tokens:
            reason_N = pc.if_else(pc.is_null(table[_TOKENS]), "no_tokens", reason_N)
        undefined_N = pa.array(self.expression.is_undefined(columns))
        reason_N = pc.if_else(undefined_N, "undefined", reason_N)
        for name in reversed(columns):
            reason_of = pc.fill_null(of_store[self.stores.scores[name].store], "no_score")
            reason_N = pc.if_else(pa.array(np.isnan(columns[name])), reason_of, reason_N)
        if self.where is not None:
            asked_for = pc.is_in(reason_N, pa.array(sorted(REASONS_ASKED_FOR)))
            excluded = pc.and_not(pa.array(~self.where.rows(unit)), asked_for)
            reason_N = pc.if_else(excluded, "excluded", reason_N)
        return reason_N

    def _inputs(self, unit: Unit, table: pa.Table) -> dict[str, np.ndarray]:
        """The expression's columns, NaN in the rows that may not be ranked."""
        columns = {name: table[name].to_numpy() for name in self.expression.columns}
        if self.where is None and not self.by_tokens:
            return columns
        take_N = np.ones(unit.num_rows, bool) if self.where is None else self.where.rows(unit)
        if self.by_tokens:
            take_N = take_N & pc.is_valid(table[_TOKENS]).to_numpy()
        return {name: np.where(take_N, x_N, np.float32(np.nan)) for name, x_N in columns.items()}


def rank_documents(
    stores: SeveralStores, expression: Expression, rule: Rule, where: Where | None
) -> RankedDocuments:
    """Looks at the corpus as far as the expression and the rule's groups need it.

    Raises:
      ValueError: there is no column `rule.per`, or it has too many values, or none of a
        quota's; or a `zscore` has no deviation.
    """
    groups = None
    if rule.per is not None:
        place = {rule.per: find_place(stores, rule.per)}
        columns = (table[rule.per] for _, table in stores.tables(place))
        groups = find_groups(rule.per, columns, rule.quota)
    ranked = RankedDocuments(
        stores=stores,
        expression=expression,
        where=where,
        groups=groups,
        by_tokens=rule.by_tokens,
    )

    def inputs() -> Iterator[dict[str, np.ndarray]]:
        for unit, table in stores.tables(ranked.places):
            yield ranked._inputs(unit, table)

    fitted = fit_expression(expression, inputs, stores.num_rows)
    return dataclasses.replace(ranked, expression=fitted)


def find_place(stores: SeveralStores, column: str) -> Place:
    """Where a carried field or a score column lies.

    Raises:
      ValueError: there is none of that name.
    """
    known = {**stores.scores, **stores.fields}
    if column not in known:
        raise ValueError(
            f"The stores have no column {column!r}; they have {', '.join(known) or 'none'}."
        )
    return known[column]
