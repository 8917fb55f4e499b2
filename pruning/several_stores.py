"""Score stores of one source, read side by side.

The stores may be cut into other units, and may be incomplete. A column of the store
named `ask` is `ask.nll`; those of a store without a name, and of an only store, are
plain: `nll`.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pruning.ahead import ahead
from pruning.documents import DocumentId, Unit
from pruning.manifests import TOUCHED, first_difference
from pruning.progress import progress
from pruning.score_store import SUCCESS, ScoreStore

_SAME = ("path", "size", "mark", "num_rows")

# Units read while another is looked at, and the threads that do it.
UNITS_AHEAD = 4
_THREADS = min(UNITS_AHEAD, os.cpu_count() or 1)

T = TypeVar("T")


class Place(NamedTuple):
    """A column of a store, by the store's name."""

    store: str
    column: str


class SeveralStores:
    """Score stores of one source by name; one of them may have the name "".

    Attributes:
      stores: by name.
      there: units that each had when this was made. Every pass reads these, and no others.
      scores: places of the score columns that are numbers, by the names that expressions use.
      fields: places of the carried fields; a plain name stands for the first store that has it.
    """

    def __init__(self, stores: Mapping[str, ScoreStore]):
        """Checks the stores against each other.

        Raises:
          ValueError: they are of other source files.
        """
        self.stores = dict(stores)
        self.there = {
            name: frozenset(store.appeared(store.units)) for name, store in self.stores.items()
        }
        self.scores: dict[str, Place] = {}
        self.fields: dict[str, Place] = {}
        for name, store in self.stores.items():
            numbers = [c["name"] for c in store.manifest["columns"] if c.get("size") is None]
            for names, columns in ((self.scores, numbers), (self.fields, store.fields)):
                for column in columns:
                    place = Place(name, column)
                    if name:
                        names[f"{name}.{column}"] = place
                    if not name or len(self.stores) == 1 or names is self.fields:
                        names.setdefault(column, place)
        _check_same_files(self.stores)

    @property
    def first(self) -> ScoreStore:
        """Its units are those of the selection."""
        return next(iter(self.stores.values()))

    @property
    def num_rows(self) -> int:
        return sum(file.num_rows for file in self.first.files.values())

    @property
    def with_tokens(self) -> str:
        """Name of the store whose `n_tokens` count: the first that was made with a vocabulary."""
        counted = (n for n, store in self.stores.items() if store.manifest.get("vocabulary"))
        return next(counted, next(iter(self.stores)))

    def check_complete(self) -> None:
        """Raises: ValueError: a store lacks units, or its run did not end well."""
        for name, store in self.stores.items():
            if missing := len(store.units) - len(self.there[name]):
                raise ValueError(
                    f"Score store {store.folder} lacks {missing:,} of {len(store.units):,} units. "
                    "Run `prune score` again to finish it, or give --partial to drop their documents."
                )
            if not store.is_complete:
                raise ValueError(
                    f"Score store {store.folder} has all its units and no {SUCCESS}: whoever wrote the "
                    "last was stopped, or found that the source had changed meanwhile. Run `prune "
                    "score` again, which says so or finishes the store; or give --partial."
                )

    def tables(
        self, places: Mapping[str, Place], what: str = "read scores"
    ) -> Iterator[tuple[Unit, pa.Table]]:
        """Some columns of all documents, by new names, in the units of the first store.

        Rows of a unit that a store lacks are null, with the reason `not_sampled`.

        Args:
          places: columns by name.
          what: is being done, for the progress.
        """
        yield from self.each(lambda unit, table: (unit, table), places, what)

    def each(
        self,
        work: Callable[[Unit, pa.Table], T],
        places: Mapping[str, Place],
        what: str,
        *,
        sealed: bool = True,
    ) -> Iterator[T]:
        """What some work on threads makes of each of the `tables`, in their order.

        Args:
          work: on a unit and its table.
          places, what: as of `tables`.
          sealed: see `ScoreStore.read`.
        """
        columns: dict[str, list[str]] = {}
        for place in places.values():
            columns.setdefault(place.store, []).append(place.column)
        readers = {
            name: _Reader(self.stores[name], self.there[name], [*dict.fromkeys(wanted)], sealed)
            for name, wanted in columns.items()
        }

        def read(unit: Unit) -> T:
            rows = {name: reader.rows(unit) for name, reader in readers.items()}
            columns = {name: rows[place.store][place.column] for name, place in places.items()}
            return work(unit, pa.table(columns))

        # A reader remembers where it is, which serves one thread.
        is_cut_alike = len({s.manifest["unit_rows"] for s in self.stores.values()}) == 1
        threads = _THREADS if is_cut_alike else 1
        units = self.first.units
        results = ahead(read, units, most=UNITS_AHEAD, threads=threads)
        with progress(what, self.num_rows, "documents") as advance:
            for unit, result in zip(units, results, strict=True):
                advance(unit.num_rows)  # before: who has the last asks for no more
                yield result

    def check_seals(self) -> None:
        """Raises: ValueError: a file is not as it was written."""
        any_column = {name: Place(name, "reason") for name in self.stores}
        for _ in self.each(lambda unit, table: None, any_column, "look for damage"):
            pass


