"""The books of a selection: kept + dropped = all records, always."""

from collections import Counter, defaultdict
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

    def __init__(self, by: list[str]):
        self._totals: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._dropped_tokens: Counter[str] = Counter()
        self._groups: dict[str, dict[str, Counter[str]]] = {f: defaultdict(Counter) for f in by}

    @property
    def fields(self) -> list[str]:
        return list(self._groups)

    def add(self, table: pa.Table, keep_N: np.ndarray, scored_N: np.ndarray) -> None:
        """Counts one table of a store, with a keep bit and a has-a-score bit per row."""
        tokens_N, bytes_N = (
            pc.fill_null(table[name], 0).to_numpy() for name in ("n_tokens", "n_bytes")
        )
        self._totals.update(
            {
                "rows": len(table),
                "scored": int(scored_N.sum()),
                "kept": int(keep_N.sum()),
                "tokens": int(tokens_N[scored_N].sum()),
                "kept_tokens": int(tokens_N[keep_N].sum()),
                "bytes": int(bytes_N[scored_N].sum()),
                "kept_bytes": int(bytes_N[keep_N].sum()),
            }
        )
        self._dropped[BY_SCORE] += int((scored_N & ~keep_N).sum())
        self._dropped_tokens[BY_SCORE] += int(tokens_N[scored_N & ~keep_N].sum())
        unscored = pc.value_counts(table["reason"].filter(pa.array(~scored_N)))
        for entry in unscored.to_pylist():
            self._dropped[entry["values"] or "no_score"] += entry["counts"]
        for field, groups in self._groups.items():
            codes = table[field].combine_chunks().dictionary_encode()
            index_N = pc.fill_null(codes.indices, len(codes.dictionary)).to_numpy()
            for code, name in enumerate([*codes.dictionary.to_pylist(), "(none)"]):
                of_group = index_N == code
                if of_group.any():
                    here, kept = of_group & scored_N, of_group & keep_N
                    groups[name].update(
                        {
                            "documents": int(here.sum()),
                            "kept": int(kept.sum()),
                            "tokens": int(tokens_N[here].sum()),
                            "kept_tokens": int(tokens_N[kept].sum()),
                            "unscored": int((of_group & ~scored_N).sum()),
                        }
                    )

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
