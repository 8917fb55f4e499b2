"""Selections in groups, in sequence and by tokens, from the store to the books."""

import numpy as np
import pytest
import toy

from pruning.prepared_units import Where
from pruning.selecting import select
from pruning.selection import Rule

FILES = {"a.jsonl": 60, "b.jsonl": 40}


def together(by_file):
    return np.concatenate([by_file[path] for path in FILES])


def kept(selection):
    return together({path: selection.keep(path) for path in FILES})


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    return {path: rng.normal(size=n).astype(np.float32) for path, n in FILES.items()}


@pytest.fixture
def domains():
    names = ["web", "web", "code", None, "books"]
    return {path: [names[i % 5] for i in range(n)] for path, n in FILES.items()}


@pytest.fixture
def clusters():
    found = {path: (np.arange(n) // 2 % 3).astype(np.float32) for path, n in FILES.items()}
    found["b.jsonl"][:4] = np.nan
    return found


@pytest.fixture
def store(tmp_path, scores, domains, clusters):
    return toy.write_store(tmp_path / "scores", scores, domains=domains, more={"cluster": clusters})


def test_half_of_every_domain(store, scores, domains, tmp_path):
    selection = select(
        store, tmp_path / "s", rule=Rule(keep="high", fraction=0.5, per="domain"), score="nll"
    )
    keep_N, score_N = kept(selection), together(scores)
    domain_N = np.array([d or "(none)" for d in together(domains)])
    assert [*selection.info["per_group"]] == ["books", "code", "web", "(none)"]
    for name, found in selection.info["per_group"].items():
        here = np.flatnonzero(domain_N == name)
        best = here[np.argsort(score_N[here])[-(len(here) // 2) :]]
        assert {*np.flatnonzero(keep_N & (domain_N == name))} == {*best}
        ends = [score_N[best].min(), score_N[best].max()]
        assert found == {"documents": len(here), "kept": len(best), "scores": ends}
    assert selection.info["thresholds"] is None
    assert selection.thresholds is None


def test_clusters_are_strata_and_rows_without_one_a_group(store, clusters, tmp_path):
    rule = Rule(keep="random", documents=2, per="cluster", seed=5)
    selection = select(store, tmp_path / "s", rule=rule, score="nll")
    cluster_N, keep_N = together(clusters), kept(selection)
    assert [*selection.info["per_group"]] == ["0", "1", "2", "(none)"]
    for number in range(3):
        assert keep_N[cluster_N == number].sum() == 2
    assert keep_N[np.isnan(cluster_N)].sum() == 2
    assert "cluster" not in selection.info["groups"]


def test_quotas_are_fixed_shares_of_what_stays(store, scores, domains, tmp_path):
    rule = Rule(keep="low", documents=30, per="domain", quota={"code": 0.5, "(none)": 0.1})
    selection = select(store, tmp_path / "s", rule=rule, score="nll")
    books = selection.info["groups"]["domain"]
    assert (books["code"]["kept"], books["(none)"]["kept"]) == (15, 3)
    assert books["web"]["kept"] + books["books"]["kept"] == 12
    assert [*selection.info["per_group"]] == ["code", "(none)", "(others)"]
    # The others are ranked together.
    others = np.isin(np.array([d or "" for d in together(domains)]), ["web", "books"])
    score_N = np.where(others, together(scores), np.inf)
    assert {*np.flatnonzero(kept(selection) & others)} == {*np.argsort(score_N)[:12]}
    assert selection.info["rule"]["quota"] == {"code": 0.5, "(none)": 0.1}


def test_a_quota_of_a_value_that_is_not_there_is_refused(store, tmp_path):
    rule = Rule(keep="low", documents=30, per="domain", quota={"news": 0.5})
    message = r"no document has domain 'news'; known are books, code, web, \(none\)"
    with pytest.raises(ValueError, match=message):
        select(store, tmp_path / "s", rule=rule)


def test_columns_of_groups_are_checked(store, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"no column 'url'; they have nll, cluster, .*domain"):
        select(store, tmp_path / "s", rule=Rule(keep="low", fraction=0.5, per="url"))
    monkeypatch.setattr("pruning.groups.MOST_GROUPS", 50)
    with pytest.raises(ValueError, match=r"--per nll: it has more than 50 values\. Group by"):
        select(store, tmp_path / "s", rule=Rule(keep="low", fraction=0.5, per="nll"))


def test_what_an_earlier_selection_dropped_is_excluded(store, scores, tmp_path):
    first = select(store, tmp_path / "1", rule=Rule(keep="low", fraction=0.6), score="nll")
    for inverted, of, n in ((False, kept(first), 60), (True, ~kept(first), 40)):
        second = select(
            store,
            tmp_path / f"2{inverted}",
            rule=Rule(keep="high", fraction=0.5),
            score="rank(nll)",
            where=Where(first, inverted),
        )
        score_N = np.where(of, together(scores), -np.inf)
        assert {*np.flatnonzero(kept(second))} == {*np.argsort(score_N)[-(n // 2) :]}
        assert second.info["where"] == {"digest": first.digest, "inverted": inverted}
        assert second.info["corpus"]["rank(nll)"] == {"documents": n}
        assert second.info["counts"]["dropped"] == {"by_score": n // 2, "excluded": 100 - n}
        assert second.info["counts"]["scored"] == n


def test_excluded_rows_need_no_number(tmp_path, scores):
    scores["a.jsonl"][:10] = np.nan
    store = toy.write_store(tmp_path / "scores", scores)
    first = select(store, tmp_path / "1", rule=Rule(keep="random", fraction=0.5))
    second = select(store, tmp_path / "2", rule=Rule(keep="low", fraction=1.0), where=Where(first))
    assert second.info["counts"]["dropped"] == {"excluded": 55}
    assert np.array_equal(kept(second), kept(first))


@pytest.mark.parametrize("keep", ["low", "high", "middle", "random"])
def test_a_budget_of_tokens(store, keep, tmp_path):
    selection = select(store, tmp_path / "s", rule=Rule(keep=keep, tokens=100), score="nll")
    counts = selection.info["counts"]
    longest = 5
    ends = 2 if keep == "middle" else 1
    assert 100 - ends * longest < counts["kept_tokens"] <= 100
    assert counts["tokens"] == 300


def test_documents_without_a_token_count_do_not_fit_into_a_budget_of_tokens(tmp_path, scores):
    """The store that counts tokens is not the one that ranks."""
    counting = {path: score_N.copy() for path, score_N in scores.items()}
    counting["b.jsonl"][:7] = np.nan  # rows without a score were not tokenized
    stores = {
        "x": toy.write_store(tmp_path / "x", counting),
        "y": toy.write_store(tmp_path / "y", scores),
    }
    selection = select(stores, tmp_path / "s", rule=Rule(keep="low", tokens=50), score="y.nll")
    assert selection.info["counts"]["dropped"]["no_tokens"] == 7


def test_a_weighted_sample_says_what_it_was(store, tmp_path):
    rule = Rule(keep="sample", weights="inverse", documents=25, seed=3)
    selection = select(store, tmp_path / "s", rule=rule, score="exp(nll)")
    assert selection.num_kept == 25
    assert Rule(**selection.info["rule"]) == rule
    assert selection.info["thresholds"] is None


def test_the_plan_is_recorded(store, tmp_path):
    rule = Rule(keep="low", fraction=1.0)
    assert select(store, tmp_path / "1", rule=rule).info["plan"] is None
    plan = select(store, tmp_path / "2", rule=rule, training_tokens=750).info["plan"]
    assert plan == {"training_tokens": 750, "epochs": 2.5, "most_epochs": 4}
