"""Spherical k-means against a definition in float64, scikit-learn, and itself in another order."""

import embedded
import numpy as np
import pytest
from sklearn.cluster import KMeans

from pruning import nearest_centroids, spherical_kmeans
from pruning.hashing import id_hash
from pruning.nearest_centroids import (
    DIRECTION_BITS,
    Assignment,
    ClusterSums,
    similarity_to_centroid,
)
from pruning.spherical_kmeans import SphericalKMeans, updated
from pruning.unit_vectors import on_grid, unit_vectors

FILES = {
    "a.jsonl": embedded.vectors(700, 32, groups=20, spread=0.4),
    "b.jsonl": embedded.vectors(300, 32, groups=20, spread=0.4, seed=1),
}
X_ND = np.concatenate([*FILES.values()])


def first_centroids(k):
    hash_N = np.concatenate([id_hash(f, np.arange(len(x)), 0) for f, x in FILES.items()])
    return embedded.directions(X_ND)[np.argsort(hash_N)[:k]]


def lloyd(x_ND, centroid_KD, iterations, *, is_rounded):
    """The definition, in float64, where no cluster becomes empty."""
    if is_rounded:
        x_ND = (x_ND * 2**12).round()
        centroid_KD = embedded.directions((centroid_KD * 2**12).round())
    for _ in range(iterations):
        decide_KD = (centroid_KD * 2**11).round() if is_rounded else centroid_KD
        label_N = (x_ND @ decide_KD.T).argmax(axis=1)
        sum_KD = np.stack([x_ND[label_N == k].sum(axis=0) for k in range(len(centroid_KD))])
        assert np.bincount(label_N, minlength=len(centroid_KD)).all()
        centroid_KD = sum_KD / np.linalg.norm(sum_KD, axis=1, keepdims=True)
    return centroid_KD


def objective(centroid_KD):
    return (embedded.directions(X_ND) @ centroid_KD.T).max(axis=1).mean()


@pytest.mark.parametrize("iterations", [0, 1, 5])
def test_centroids_are_those_of_the_definition(iterations):
    found_KD = SphericalKMeans(num_clusters=12, iterations=iterations).centroids(
        embedded.Arrays(FILES)
    )
    assert found_KD.dtype == np.float32
    first_KD, x_ND = first_centroids(12), embedded.directions(X_ND)
    np.testing.assert_allclose(
        found_KD, lloyd(x_ND, first_KD, iterations, is_rounded=True), atol=1e-5
    )
    # Without the grid a few documents of an edge go to the other side.
    exact_KD = lloyd(x_ND, first_KD, iterations, is_rounded=False)
    assert abs(objective(found_KD) - objective(exact_KD)) < 1e-3


def test_it_finds_clusters_as_good_as_those_of_scikit_learn():
    """Theirs minimises distances to means that are shorter than 1; near, but not the same."""
    found_KD = SphericalKMeans(num_clusters=20).centroids(embedded.Arrays(FILES))
    theirs = KMeans(20, init=first_centroids(20), n_init=1, max_iter=20)
    center_KD = theirs.fit(embedded.directions(X_ND)).cluster_centers_
    center_KD /= np.linalg.norm(center_KD, axis=1, keepdims=True)
    assert objective(found_KD) > objective(center_KD) - 0.003


@pytest.mark.parametrize("corpus", [{"unit_rows": 13}, {"backwards": True}])
@pytest.mark.parametrize("sample", [1.0, 0.5])
def test_neither_order_nor_units_change_anything(corpus, sample):
    learner = SphericalKMeans(num_clusters=30, iterations=4, sample=sample)
    expected_KD = learner.centroids(embedded.Arrays(FILES))
    np.testing.assert_array_equal(learner.centroids(embedded.Arrays(FILES, **corpus)), expected_KD)


@pytest.mark.parametrize(
    ("name", "value"),
    [("BLOCK_ROWS", 64), ("TILE_CENTROIDS", 7), ("MOST_SUMMED", 200), ("fits_in_memory", None)],
)
def test_nor_do_blocks_tiles_and_memory(monkeypatch, name, value):
    learner = SphericalKMeans(num_clusters=30, iterations=3)
    expected_KD = learner.centroids(embedded.Arrays(FILES))
    if name == "fits_in_memory":
        value = lambda num_bytes: False  # noqa: E731
    if name == "MOST_SUMMED":
        monkeypatch.setattr(nearest_centroids, "BLOCK_ROWS", 100)
    module = nearest_centroids if hasattr(nearest_centroids, name) else spherical_kmeans
    monkeypatch.setattr(module, name, value)
    np.testing.assert_array_equal(learner.centroids(embedded.Arrays(FILES)), expected_KD)


def test_labels_are_the_nearest_centroids_and_ties_go_to_the_first():
    centroid_KD = unit_vectors(embedded.vectors(3000, 32, seed=4))[0]
    centroid_KD[2999] = centroid_KD[17]
    direction_ND = on_grid(unit_vectors(X_ND)[0], DIRECTION_BITS)
    direction_ND[5] = on_grid(centroid_KD[17], DIRECTION_BITS)
    label_N, total = Assignment(centroid_KD).labels(direction_ND)
    similarity_NK = (direction_ND / 2.0**12) @ centroid_KD.T
    np.testing.assert_allclose(
        similarity_NK[np.arange(len(label_N)), label_N], similarity_NK.max(axis=1), atol=2e-3
    )
    assert label_N[5] == 17
    assert abs(total - similarity_NK.max(axis=1).sum()) < 0.5


