"""Documents in groups: by a carried field, or by their length."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pruning.report.scored_corpus import BYTES, TOKENS, ScoredCorpus

GROUPS = 16  # shown; the smallest of more are added up
MOST_VALUES = 10_000  # of a field; one with more, such as an address, makes no groups
NO_VALUE = "(none)"
OTHERS = "(others)"


class Category(Protocol):
    """A way to put every document into one group."""

    @property
    def title(self) -> str:
        """As a person reads it."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Of the groups, in the order of their numbers."""
        ...

    @property
    def columns(self) -> Sequence[str]:
        """What it needs."""
        ...

    def numbers(self, table: pa.Table) -> np.ndarray:
        """Number of each row's group, int64 [N]."""
        ...


@dataclasses.dataclass(frozen=True)
class ByField:
    """Groups by a carried field; the last may be OTHERS."""

    title: str
    names: Sequence[str]

    @property
    def columns(self) -> Sequence[str]:
        return [self.title]

    def numbers(self, table: pa.Table) -> np.ndarray:
        values = pc.fill_null(table[self.title], NO_VALUE)
        index = pc.index_in(values, pa.array(self.names, pa.string()))
        return pc.fill_null(index, len(self.names) - 1).to_numpy().astype(np.int64)


@dataclasses.dataclass(frozen=True)
class ByLength:
    """Groups whose lengths double from one to the next; `unit` is `tokens` or `bytes`."""

    unit: str

    _FIRST = 6  # up to 2 ** 6 is one group
    _LAST = 16

    @property
    def title(self) -> str:
        return f"length in {self.unit}"

    @property
    def names(self) -> Sequence[str]:
        ends = [2**k for k in range(self._FIRST, self._LAST + 1)]
        between = [f"{low + 1:,} to {high:,}" for low, high in itertools.pairwise(ends)]
        return [f"up to {ends[0]:,}", *between, f"above {ends[-1]:,}"]

    @property
    def columns(self) -> Sequence[str]:
        return [TOKENS if self.unit == "tokens" else BYTES]

    def numbers(self, table: pa.Table) -> np.ndarray:
        length_N = pc.fill_null(table[self.columns[0]], 0).to_numpy()
        ends = 2 ** np.arange(self._FIRST, self._LAST + 1)
        return np.searchsorted(ends, length_N, side="left")


def find_fields(corpus: ScoredCorpus, fields: Sequence[str]) -> tuple[list[ByField], list[str]]:
    """One pass: the groups of some fields, those with most documents first.

    Returns:
      A category of each field with at least 2 and at most MOST_VALUES values, and the names of
      the fields with more.
    """
    counted: dict[str, Counter[str]] = {field: Counter() for field in fields}
    too_many: list[str] = []
    for _, table in corpus.tables(fields, "find groups") if fields else ():
        for field in [f for f in fields if f not in too_many]:
            for entry in pc.value_counts(table[field]).to_pylist():
                value = NO_VALUE if entry["values"] is None else entry["values"]
                counted[field][value] += entry["counts"]
            if len(counted[field]) > MOST_VALUES:
                too_many.append(field)
                counted[field].clear()
    return [_by_field(f, counted[f]) for f in fields if len(counted[f]) > 1], too_many


def _by_field(field: str, counted: Counter[str]) -> ByField:
    names = [name for name, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0]))]
    return ByField(field, names if len(names) <= GROUPS else [*names[: GROUPS - 1], OTHERS])