class _Reader:
    """Some columns of one store by range of rows; remembers the unit that it read last."""

    def __init__(self, store: ScoreStore, there: Set[Unit], columns: Sequence[str], sealed: bool):
        self._store, self._columns, self._sealed = store, list(columns), sealed
        self._there = there
        self._files, self._unit_rows = store.files, store.manifest["unit_rows"]
        self._last: tuple[Unit, pa.Table] | None = None

    def rows(self, unit: Unit) -> pa.Table:
        parts, row, end = [], unit.first_row, unit.first_row + unit.num_rows
        while row < end:
            first = row - row % self._unit_rows
            num_rows = min(self._unit_rows, self._files[unit.file].num_rows - first)
            table = self._read(Unit(unit.file, first, num_rows))
            parts.append(table.slice(row - first, end - row))
            row = first + num_rows
        return parts[0] if len(parts) == 1 else pa.concat_tables(parts)

    def _read(self, unit: Unit) -> pa.Table:
        last = self._last
        if last is None or last[0] != unit:
            last = unit, self._read_or_lacks(unit)
            self._last = last
        return last[1]

    def _read_or_lacks(self, unit: Unit) -> pa.Table:
        if unit not in self._there:
            return self._lacks(unit)
        try:
            return self._store.read(unit, self._columns, sealed=self._sealed)
        except FileNotFoundError as error:
            raise ValueError(
                f"{self._store.path(unit)} was there when this began, and is gone. Run `prune score` "
                "again if it was deleted, then this, while nothing changes the store."
            ) from error

    def _lacks(self, unit: Unit) -> pa.Table:
        schema, n = self._store.schema, unit.num_rows
        nulls = {name: pa.nulls(n, schema.field(name).type) for name in self._columns}
        if "reason" in nulls:
            nulls["reason"] = pa.array(["not_sampled"] * n)
        return pa.table(nulls)


def parse_stores(words: Sequence[str]) -> dict[str, str]:
    """Reads `[NAME=]DIR …`: folders by name.

    Raises:
      ValueError: two have the same name, or none.
    """
    folders: dict[str, str] = {}
    for word in words:
        named = re.fullmatch(r"([A-Za-z_]\w*)=(.+)", word)
        name, folder = named.groups() if named else ("", word)
        if name in folders:
            raise ValueError(
                f"The stores {folders[name]} and {folder} both have "
                + (f"the name {name}" if name else "no name")
                + ". Name them: --scores ask=DIR ppl=DIR."
            )
        folders[name] = folder
    return folders


def one_text_hash(unit: Unit, hashes: Mapping[str, pa.ChunkedArray]) -> pa.ChunkedArray:
    """The text hashes of a unit's rows, of whichever store has them, int64 with nulls.

    Args:
      unit: for the message.
      hashes: by name of the store.

    Raises:
      ValueError: two stores have other hashes of one row.
    """
    (first, merged_N), *others = hashes.items()
    for name, hash_N in others:
        differ_N = pc.fill_null(pc.not_equal(merged_N, hash_N), False).to_numpy()
        if differ_N.any():
            i = int(np.argmax(differ_N))
            row = DocumentId(unit.file, unit.first_row + i)
            raise ValueError(
                f"{row} has text hash {merged_N[i].as_py()} in the store {first or 'without a name'} "
                f"and {hash_N[i].as_py()} in {name or 'the one without a name'}: they are scores of "
                "other texts. Score the corpus again with one of them."
            )
        merged_N = pc.coalesce(merged_N, hash_N)
    return merged_N


def _check_same_files(stores: Mapping[str, ScoreStore]) -> None:
    (_, first), *others = stores.items()
    for _, store in others:
        left, right = (
            {"files": [{key: f[key] for key in _SAME} for f in s.manifest["files"]]}
            for s in (first, store)
        )
        if difference := first_difference(left, right):
            where, ours, theirs = difference
            raise ValueError(
                f"{store.folder} is not of the same source as {first.folder}: {where} is {theirs} "
                f"there and {ours} here. "
                + (TOUCHED if where.endswith(": mark") else "")
                + "Score one corpus with both."
            )
