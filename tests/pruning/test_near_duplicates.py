"""Near-duplicates against datasketch's own index and pairs compared one by one."""

import sys

import numpy as np
import pytest
import slow_ngrams
from datasketch import MinHash, MinHashLSH
from test_learners_of_text import documents

from pruning import minhash
from pruning.hashing import id_hash
from pruning.scorers.near_duplicates import NearDuplicates


def edited_texts(rng, originals=25, versions=6, words=150, rate=0.012):
    """Texts with a growing share of words exchanged: similarities from 1 to 0.2."""
    texts = []
    for _ in range(originals):
        base = rng.integers(0, 10_000, words).astype(str)
        for version in range(versions):
            copy = base.copy()
            changed = rng.random(words) < rate * version
            copy[changed] = rng.integers(0, 10_000, changed.sum()).astype(str)
            texts.append(" ".join(copy))
    return texts


def shingles(text, n):
    return {slow_ngrams.ngram_hash(g) for g in slow_ngrams.ngrams(text, n)}


def groups_by_datasketch(texts, *, threshold, n, num_perm, seed):
    """Connected components by its index and its estimate, with a plain search."""
    hashes = []
    for text in texts:
        signature = MinHash(num_perm=num_perm, seed=seed, scheme="affine32", hashfunc=int)
        signature.update_batch([h & 0xFFFFFFFF for h in shingles(text, n)])
        hashes.append(signature)
    index = MinHashLSH(threshold=threshold, num_perm=num_perm)
    for i, signature in enumerate(hashes):
        index.insert(i, signature)
    near = {
        i: {j for j in index.query(s) if s.jaccard(hashes[j]) >= threshold}
        for i, s in enumerate(hashes)
    }
    found = set()
    for i in near:
        group, todo = set(), {i}
        while todo:
            group |= todo
            todo = {k for j in todo for k in near[j]} - group
        found.add(frozenset(group))
    return found


def partition(group_N):
    return {frozenset(np.flatnonzero(group_N == g).tolist()) for g in np.unique(group_N)}


@pytest.mark.parametrize(
    ("threshold", "n", "num_perm", "seed", "rate"),
    [(0.8, 5, 128, 0, 0.012), (0.5, 2, 64, 7, 0.05), (0.7, 5, 256, 1, 0.02)],
)
def test_groups_are_those_of_datasketch(threshold, n, num_perm, seed, rate):
    texts = edited_texts(np.random.default_rng(seed), rate=rate)
    signature_NM = minhash.signatures(texts, ngram=n, num_perm=num_perm, seed=seed)
    found = partition(minhash.groups(signature_NM, threshold))
    expected = groups_by_datasketch(texts, threshold=threshold, n=n, num_perm=num_perm, seed=seed)
    assert found == expected
    sizes = {len(group) for group in found}
    assert len(sizes) > 2, "the texts should make groups of several sizes"


def test_bands_at_the_defaults_are_those_of_the_docstring():
    b, r = minhash.bands(NearDuplicates().threshold, NearDuplicates().num_perm)
    assert (b, r) == (9, 13)
    found = [round(1 - (1 - s**r) ** b, 2) for s in (0.8, 0.85, 0.9)]
    assert found == [0.40, 0.69, 0.93]


def test_the_estimate_is_close_to_the_similarity():
    texts = edited_texts(np.random.default_rng(5), originals=4)
    signature_NM = minhash.signatures(texts, ngram=5, num_perm=1024, seed=0)
    for i in range(len(texts)):
        a, b = shingles(texts[0], 5), shingles(texts[i], 5)
        estimate = (signature_NM[0] == signature_NM[i]).mean()
        assert estimate == pytest.approx(len(a & b) / len(a | b), abs=0.06)


def test_of_each_group_the_document_of_the_smallest_hash_stays():
    texts = edited_texts(np.random.default_rng(2))
    unit, learner = documents(texts), NearDuplicates(seed=9)
    artifact = learner.fit([unit])
    scores = learner.scorer(artifact).score(unit)
    expected = groups_by_datasketch(texts, threshold=0.8, n=5, num_perm=128, seed=9)
    key_N = id_hash(unit.file, unit.rows_N, 9)
    kept = {min(group, key=lambda i: key_N[i]) for group in expected}
    assert set(np.flatnonzero(scores["near_duplicate"] == 0).tolist()) == kept
    for group in expected:
        assert {scores["near_copies"][i] for i in group} == {len(group)}


def test_short_texts_are_compared_whole():
    unit, learner = documents(["one two", "One  two", "two one", "one"]), NearDuplicates()
    scores = learner.scorer(learner.fit([unit])).score(unit)
    assert scores["near_copies"].tolist() == [2, 2, 1, 1]


def test_ends_of_a_chain_are_one_group():
    """Each is like the next, the first is not like the last."""
    signature_NM = np.zeros((12, 128), np.uint32)
    for i in range(12):
        signature_NM[i, 128 - 10 * i :] = 1
    assert (
        len(np.unique(minhash.groups(signature_NM[[5, 0, 11, 3, 1, 2, 4, 8, 10, 9, 7, 6]], 0.9)))
        == 1
    )
    assert len(np.unique(minhash.groups(signature_NM[::2], 0.9))) == 6


def test_a_document_that_was_not_learnt_from_has_no_score():
    learner = NearDuplicates()
    scorer = learner.scorer(learner.fit([documents(["a b c"])]))
    scores = scorer.score(documents(["a b c", "a b c"], rows=[0, 5]))
    assert scores["near_copies"][0] == 1
    assert np.isnan([scores["near_duplicate"][1], scores["near_copies"][1]]).all()


def test_overlapping_parts_do_not_merge():
    learner = NearDuplicates()
    part = learner.fit([documents(["a b c"])])
    with pytest.raises(ValueError, match="same hash\\(id, seed\\)"):
        learner.merge([part, part])


def test_settings_that_cannot_work():
    with pytest.raises(ValueError, match=r"threshold 1\.5"):
        NearDuplicates(threshold=1.5)
    with pytest.raises(ValueError, match=r"cannot find a similarity of threshold=1\.0"):
        NearDuplicates(threshold=1.0).fit([])


def test_without_datasketch_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasketch", None)
    with pytest.raises(ImportError, match=r"t5x-pruning\[near-duplicates\]"):
        NearDuplicates().fit([])


def test_an_old_datasketch_is_refused(monkeypatch):
    monkeypatch.setattr("datasketch.__version__", "1.6.5")
    with pytest.raises(ImportError, match=r"datasketch 2 or later, and 1\.6\.5"):
        NearDuplicates().fit([])
