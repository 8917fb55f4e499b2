"""Exact duplicates: one copy of each text stays."""

from collections import defaultdict

import numpy as np
import pytest
from test_learners_of_text import TEXTS, cut, documents

from pruning.hashing import id_hash
from pruning.scorers.duplicates import Duplicates


@pytest.mark.parametrize("seed", [0, 1])
def test_all_copies_but_that_of_the_smallest_hash_are_duplicates(seed):
    learner, units = Duplicates(seed=seed), cut(7)
    scorer = learner.scorer(learner.fit(units))
    by_text = defaultdict(list)
    for unit in units:
        scores = scorer.score(unit)
        for i, text in enumerate(unit.texts_N):
            key = int(id_hash(unit.file, unit.rows_N[i], seed))
            by_text[text].append((key, scores["duplicate"][i], scores["copies"][i]))
    assert len(by_text) == len(set(TEXTS)) < len(TEXTS)
    for copies in by_text.values():
        _, duplicate, number = zip(*sorted(copies), strict=True)
        assert duplicate == (0.0, *[1.0] * (len(copies) - 1))
        assert set(number) == {len(copies)}


def test_the_seed_decides_which_copy_stays():
    unit = documents(["same"] * 50)
    kept = {
        int(np.argmin(learner.scorer(learner.fit([unit])).score(unit)["duplicate"]))
        for learner in (Duplicates(seed=seed) for seed in range(20))
    }
    assert len(kept) > 5


def test_a_text_that_was_not_learnt_from_has_no_score():
    learner = Duplicates()
    scorer = learner.scorer(learner.fit([documents(["a", "b", "a"])]))
    scores = scorer.score(documents(["b", "c"]))
    assert scores["copies"][0] == 1
    assert np.isnan([scores["duplicate"][1], scores["copies"][1]]).all()
