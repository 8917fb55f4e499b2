"""Groups of documents: the values of a carried field, or of a score column of few values."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pruning.budgets import NO_VALUE, OTHERS

MOST_GROUPS = 100_000


@dataclasses.dataclass(frozen=True)
class Groups:
    """The groups of `--per`.

    Attributes:
      column: whose values they are.
      names: of all groups; those of `values` first.
      values: that have a group of their own.
    """

    column: str
    names: tuple[str, ...]
    values: pa.Array

    def numbers(self, column_N: pa.ChunkedArray) -> np.ndarray:
        """The number of each row's group, int64 [N]."""
        last = len(self.names) - 1
        of_none = self.names.index(NO_VALUE) if NO_VALUE in self.names else last
        value_N = _normalised(column_N)
        index_N = pc.fill_null(pc.index_in(value_N, self.values, skip_nulls=True), last)
        return pc.if_else(pc.is_null(value_N), of_none, index_N).to_numpy().astype(np.int64)


def find_groups(
    column: str, tables: Iterable[pa.ChunkedArray], quota: Mapping[str, float] | None
) -> Groups:
    """The groups of a column.

    Every value is one, rows without a value are `(none)`. Under a quota, all that it does
    not name are one together, `(others)`.

    Args:
      column: name of it.
      tables: the column, in parts; one pass.
      quota: shares by value.

    Raises:
      ValueError: it has very many values, or none of a name in the quota.
    """
    values: dict[str | float, None] = {}
    has_none, type_ = False, pa.string()
    for column_N in tables:
        here = pc.unique(_normalised(column_N))
        has_none, type_ = has_none or here.null_count > 0, here.type
        values |= dict.fromkeys(here.drop_null().to_pylist())
        if len(values) > MOST_GROUPS:
            raise ValueError(
                f"--per {column}: it has more than {MOST_GROUPS:,} values. Group by a column of "
                "few, such as a domain or a cluster."
            )
    by_name = {_name(value): value for value in sorted(values)}  # type: ignore[type-var]
    names = [*by_name, NO_VALUE]
    if quota is not None:
        known = [*by_name, *([NO_VALUE] if has_none else [])]
        if unknown := [name for name in quota if name not in known]:
            raise ValueError(
                f"--quota: no document has {column} {unknown[0]!r}; known are {_some(known)}."
            )
        names = [*(name for name in known if name in quota), OTHERS]
    own = [by_name[name] for name in names if name in by_name]
    return Groups(column, tuple(names), pa.array(own, type_))


def _normalised(column_N: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text, or numbers with null in place of NaN."""
    if not pa.types.is_floating(column_N.type):
        return column_N.cast(pa.string())
    wide_N = column_N.cast(pa.float64())
    return pc.if_else(pc.is_nan(wide_N), pa.scalar(None, pa.float64()), wide_N)


def _name(value: object) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _some(names: Iterable[str], most: int = 20) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if names[most:] else "")
