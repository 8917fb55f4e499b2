"""The books of a selection: kept + dropped = all."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning.accounting import Accounting

ROWS = st.lists(
    st.tuples(
        st.sampled_from([None, "empty", "excluded", "invalid_utf8"]),
        st.booleans(),
        st.integers(0, 50),
        st.sampled_from(["web", "books", None]),
    ),
    max_size=30,
)


def table_of(rows):
    columns = [list(c) for c in zip(*rows, strict=True)] if rows else [[], [], [], []]
    return pa.table(
        {
            "reason": pa.array(columns[0], pa.string()),
            "n_tokens": pa.array(columns[2], pa.int64()),
            "n_bytes": pa.array(columns[2], pa.int64()),
            "domain": pa.array(columns[3], pa.string()),
        }
    )


@given(st.lists(ROWS, min_size=1, max_size=5))
def test_tables_add_up_however_they_are_cut(tables):
    def books(tables):
        accounting = Accounting(["domain"])
        for rows in tables:
            scored_N = np.array([r[0] is None for r in rows], bool)
            keep_N = scored_N & np.array([r[1] for r in rows], bool)
            accounting.add(table_of(rows), keep_N, scored_N)
        return accounting.result()

    rows = list(itertools.chain.from_iterable(tables))
    apart, together = books(tables), books([rows])
    assert apart == together
    counts, groups = apart["counts"], apart["groups"]["domain"]
    assert counts["rows"] == len(rows)
    assert counts["kept"] + sum(counts["dropped"].values()) == len(rows)
    assert counts["kept_tokens"] == sum(r[2] for r in rows if r[0] is None and r[1])
    assert sum(g["documents"] for g in groups.values()) == counts["scored"]
    assert sum(g["kept"] for g in groups.values()) == counts["kept"]
    assert sum(g["kept_tokens"] for g in groups.values()) == counts["kept_tokens"]


def test_rows_without_a_score_and_without_a_reason_are_counted():
    accounting = Accounting([])
    nothing_N = np.zeros(2, bool)
    accounting.add(
        table_of([(None, False, 1, None), ("empty", False, 1, None)]), nothing_N, nothing_N
    )
    accounting.add_unread(5, "not_sampled")
    assert accounting.result()["counts"]["dropped"] == {"empty": 1, "no_score": 1, "not_sampled": 5}


def test_books_that_do_not_add_up_are_an_error():
    accounting = Accounting([])
    accounting.add(table_of([("empty", False, 1, None)]), np.ones(1, bool), np.zeros(1, bool))
    with pytest.raises(AssertionError, match="do not add up to 1 records"):
        accounting.result()
