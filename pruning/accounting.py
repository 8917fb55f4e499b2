"""The books of a selection: kept + dropped = all records, always."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Rows that have a score and that the rule leaves out.
BY_SCORE = "by_score"


class Accounting:
    """Counts documents, tokens and bytes, kept and dropped, as tables stream by.

    Args:
      by: carried fields to count by as well.
    """

    def __init__(self, by: Sequence[str]):
        self._totals: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._dropped_tokens: Counter[str] = Counter()
        self._groups: dict[str, dict[str, Counter[str]]] = {f: defaultdict(Counter) for f in by}

    @property
    def fields(self) -> list[str]:
        return list(self._groups)

    def add(self, table: pa.Table, keep_N: np.ndarray, scored_N: np.ndarray) -> None:
        """Counts one table of a store, with a keep bit and a has-a-score bit per row."""
        tokens_N, bytes_N = (_zero_for_null(table[name]) for name in ("n_tokens", "n_bytes"))
        counts = {
            "rows": len(table),
            "scored": int(np.count_nonzero(scored_N)),
            "kept": int(np.count_nonzero(keep_N)),
            "tokens": _sum_where(tokens_N, scored_N),
            "kept_tokens": _sum_where(tokens_N, keep_N),
            "bytes": _sum_where(bytes_N, scored_N),
            "kept_bytes": _sum_where(bytes_N, keep_N),
        }
        self._totals.update(counts)
        self._dropped[BY_SCORE] += int(np.count_nonzero(scored_N & ~keep_N))
        self._dropped_tokens[BY_SCORE] += counts["tokens"] - counts["kept_tokens"]
        if counts["scored"] < counts["rows"]:
            unscored = pc.value_counts(table["reason"].filter(pa.array(~scored_N)))
            for entry in unscored.to_pylist():
                self._dropped[entry["values"] or "no_score"] += entry["counts"]
        for field, groups in self._groups.items():
            codes = table[field].combine_chunks().dictionary_encode()
            code_N = pc.fill_null(codes.indices, len(codes.dictionary)).to_numpy()
            names = [*codes.dictionary.to_pylist(), "(none)"]
            sums = {
                "documents": _sums(code_N[scored_N], names),
                "kept": _sums(code_N[keep_N], names),
                "tokens": _sums(code_N[scored_N], names, tokens_N[scored_N]),
                "kept_tokens": _sums(code_N[keep_N], names, tokens_N[keep_N]),
                "unscored": _sums(code_N[~scored_N], names),
            }
            for code in np.flatnonzero(np.bincount(code_N, minlength=len(names))):
                groups[names[code]].update({what: int(sum_C[code]) for what, sum_C in sums.items()})

    def merge(self, other: "Accounting") -> None:
        """Adds other books, by the same fields."""
        self._totals.update(other._totals)
        self._dropped.update(other._dropped)
        self._dropped_tokens.update(other._dropped_tokens)
        for field, groups in other._groups.items():
            for name, counts in groups.items():
                self._groups[field][name].update(counts)

    def add_unread(self, num_rows: int, reason: str) -> None:
        """Counts rows that no table covers."""
        self._totals["rows"] += num_rows
        self._dropped[reason] += num_rows

    def result(self) -> dict[str, Any]:
        """`counts` and `groups` as they stand in selection.json.

        Documents and tokens of a group are those that have a score, `unscored` the
        documents that have none. Tokens are counted where there is a score: a row
        without one was not tokenized.
        """
        dropped = {k: n for k, n in sorted(self._dropped.items()) if n}
        if self._totals["kept"] + sum(dropped.values()) != self._totals["rows"]:
            raise AssertionError(
                f"kept {self._totals['kept']} and dropped {dropped} do not add up to "
                f"{self._totals['rows']} records"
            )
        return {
            "counts": {
                **self._totals,
                "dropped": dropped,
                "dropped_tokens": {k: self._dropped_tokens[k] for k in dropped},
            },
            "groups": {
                field: {name: dict(groups[name]) for name in sorted(groups)}
                for field, groups in self._groups.items()
            },
        }


def _zero_for_null(column_N: pa.ChunkedArray) -> np.ndarray:
    return (pc.fill_null(column_N, 0) if column_N.null_count else column_N).to_numpy()


def _sum_where(number_N: np.ndarray, wanted_N: np.ndarray) -> int:
    return int(number_N.sum() if wanted_N.all() else np.dot(number_N, wanted_N))


def _sums(code_N: np.ndarray, names: Sequence[str], number_N: np.ndarray | int = 1) -> np.ndarray:
    """Sums of numbers by code; in integers, which do not round."""
    sum_C = np.zeros(len(names), np.int64)
    np.add.at(sum_C, code_N, number_N)
    return sum_C
