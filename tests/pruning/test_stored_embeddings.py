"""From a store of embeddings to arrays, and to a store of scores."""

import os
import signal

import embedded
import numpy as np
import pytest

from pruning.artifacts import corpus_digest
from pruning.documents import Unit
from pruning.manifests import FACTS
from pruning.rescoring import rescore_units, rescoring_manifest
from pruning.score_store import create_or_continue
from pruning.scorers.density import Density
from pruning.scorers.prototypes import Prototypes
from pruning.scorers.random_control import Random
from pruning.scorers.semdedup import SemDeDup
from pruning.stored_embeddings import StoredEmbeddings, open_embeddings

FILES = {
    "en/a.jsonl": embedded.vectors(130, 16),
    "b.jsonl": embedded.vectors(45, 16, seed=1),
}
FILES["b.jsonl"][[1, 2]] = [[0] * 16, [np.nan] * 16]
LEARNERS = {
    "density": Density(rows=20, buckets=100),
    "prototypes": Prototypes(num_clusters=4, iterations=3),
    "semdedup": SemDeDup(num_clusters=4, iterations=3),
}


@pytest.fixture
def embeddings(tmp_path):
    embedded.write_store(tmp_path / "embeddings", FILES, unit_rows=40)
    return open_embeddings(tmp_path / "embeddings")


def rescore(folder, embeddings, learners, scorers=()):
    ready = [learner.scorer(learner.fit(embeddings)) for learner in learners] + list(scorers)
    manifest = rescoring_manifest(embeddings.store, ready, {n.name: "0" for n in learners})
    store = create_or_continue(folder, manifest)
    rescore_units(store, embeddings, scorers=ready)
    return store


def columns(store):
    tables = [table for _, table in store.tables()]
    return {
        name: np.concatenate([t[name].to_numpy(zero_copy_only=False) for t in tables])
        for name in store.schema.names
    }


def test_vectors_come_back_with_their_ids(embeddings):
    assert embeddings.num_rows == 175
    found = {file: {} for file in FILES}
    for documents in embeddings:
        assert documents.embedding_ND.dtype == np.float32
        for i, row in enumerate(documents.rows_N):
            found[documents.file][int(row)] = documents.embedding_ND[i]
            assert documents.text_hash_N[i] == row
    for file, x_ND in FILES.items():
        rows = np.flatnonzero(embedded.has_document(len(x_ND)))
        assert sorted(found[file]) == rows.tolist()
        np.testing.assert_array_equal([found[file][row] for row in rows], x_ND[rows])


def test_a_unit_without_a_document_is_empty(tmp_path):
    embedded.write_store(tmp_path, {"a": FILES["b.jsonl"][:4]}, unit_rows=1)
    shapes = [documents.embedding_ND.shape for documents in open_embeddings(tmp_path)]
    assert shapes == [(1, 16), (1, 16), (1, 16), (0, 16)]


@pytest.mark.parametrize("name", LEARNERS)
def test_the_contract_of_what_learns_from_embeddings(name, embeddings, tmp_path):
    """Finite float32 or NaN with a reason; the same for another order and cut; resumed."""
    learner = LEARNERS[name]
    store = rescore(tmp_path / "whole", embeddings, [learner], [Random(seed=3)])
    found = columns(store)
    x_ND = np.concatenate([FILES[f] for f in sorted(FILES)])
    has_score = np.concatenate([embedded.has_document(len(FILES[f])) for f in sorted(FILES)])
    has_score &= np.isfinite(x_ND).all(axis=1) & x_ND.any(axis=1)
    for column in learner.scorer(learner.fit(embeddings)).columns:
        assert found[column.name].dtype == np.float32
        np.testing.assert_array_equal(np.isfinite(found[column.name]), has_score)
    reasons = found["reason"]
    assert set(reasons[~has_score]) == {"empty", "not_finite"}
    assert set(reasons[has_score]) == {None}
    assert set(reasons[[1, 2]]) == {"not_finite"}

    embedded.write_store(tmp_path / "other", FILES, unit_rows=7)
    other = rescore(tmp_path / "cut", open_embeddings(tmp_path / "other"), [learner])
    for column in learner.scorer(learner.fit(embeddings)).columns:
        np.testing.assert_array_equal(columns(other)[column.name], found[column.name])

    before = {unit: store.path(unit).read_bytes() for unit in store.units}
    for unit in store.units[::2]:
        store.path(unit).unlink()
    kept = os.stat(store.path(store.units[1])).st_mtime_ns
    rescore(tmp_path / "whole", embeddings, [learner], [Random(seed=3)])
    assert {unit: store.path(unit).read_bytes() for unit in store.units} == before
    assert os.stat(store.path(store.units[1])).st_mtime_ns == kept


