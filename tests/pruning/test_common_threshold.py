"""One threshold over several stores, against sorting all their documents together."""

import types

import numpy as np
import pyarrow as pa
import pytest
import toy
from hypothesis import given
from hypothesis import strategies as st

from pruning.common_threshold import common_threshold, select_together
from pruning.documents import SourceFile
from pruning.manifests import columns_of, difference_in_scores, make_manifest
from pruning.score_store import create_or_continue, open_store
from pruning.scorers.density import Density, DensityScorer
from pruning.scorers.random_control import Random


def brute_force(scores, weights, keep, fraction):
    """Which documents stay, by sorting: all of one score, or none of them."""
    score_N, weight_N = np.concatenate(scores), np.concatenate(weights)
    total = weight_N.sum()
    values = np.unique(score_N)
    at_or_below = np.array([weight_N[score_N <= v].sum() for v in values])
    below = np.array([weight_N[score_N < v].sum() for v in values])
    kept = fraction * total + 1e-6
    if keep == "low":
        chosen = values[at_or_below <= kept]
    elif keep == "high":
        chosen = values[total - below <= kept]
    else:
        first = int(np.argmax(at_or_below > (total - fraction * total) / 2 + 1e-6))
        chosen = values[first:][at_or_below[first:] - below[first] <= kept]
    return np.isin(score_N, chosen)


def kept_by(threshold, scores):
    score_N = np.concatenate(scores)
    low = -np.inf if threshold.min_score is None else threshold.min_score
    high = np.inf if threshold.max_score is None else threshold.max_score
    return (score_N >= low) & (score_N <= high)


class FakeStore:
    """As much of a ScoreStore as one pass needs."""

    def __init__(self, score_N, tokens_N):
        self._table = pa.table({"nll": score_N, "n_tokens": tokens_N})

    def with_scores(self, names):
        return self

    def tables(self, columns):
        half = len(self._table) // 2
        for part in (self._table.slice(half), self._table.slice(0, half)):
            yield None, part.select(columns)


NUMBERS = st.lists(
    st.tuples(
        st.sampled_from([-1e30, -2.5, -0.0, 0.0, 1e-40, 0.1, 3.0, 7.5, 1e9]), st.integers(1, 9)
    ),
    min_size=1,
    max_size=12,
)


@given(
    st.lists(NUMBERS, min_size=1, max_size=3),
    st.sampled_from(["low", "middle", "high"]),
    st.sampled_from([0.1, 0.29, 0.5, 0.75, 1.0]),
    st.sampled_from(["documents", "tokens"]),
    st.booleans(),
)
def test_the_threshold_is_that_of_sorting_everything(sources, keep, fraction, unit, weighted):
    scores = [np.array([s for s, _ in source], np.float32) for source in sources]
    tokens = [np.array([t for _, t in source], np.int32) for source in sources]
    stores = {str(i): FakeStore(*pair) for i, pair in enumerate(zip(scores, tokens, strict=True))}
    weights = [t if unit == "tokens" else np.ones(len(t)) for t in tokens]
    rates = {name: 1.0 + int(name) for name in stores} if weighted else None
    if rates:
        weights = [w * (1.0 + i) / w.sum() for i, w in enumerate(weights)]
    threshold = common_threshold(
        stores, keep=keep, fraction=fraction, score="nll", unit=unit, rates=rates
    )
    if keep == "middle" and not rates:
        # Whole documents or tokens: floor(fraction * n), and as many below as above, or one less.
        total = sum(w.sum() for w in weights)
        fraction = np.floor(fraction * total + 1e-9) / total
    expected = brute_force(scores, weights, keep, fraction)
    np.testing.assert_array_equal(kept_by(threshold, scores), expected)


@pytest.fixture
def stores(tmp_path):
    rng = np.random.default_rng(0)
    score = {
        "web": {"a.jsonl": rng.normal(0, 1, 60), "b.jsonl": rng.normal(0, 1, 40)},
        "books": {"a.jsonl": rng.normal(1, 1, 50)},
    }
    score["web"]["a.jsonl"][3] = np.nan
    for source, files in score.items():
        floats = {path: values.astype(np.float32) for path, values in files.items()}
        toy.write_store(tmp_path / f"scores/{source}", floats)
    return {source: open_store(tmp_path / f"scores/{source}") for source in score}


