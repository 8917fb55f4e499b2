"""The density scorer: merging, order, and what it says of its spread."""

import embedded
import numpy as np
import pytest

from pruning.scorers import density
from pruning.scorers.density import Density, spread

FILES = {"a.jsonl": embedded.vectors(230, 24), "b.jsonl": embedded.vectors(60, 24, seed=1)}
LEARNER = Density(rows=50, buckets=500)


def scores(learner, artifact):
    scorer = learner.scorer(artifact)
    return [scorer.score(embedded.documents(x_ND, f))["density"] for f, x_ND in FILES.items()]


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name, array in left.items():
        np.testing.assert_array_equal(array, right[name])


@pytest.mark.parametrize("corpus", [{"unit_rows": 7}, {"backwards": True}])
def test_neither_order_nor_units_change_anything(corpus):
    expected = LEARNER.fit(embedded.Arrays(FILES))
    assert_equal(LEARNER.fit(embedded.Arrays(FILES, **corpus)), expected)


def test_parts_merge_into_the_whole():
    parts = [LEARNER.fit(embedded.Arrays({file: x_ND})) for file, x_ND in FILES.items()]
    assert_equal(LEARNER.merge(parts), LEARNER.fit(embedded.Arrays(FILES)))


def test_sketches_of_other_hash_functions_do_not_merge():
    parts = [Density(rows=50, buckets=500, seed=s).fit(embedded.Arrays(FILES)) for s in (0, 1)]
    with pytest.raises(ValueError, match="have other hash functions"):
        LEARNER.merge(parts)


def test_crowded_documents_have_the_highest_density():
    x_ND = embedded.vectors(200, 32, groups=200)
    x_ND[:50] = x_ND[0]
    learner = Density(rows=200, buckets=1000, bandwidth=0.1)
    fitted = learner.fit(embedded.Arrays({"a": x_ND}))
    density_N = learner.scorer(fitted).score(embedded.documents(x_ND, "a"))["density"]
    assert density_N.dtype == np.float32
    assert (density_N[:50] >= 50).all()
    assert density_N[50:].max() < 25
    assert density_N.min() >= 1


def test_settings_change_the_scores():
    base = scores(LEARNER, LEARNER.fit(embedded.Arrays(FILES)))
    for change in ({"bandwidth": 0.5}, {"seed": 1}, {"rows": 49}, {"buckets": 5}):
        other = Density(**{**LEARNER.settings(), **change})
        assert other.settings() != LEARNER.settings()
        assert any((scores(other, other.fit(embedded.Arrays(FILES)))[0] != base[0]).tolist())


def test_more_documents_than_a_counter_holds_are_refused(monkeypatch):
    monkeypatch.setattr(density, "MOST_DOCUMENTS", 200)
    with pytest.raises(ValueError, match="more than 200 documents"):
        LEARNER.fit(embedded.Arrays(FILES))


def test_a_corpus_without_directions_is_refused():
    with pytest.raises(ValueError, match="No document of the corpus has an embedding"):
        LEARNER.fit(embedded.Arrays({"a": np.zeros((5, 8), np.float32)}))


def test_the_spread_is_told_and_a_narrow_one_warned_of():
    wide = spread([np.array([1.0, 3.0, np.nan]), np.array([8.0])])
    assert wide == "Density: 1 to 8, max/min 8, coefficient of variation 0.736."
    narrow = spread([np.array([10.0, 12.0])])
    assert "max/min 1.2" in narrow
    assert "nearly random sampling" in narrow
    assert "nearly random" not in wide
    assert spread([np.array([np.nan])]) == "No document has a density."