def test_what_fills_the_last_tile_is_no_centroid(monkeypatch):
    monkeypatch.setattr(nearest_centroids, "TILE_CENTROIDS", 4)
    centroid_KD = unit_vectors(embedded.vectors(5, 8, groups=1, spread=0.1))[0]
    opposite_ND = on_grid(-centroid_KD, DIRECTION_BITS)
    label_N, total = Assignment(centroid_KD).labels(opposite_ND)
    assert label_N.max() < 5
    assert total < -4


def test_sums_leave_the_device_before_they_overflow(monkeypatch):
    assert nearest_centroids.MOST_SUMMED * (2**DIRECTION_BITS + 1) < 2**31
    monkeypatch.setattr(nearest_centroids, "MOST_SUMMED", 300)
    monkeypatch.setattr(nearest_centroids, "BLOCK_ROWS", 100)
    sums = ClusterSums(1, 3)
    sums.add(np.ones((350, 3), np.int16), np.zeros(350, np.int32))
    assert sums.sum_KD[0].tolist() == [300] * 3


def test_sums_are_exact():
    direction_ND = on_grid(unit_vectors(X_ND)[0], DIRECTION_BITS)
    label_N = np.arange(len(X_ND), dtype=np.int32) % 7
    sums = ClusterSums(9, 32)
    sums.add(direction_ND, label_N)
    sums.flush()
    expected_KD = np.zeros((9, 32), np.int64)
    np.add.at(expected_KD, label_N, direction_ND)
    np.testing.assert_array_equal(sums.sum_KD, expected_KD)
    np.testing.assert_array_equal(sums.count_K, np.bincount(label_N, minlength=9))


def test_an_empty_cluster_takes_a_half_of_the_largest():
    x_ND = embedded.directions(embedded.vectors(400, 16, groups=2, spread=0.3))
    generator = np.random.default_rng(0)
    centroid_KD = embedded.directions(generator.standard_normal((5, 16))).astype(np.float32)
    sum_KD = np.zeros((5, 16), np.int64)
    count_K = np.array([0, 300, 100, 0, 1])
    for k, members_ND in ((1, x_ND[:300]), (2, x_ND[300:]), (4, x_ND[:1])):
        sum_KD[k] = (members_ND * 2**12).round().sum(axis=0)
    new_KD = updated(centroid_KD, sum_KD, count_K)
    means_KD = embedded.directions(sum_KD[[1, 2, 4]].astype(np.float64))
    # 0 is split off 1, the largest; 3 off 2, the second; the cluster of one stays whole.
    assert 0.99 < new_KD[0] @ new_KD[1] < 1 - 1e-4
    assert new_KD[[0, 1]] @ means_KD[0] == pytest.approx(1, abs=1e-2)
    assert new_KD[[2, 3]] @ means_KD[1] == pytest.approx(1, abs=1e-2)
    assert new_KD[4] @ means_KD[2] == pytest.approx(1, abs=1e-6)
    label_N, _ = Assignment(new_KD).labels(on_grid(x_ND, DIRECTION_BITS))
    assert (np.bincount(label_N, minlength=4)[:4] > 0).all()


def test_equal_documents_leave_clusters_empty_and_do_no_harm():
    x_ND = np.repeat(embedded.vectors(3, 16), 20, axis=0)
    centroid_KD = SphericalKMeans(num_clusters=10).centroids(embedded.Arrays({"a": x_ND}))
    assert np.isfinite(centroid_KD).all()
    assert (embedded.directions(x_ND) @ centroid_KD.T).max(axis=1).min() > 0.99


def test_similarity_is_the_cosine():
    centroid_KD = unit_vectors(embedded.vectors(6, 32, seed=2))[0]
    label_N = np.arange(len(X_ND)) % 6
    expected_N = (embedded.directions(X_ND) * centroid_KD[label_N]).sum(axis=1)
    np.testing.assert_allclose(
        similarity_to_centroid(X_ND, centroid_KD, label_N), expected_N, atol=1e-6
    )


def test_more_clusters_than_documents_are_refused():
    with pytest.raises(ValueError, match=r"num_clusters is 1,001, but there are 1,000 documents"):
        SphericalKMeans(num_clusters=1001).centroids(embedded.Arrays(FILES))
    with pytest.raises(ValueError, match=r"are 1[0-9]{2} documents.*, or a larger sample"):
        SphericalKMeans(num_clusters=900, sample=0.15).centroids(embedded.Arrays(FILES))


@pytest.mark.parametrize("bad", [{"num_clusters": 0}, {"iterations": -1}, {"sample": 1.5}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="use 1 to 16,777,216, at least 0, and a share above 0"):
        SphericalKMeans(**bad).centroids(embedded.Arrays(FILES))