def test_selections_have_one_threshold_and_the_composition_moves(stores, tmp_path):
    (column,) = next(iter(stores.values())).score_columns
    chosen = select_together(stores, tmp_path / "out", keep="low", fraction=0.4, score=column)
    assert sum(s.num_kept for s in chosen.values()) == int(0.4 * 149)
    assert {s.folder.name for s in chosen.values()} == {"web", "books"}
    kept, dropped = [], []
    for source, selection in chosen.items():
        for unit, table in stores[source].tables([column]):
            keep_N = selection.keep(unit.file)[unit.first_row :][: unit.num_rows]
            kept += table[column].to_numpy()[keep_N].tolist()
            dropped += table[column].to_numpy()[~keep_N].tolist()
    assert max(kept) < np.nanmin(dropped)
    assert chosen["web"].num_kept / 99 > 2 * chosen["books"].num_kept / 50


def test_all_of_it_can_be_kept(stores, tmp_path):
    (column,) = next(iter(stores.values())).score_columns
    chosen = select_together(stores, tmp_path / "out", keep="high", fraction=1.0, score=column)
    assert [s.num_kept for s in chosen.values()] == [99, 50]


def test_a_rate_decides_what_a_source_counts(stores):
    (column,) = next(iter(stores.values())).score_columns
    thresholds = [
        common_threshold(
            stores, keep="low", fraction=0.5, score=column, rates={"web": 1.0, "books": books}
        ).max_score
        for books in (0.01, 1.0, 100.0)
    ]
    assert thresholds == sorted(thresholds)
    assert thresholds[0] < 0.2 < 0.8 < thresholds[2]


def test_nothing_is_left_behind_when_a_source_would_keep_nothing(stores, tmp_path):
    (column,) = next(iter(stores.values())).score_columns
    with pytest.raises(ValueError, match="This selection keeps none of 50 documents"):
        select_together(stores, tmp_path / "out", keep="low", fraction=0.01, score=column)
    assert [path.name for path in tmp_path.iterdir()] == ["scores"]


def test_what_is_there_is_not_overwritten(stores, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError, match=r"out exists\. Give another output"):
        select_together(stores, tmp_path / "out", keep="low", fraction=0.5, score="nll")


MODEL = {"model": {"name": "a", "digest": "1"}, "vocabulary": {"name": "v", "digest": "2"}}


def manifest(**settings):
    """Of a store of `nll`; settings as `prune score` records them."""
    files = [SourceFile(path=settings.pop("file", "a"), size=9, mark="m", num_rows=4)]
    columns = settings.pop("columns", [{"name": "nll", "unit": "nats", "keeps": "low"}])
    scorers = settings.pop("scorers", {"perplexity": {}})
    source = {"spec": "jsonl:x", "fields": []}
    return make_manifest(
        files=files,
        source=source,
        unit_rows=7,
        scorers=scorers,
        columns=columns,
        settings=MODEL | settings,
    )


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"model": {"name": "a", "digest": "9"}}, 'model.digest is "9" there and "1" here'),
        ({"vocabulary": {"digest": "9"}}, 'vocabulary.digest is "9" there'),
        (
            {"objective": {"name": "causal_lm"}},
            r'objective is \{"name": "causal_lm"\} there and null',
        ),
        ({"scorers": {"perplexity": {"per": "byte"}}}, 'scorers.perplexity.per is "byte" there'),
        ({"columns": [{"name": "nll", "unit": "bits"}]}, 'columns.nll.unit is "bits" there'),
    ],
)
def test_scores_of_different_models_are_not_ranked_together(other, message, tmp_path):
    for name, settings in (("web", {}), ("books", other)):
        create_or_continue(tmp_path / name, manifest(**settings))
    opened = {name: open_store(tmp_path / name) for name in ("web", "books")}
    with pytest.raises(ValueError, match=rf"books are not comparable with .*web: {message}"):
        select_together(opened, tmp_path / "out", keep="low", fraction=0.5, score="2 * nll")