def test_facts_and_fields_are_those_of_the_embeddings(embeddings, tmp_path):
    store = rescore(tmp_path / "scores", embeddings, [LEARNERS["density"]])
    assert store.fields == ["domain"]
    assert store.units == embeddings.store.units
    for unit in store.units:
        ours, theirs = store.read(unit), embeddings.store.read(unit)
        for name in [*FACTS, "domain"]:
            if name != "reason":
                assert ours[name].equals(theirs[name]), name


def test_the_manifest_names_the_embeddings_by_their_digest(embeddings, tmp_path):
    store = rescore(tmp_path / "scores", embeddings, [LEARNERS["density"]])
    digest = corpus_digest(embeddings.store.manifest)
    assert store.manifest["embeddings"] == {
        "name": str(tmp_path / "embeddings"),
        "digest": digest,
    }
    assert store.manifest["fitted"] == {"density": "0"}
    assert embeddings.fitted_on.digest == digest
    (tmp_path / "embeddings").rename(tmp_path / "moved")
    moved = open_embeddings(tmp_path / "moved")
    rescore(tmp_path / "scores", moved, [LEARNERS["density"]])  # the same corpus elsewhere
    embedded.write_store(tmp_path / "other", {"b.jsonl": FILES["b.jsonl"]}, unit_rows=40)
    with pytest.raises(ValueError, match=r"was written with embeddings\.digest|source file"):
        rescore(tmp_path / "scores", open_embeddings(tmp_path / "other"), [LEARNERS["density"]])


def test_units_that_are_not_on_disk_yet_are_left_out(embeddings, tmp_path):
    gone = embeddings.store.units[1]
    embeddings.store.path(gone).unlink()
    there = open_embeddings(tmp_path / "embeddings")
    assert gone not in there.units
    assert len(there.units) == len(embeddings.store.units) - 1
    store = rescore(tmp_path / "scores", there, [LEARNERS["density"]])
    assert store.missing_units() == [gone]


def test_sigterm_at_the_last_unit_finishes_the_store(embeddings, tmp_path):
    def asked_to_end(done):
        if units.pop() and len(units) == at:
            os.kill(os.getpid(), signal.SIGTERM)

    scorer = Random(seed=3)
    store = create_or_continue(
        tmp_path / "scores", rescoring_manifest(embeddings.store, [scorer], {})
    )
    units, at = [*embeddings.units], len(embeddings.units) - 1
    with pytest.raises(InterruptedError, match="Stopped by SIGTERM"):
        rescore_units(store, embeddings, scorers=[scorer], note=asked_to_end)
    units, at = store.missing_units(), 0
    rescore_units(store, embeddings, scorers=[scorer], note=asked_to_end)
    assert store.missing_units() == []


def test_what_has_no_embeddings_is_refused(embeddings, tmp_path):
    rescore(tmp_path / "scores", embeddings, [LEARNERS["density"]])
    with pytest.raises(ValueError, match=r"has the columns \['density'\], and no vectors"):
        open_embeddings(tmp_path / "scores")
    for unit in embeddings.units:
        embeddings.store.path(unit).unlink()
    with pytest.raises(ValueError, match="has none of its units on disk"):
        open_embeddings(tmp_path / "embeddings")


def test_embeddings_that_are_all_zero_end_the_run(embeddings, tmp_path):
    scorer = LEARNERS["density"].scorer(LEARNERS["density"].fit(embeddings))
    embedded.write_store(tmp_path / "zero", {"a": np.zeros((20, 16), np.float32)})
    there = open_embeddings(tmp_path / "zero")
    store = create_or_continue(
        tmp_path / "scores", rescoring_manifest(there.store, [scorer], {"density": "0"})
    )
    with pytest.raises(
        ValueError, match=r"None of 18 documents of a unit has an embedding .* a__0"
    ):
        rescore_units(store, there, scorers=[scorer])


def test_a_part_is_told_by_its_units(embeddings):
    part = StoredEmbeddings(store=embeddings.store, units=embeddings.units[:1])
    assert part.num_rows == 40
    assert part.fitted_on.units == (Unit("b.jsonl", 0, 40),)
    assert part.fitted_on.digest == embeddings.fitted_on.digest
