"""SemDeDup and prototypes against the whole matrix of similarities."""

import embedded
import numpy as np
import pytest

from pruning import large_arrays, nearest_in_cluster
from pruning.hashing import id_hash
from pruning.scorers.prototypes import Prototypes
from pruning.scorers.semdedup import SemDeDup

FILES = {
    "b.jsonl": embedded.vectors(450, 48, groups=12, seed=1),
    "a.jsonl": embedded.vectors(250, 48, groups=12),
}
FILES["a.jsonl"][10] = FILES["b.jsonl"][400]  # equal
FILES["a.jsonl"][[77, 78]] = [[0] * 48, [np.nan] * 48]
SETTINGS = {"num_clusters": 5, "iterations": 6}


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch):
    """Clusters of several tiles, and tiles of several clusters."""
    monkeypatch.setattr(nearest_in_cluster, "TILE_ROWS", 32)
    monkeypatch.setattr(nearest_in_cluster, "TILES_ON_DEVICE", 3)
    nearest_in_cluster._compare.clear_cache()
    yield
    nearest_in_cluster._compare.clear_cache()


def fit_and_score(learner, corpus, **changes):
    scorer = learner.scorer(learner.fit(embedded.Arrays(corpus, **changes)))
    parts = [scorer.score(embedded.documents(corpus[f], f)) for f in sorted(corpus)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def brute_force(scores, similarity_N):
    """Both columns, from the whole matrix and the clusters of `scores`."""
    x_ND = np.concatenate([FILES[f] for f in sorted(FILES)])
    there = np.flatnonzero(np.isfinite(scores["cluster"]))
    unit_ND = embedded.directions(x_ND[there])
    cluster_N, n = scores["cluster"][there], len(there)
    hash_N = np.concatenate([id_hash(f, np.arange(len(FILES[f])), 0) for f in sorted(FILES)])
    rank_N = np.empty(n, int)
    rank_N[np.lexsort((hash_N[there], similarity_N[there]))] = np.arange(n)
    is_other = (cluster_N[:, None] == cluster_N[None]) & ~np.eye(n, dtype=bool)
    similarity_NN = np.where(is_other, unit_ND @ unit_ND.T, -1)
    before_NN = np.where(rank_N[None] < rank_N[:, None], similarity_NN, -1)
    return there, similarity_NN.max(axis=1), before_NN.max(axis=1)


def test_columns_are_those_of_the_whole_matrix():
    scores = fit_and_score(SemDeDup(**SETTINGS), FILES)
    prototypes = fit_and_score(Prototypes(**SETTINGS), FILES)
    for name, score_N in prototypes.items():  # one clustering for both
        np.testing.assert_array_equal(scores[name], score_N)
    there, nearest_N, before_N = brute_force(scores, prototypes["prototype_similarity"])
    assert np.bincount(scores["cluster"][there].astype(int)).max() > 3 * 32
    assert len(there) == 698
    for name, expected_N in (
        ("nearest_similarity", nearest_N),
        ("nearest_similarity_before", before_N),
    ):
        assert scores[name].dtype == np.float32
        np.testing.assert_allclose(scores[name][there], expected_N, atol=2e-6)
        assert np.isnan(np.delete(scores[name], there)).all()


def test_exactly_one_of_equal_documents_stays():
    scores = fit_and_score(SemDeDup(**SETTINGS), FILES)
    equal = [10, 250 + 400]
    assert scores["nearest_similarity"][equal] == pytest.approx([1, 1], abs=1e-6)
    assert sum(scores["nearest_similarity_before"][equal] > 0.999) == 1


@pytest.mark.parametrize("learner", [SemDeDup(**SETTINGS), Prototypes(**SETTINGS)])
@pytest.mark.parametrize("changes", [{"unit_rows": 17}, {"backwards": True}])
def test_neither_order_nor_units_change_anything(learner, changes):
    expected = fit_and_score(learner, FILES)
    for name, score_N in fit_and_score(learner, FILES, **changes).items():
        np.testing.assert_array_equal(score_N, expected[name])


def test_a_regrouping_larger_than_memory_gives_the_same(monkeypatch):
    expected = fit_and_score(SemDeDup(**SETTINGS), FILES)
    monkeypatch.setattr(large_arrays, "fits_in_memory", lambda num_bytes: False)
    assert isinstance(large_arrays.large_array((3, 2), np.float16), np.memmap)
    for name, score_N in fit_and_score(SemDeDup(**SETTINGS), FILES).items():
        np.testing.assert_array_equal(score_N, expected[name])


def test_a_document_alone_in_its_cluster_is_like_nobody():
    x_ND = np.eye(4, dtype=np.float32)[[0, 0, 0, 1]]
    x_ND[1, 2] = 0.1
    scores = fit_and_score(SemDeDup(num_clusters=2), {"a": x_ND})
    assert scores["cluster"][3] != scores["cluster"][0]
    assert scores["nearest_similarity"][3] == -1
    assert scores["nearest_similarity_before"][3] == -1


def test_prototypes_are_cosines_to_the_own_centroid():
    learner = Prototypes(**SETTINGS)
    centroid_KD = learner.fit(embedded.Arrays(FILES))["centroid_KD"]
    scores = fit_and_score(learner, FILES)
    x_ND = np.concatenate([FILES[f] for f in sorted(FILES)])
    there = np.isfinite(scores["cluster"])
    assert np.flatnonzero(~there).tolist() == [77, 78]
    similarity_NK = embedded.directions(x_ND[there]) @ centroid_KD.T
    # A document between two centroids may go to the other one, by less than the grid.
    np.testing.assert_allclose(
        scores["prototype_similarity"][there], similarity_NK.max(axis=1), atol=1e-3
    )
    own_N = similarity_NK[np.arange(there.sum()), scores["cluster"][there].astype(int)]
    np.testing.assert_allclose(scores["prototype_similarity"][there], own_N, atol=1e-6)


def test_documents_that_were_not_looked_at_are_refused():
    learner = SemDeDup(**SETTINGS)
    scorer = learner.scorer(learner.fit(embedded.Arrays(FILES)))
    x_ND = FILES["a.jsonl"]
    for file, row in (("c.jsonl", 0), ("a.jsonl", 200)):
        with pytest.raises(ValueError, match=f"was not fitted on some documents of {file}"):
            scorer.score(embedded.documents(x_ND, file, row))


def test_embeddings_of_another_model_are_refused():
    learner = Prototypes(**SETTINGS)
    scorer = learner.scorer(learner.fit(embedded.Arrays(FILES)))
    with pytest.raises(ValueError, match="have 9 dimensions, the centroids 48"):
        scorer.score(embedded.documents(np.ones((2, 9), np.float32)))


@pytest.mark.parametrize("learner", [SemDeDup(), Prototypes()])
def test_clusters_cannot_be_merged(learner):
    with pytest.raises(ValueError, match=f"{learner.name} cannot be merged: each step"):
        learner.merge([])
