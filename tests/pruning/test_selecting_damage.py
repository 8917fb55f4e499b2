"""Damage in a store is found, though not every pass over it looks at the seals."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
import toy

from pruning import selecting
from pruning.ranked_documents import RankedDocuments, rank_documents
from pruning.score_store import ScoreStore
from pruning.sealed_parquet import read_sealed, sealed_bytes
from pruning.selecting import select
from pruning.selection import Rule

SCORES = {"a.jsonl": np.arange(1.0, 41), "b.jsonl": np.linspace(3, 9, 30)}
RULES = {
    "middle": Rule(keep="middle", fraction=0.5),
    "tokens": Rule(keep="low", tokens=40, per="domain"),
    "sample": Rule(keep="sample", fraction=0.5, weights="inverse"),
    "threshold": Rule(keep="threshold", min_score=5),
}


@pytest.fixture
def store(tmp_path):
    domains = {path: ["web", "code"] * (len(score_N) // 2) for path, score_N in SCORES.items()}
    return toy.write_store(tmp_path / "scores", SCORES, domains=domains, unit_rows=16)


@pytest.fixture(params=[1 << 30, 0], ids=["in memory", "streamed"])
def memory(request, monkeypatch):
    monkeypatch.setattr("pruning.ranked_documents.BYTES_IN_MEMORY", request.param)


@pytest.mark.parametrize("rule", RULES)
def test_no_flipped_bit_of_a_unit_passes(store, memory, rule, tmp_path):
    path = store.path(store.units[1])
    data, rng = path.read_bytes(), np.random.default_rng(0)
    for at in rng.integers(0, len(data), 40):
        flipped = bytearray(data)
        flipped[at] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        with pytest.raises(
            ValueError, match=r"a\.jsonl/000000000016\.parquet cannot be read: it(s SHA| is no)"
        ):
            select(store, tmp_path / "s", rule=RULES[rule])
        assert not (tmp_path / "s").exists()
    path.write_bytes(data)
    select(store, tmp_path / "s", rule=RULES[rule])


def rewrite_under_the_old_seal(store, **columns):
    """Other numbers in the last unit, which a reader that ignores the seal would take."""
    path = store.path(store.units[-1])
    data = path.read_bytes()
    table = read_sealed(data)
    for name, value in columns.items():
        at = table.schema.get_field_index(name)
        numbers = pa.array([value] * len(table), table.schema.field(name).type)
        table = table.set_column(at, name, numbers)
    seals = [d[d.rfind(b"sha256") :][8:72] for d in (data, sealed_bytes(table))]
    path.write_bytes(sealed_bytes(table).replace(seals[1], seals[0]))


@pytest.mark.parametrize(
    ("rule", "columns"),
    [
        (RULES["sample"], {"nll": -1.0}),  # of which there is no weight
        (Rule(keep="low", documents=70), {"nll": np.nan}),  # of which there are too few
        (RULES["middle"], {"nll": 4.0}),
        (RULES["middle"], {"n_bytes": 7}),
        (RULES["tokens"], {"n_tokens": 1}),
    ],
)
def test_damage_is_what_is_said_and_not_what_follows_from_it(
    store, memory, rule, columns, tmp_path
):
    rewrite_under_the_old_seal(store, **columns)
    with pytest.raises(ValueError, match=r"b\.jsonl/000000000016\.parquet cannot be read: its SHA"):
        select(store, tmp_path / "s", rule=rule)


def test_scores_that_differ_between_two_looks_are_refused(store, memory, monkeypatch, tmp_path):
    def read(self, unit, columns=None, *, sealed=True):
        table = as_it_is(self, unit, columns, sealed=sealed)
        if sealed or unit != self.units[2]:
            return table
        score_N = table["nll"].to_numpy().copy()
        score_N[3] = np.nextafter(score_N[3], np.float32(9))
        return table.set_column(table.column_names.index("nll"), "nll", pa.array(score_N))

    as_it_is = ScoreStore.read
    monkeypatch.setattr(ScoreStore, "read", read)
    with pytest.raises(ValueError, match=r"8 rows of a\.jsonl from row 32 on is not what it was"):
        select(store, tmp_path / "s", rule=RULES["middle"])
    assert not (tmp_path / "s").exists()


def test_other_errors_stay_what_they_are(store, tmp_path):
    with pytest.raises(ValueError, match="wants 71 documents of the corpus, which has 70"):
        select(store, tmp_path / "s", rule=Rule(keep="low", documents=71))


def test_a_rule_is_found_without_reading_other_columns(store, monkeypatch, tmp_path):
    read = []
    as_it_is = ScoreStore.read

    def spy(self, unit, columns=None, *, sealed=True):
        read.append((sealed, columns))
        return as_it_is(self, unit, columns, sealed=sealed)

    monkeypatch.setattr(ScoreStore, "read", spy)
    select(dataclasses.replace(store), tmp_path / "s", rule=RULES["middle"])
    unsealed = [columns for sealed, columns in read if not sealed]
    assert unsealed == [["nll"]] * len(store.units)
    assert sum(sealed for sealed, _ in read) == len(store.units)


@pytest.mark.parametrize("partial", [False, True])
def test_a_unit_that_goes_between_two_passes_is_no_gap(
    store, memory, partial, tmp_path, monkeypatch
):
    """Else its documents would be dropped by a cut that was made with them."""

    def cut_then_delete(ranked, rule):
        cut = find_cut(ranked, rule)
        store.path(store.units[1]).unlink()
        return cut

    find_cut = RankedDocuments.find_cut
    monkeypatch.setattr(RankedDocuments, "find_cut", cut_then_delete)
    with pytest.raises(ValueError, match=r"16\.parquet was there when this began, and is gone"):
        select(store, tmp_path / "s", rule=RULES["middle"], partial=partial)
    assert not (tmp_path / "s").exists()


def test_a_unit_that_comes_between_two_passes_is_not_read(store, memory, tmp_path, monkeypatch):
    """Else documents of a group that nobody counted would be ranked."""
    path = store.path(store.units[1])
    data = path.read_bytes()
    path.unlink()
    expected = select(store, tmp_path / "without", rule=RULES["tokens"], partial=True).info

    def ranked_then_written(*args):
        ranked = rank_documents(*args)
        path.write_bytes(data)
        return ranked

    monkeypatch.setattr(selecting, "rank_documents", ranked_then_written)
    found = select(store, tmp_path / "s", rule=RULES["tokens"], partial=True).info
    assert path.exists()
    assert found == expected