def test_scores_of_what_was_learnt_of_each_source_are_not_ranked_together(tmp_path):
    def learnt_of(source):
        learner = Density()
        scorers = [types.SimpleNamespace(name="random", columns=Random.columns)]
        scorers.append(types.SimpleNamespace(name="density", columns=DensityScorer.columns))
        fitted = {"density": f"digest of {source}"}
        return manifest(
            scorers={"random": {}, "density": learner.settings()},
            columns=columns_of(scorers, fitted),
            fitted=fitted,
        )

    for name in ("web", "books"):
        create_or_continue(tmp_path / name, learnt_of(name))
    web, books = (open_store(tmp_path / name) for name in ("web", "books"))
    message = (
        'books are not comparable .* fitted.density is "digest of books" there and "digest of web" '
        "here. What density says is of the corpus that it looked at: score the sources as one"
    )
    for score in ("density", "random * density"):
        with pytest.raises(ValueError, match=message):
            select_together(
                {"web": web, "books": books},
                tmp_path / "out",
                keep="low",
                fraction=0.5,
                score=score,
            )
    assert difference_in_scores(web.manifest, books.manifest, ["random"]) is None
    assert difference_in_scores(web.manifest, web.manifest, ["density"]) is None


def test_what_does_not_change_the_score_may_differ(tmp_path):
    more = [{"name": "nll", "unit": "nats", "keeps": "low"}, {"name": "el2n", "unit": "none"}]
    books = manifest(
        file="b",
        model={"name": "b", "digest": "1"},
        batch_rows=3,
        scorers={"el2n": {}, "perplexity": {}, "imported": {"rows": 9, "digest": "d"}},
        columns=more,
    )
    web = manifest(scorers={"imported": {"rows": 8, "digest": "e"}, "perplexity": {}})
    assert difference_in_scores(web, books, ["nll"]) is None
    assert difference_in_scores(web, books, ["nll", "el2n"]) is not None


def test_a_store_from_before_columns_named_their_learner_is_compared_and_continued(tmp_path):
    def density(source, **named):
        column = {"name": "density", "unit": "documents", "keeps": "any", **named}
        fitted = {"density": source}
        return manifest(scorers={"density": {}}, columns=[column], fitted=fitted)

    older, later = density("web"), density("web", learner="density")
    assert difference_in_scores(older, later, ["density"]) is None
    other = density("books")
    assert difference_in_scores(older, other, ["density"]) == ("fitted.density", '"web"', '"books"')
    create_or_continue(tmp_path / "s", older)
    assert create_or_continue(tmp_path / "s", later).manifest == older


def test_tokens_are_counted_to_the_last(tmp_path):
    """A share of rounding errors allowed for would let 4 more of 4 * 10 ** 9 in."""
    n = 2 * 10**9
    store = FakeStore(np.array([1, 2, 3], np.float32), np.array([n, 1, n], np.int64))
    threshold = common_threshold(
        {"web": store}, keep="low", fraction=0.5, score="nll", unit="tokens"
    )
    assert threshold.max_score < 2


def test_what_says_where_a_document_stands_in_its_corpus_is_refused(stores, tmp_path):
    (column,) = next(iter(stores.values())).score_columns
    with pytest.raises(
        ValueError, match=r"has rank\(.*\), which says .* leave out rank and zscore"
    ):
        select_together(
            stores, tmp_path / "s", keep="low", fraction=0.5, score=f"2 * rank({column})"
        )


def test_wrong_arguments_are_refused(stores):
    (column,) = next(iter(stores.values())).score_columns
    with pytest.raises(ValueError, match=r"keep is 'random' and fraction 0\.5"):
        common_threshold(stores, keep="random", fraction=0.5, score=column)
    for rates in ({"web": 1}, {"web": 1, "books": 0}, {"web": 1, "books": 1, "code": 1}):
        with pytest.raises(ValueError, match=r"rates are web=1.* above 0 for each of web, books"):
            common_threshold(stores, keep="low", fraction=0.5, score=column, rates=rates)
