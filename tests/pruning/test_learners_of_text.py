"""What all scorers share that learn from text: the contract, whatever they learn."""

import dataclasses
import pydoc_data.topics

import numpy as np
import pytest
import toy

from pruning.documents import cut_into_units
from pruning.hashing import text_hash
from pruning.prepared_units import Preparation
from pruning.scorers.duplicates import Duplicates
from pruning.scorers.importance import Importance
from pruning.scorers.near_duplicates import NearDuplicates
from pruning.scorers.scorer import ScorableDocuments
from pruning.scorers.unigram_prior import UnigramPrior
from pruning.sources import open_source
from pruning.text_corpus import TextCorpus

PARAGRAPHS = [p for _, t in sorted(pydoc_data.topics.topics.items())[:8] for p in t.split("\n\n")]
# Copies, copies with a word more, a text of one word and one of none.
TEXTS = [*PARAGRAPHS[:60], *PARAGRAPHS[:20], *[f"{p} more" for p in PARAGRAPHS[10:40]], "x", "§"]
TEXTS = [text for text in TEXTS if text.strip()]


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    path = tmp_path_factory.mktemp("target") / "wanted.jsonl"
    return f"jsonl:{toy.write_jsonl(path, PARAGRAPHS[100:140])}"


@pytest.fixture(params=["importance", "duplicates", "near_duplicates", "unigram_prior"])
def learner(request, target):
    return {
        "importance": Importance(target=target),
        "duplicates": Duplicates(seed=3),
        "near_duplicates": NearDuplicates(threshold=0.7, seed=3),
        "unigram_prior": UnigramPrior(num_buckets=5_000),
    }[request.param]


def documents(texts, file="a.jsonl", rows=None):
    stored = [text.encode() for text in texts]
    return ScorableDocuments(
        file=file,
        rows_N=np.arange(len(texts)) if rows is None else np.array(rows),
        n_bytes_N=np.array([len(s) for s in stored]),
        text_hash_N=np.array([text_hash(s) for s in stored]),
        texts_N=texts,
    )


def cut(unit_rows):
    """The texts of two files, unit by unit."""
    half = len(TEXTS) // 2
    files = {"a.jsonl": TEXTS[:half], "b.jsonl": TEXTS[half:]}
    return [
        documents(texts[i : i + unit_rows], file, range(i, min(i + unit_rows, len(texts))))
        for file, texts in files.items()
        for i in range(0, len(texts), unit_rows)
    ]


def scores_of(scorer, units):
    """By id, as bytes: equal means the same bits."""
    return {
        (unit.file, row): tuple(scores[c.name][i].tobytes() for c in scorer.columns)
        for unit in units
        for scores in [scorer.score(unit)]
        for i, row in enumerate(unit.rows_N.tolist())
    }


def test_scores_are_finite_float32_and_as_stated(learner):
    units = cut(1_000)
    scorer = learner.scorer(learner.fit(units))
    assert scorer.name == learner.name
    assert scorer.needs == frozenset()
    for unit in units:
        scores = scorer.score(unit)
        assert [*scores] == [c.name for c in scorer.columns]
        for score_N in scores.values():
            assert score_N.dtype == np.float32
            assert score_N.shape == unit.rows_N.shape
            assert np.isfinite(score_N).all()


def test_neither_order_nor_cut_into_units_changes_a_bit(learner):
    expected_artifact = learner.fit(cut(1_000))
    expected = scores_of(learner.scorer(expected_artifact), cut(1_000))
    for units in (cut(7), cut(7)[::-1], cut(1)):
        artifact = learner.fit(units)
        assert {k: (v.dtype, v.tobytes()) for k, v in artifact.items()} == {
            k: (v.dtype, v.tobytes()) for k, v in expected_artifact.items()
        }
        assert scores_of(learner.scorer(artifact), units) == expected


def test_parts_merge_to_what_the_whole_gives(learner):
    units = cut(7)
    whole = learner.fit(units)
    parts = [learner.fit(units[i::3]) for i in range(3)]
    for order in ([0, 1, 2], [2, 0, 1]):
        merged = learner.merge([parts[i] for i in order])
        assert {k: v.tobytes() for k, v in merged.items()} == {
            k: v.tobytes() for k, v in whole.items()
        }
        assert {k: v.dtype for k, v in merged.items()} == {k: v.dtype for k, v in whole.items()}


def test_nothing_to_learn_from_is_no_error(learner):
    artifact = learner.fit([])
    scores = learner.scorer(artifact).score(documents(["a text"]))
    assert all(len(score_N) == 1 for score_N in scores.values())
    assert learner.merge([artifact, artifact]).keys() == artifact.keys()


def test_settings_say_all_that_changes_the_scores(learner):
    settings = learner.settings()
    assert {f.name for f in dataclasses.fields(learner)} == {*settings}
    assert learner.scorer(learner.fit([])).settings() == settings


def test_a_text_corpus_has_what_can_be_scored(tmp_path, learner):
    texts = [*TEXTS[:9], "", *TEXTS[9:20], "long " * 500]
    path = toy.write_jsonl(tmp_path / "a.jsonl", texts)
    source = open_source(f"jsonl:{path}")
    units = cut_into_units(source.files(), 6)
    corpus = TextCorpus(units=units, how=Preparation(source=source, max_document_bytes=2_500))
    assert corpus.num_rows == len(texts)
    rows = [i for i, text in enumerate(texts) if text and not text.startswith("long")]
    expected = documents([texts[i] for i in rows], path.name, rows)
    for _ in range(2):  # as often as it is asked for
        found = [*corpus]
        assert [len(d.rows_N) for d in found] == [6, 5, 6, 3]
        for name in ("rows_N", "n_bytes_N", "text_hash_N", "texts_N"):
            joined = np.concatenate([getattr(d, name) for d in found])
            assert joined.tolist() == list(getattr(expected, name))
    of_files, of_memory = learner.fit(corpus), learner.fit([expected])
    assert {k: v.tobytes() for k, v in of_files.items()} == {
        k: v.tobytes() for k, v in of_memory.items()
    }
