"""A report over several stores and selections, against the same numbers counted by hand."""

import html
import re

import numpy as np
import pytest
import scipy.stats
from toy import write_store

from pruning.jobs.report import name_stores, report
from pruning.prepared_units import Where
from pruning.report import Options, build_report
from pruning.report.agreement import kendall_taus, most_disagreed, rank_map, ranks
from pruning.report.categories import MOST_VALUES, ByLength, find_fields
from pruning.report.composition import count_kept
from pruning.report.histograms import count_scores
from pruning.report.markup import percent
from pruning.report.ranges import find_ranges
from pruning.report.sampling import take_sample
from pruning.report.scored_corpus import see
from pruning.selecting import select
from pruning.selection import Rule

N = 300
rng = np.random.default_rng(0)
FILES = {"a.jsonl": slice(0, 200), "b.jsonl": slice(200, N)}
PPL = rng.normal(3, 1, N).astype(np.float32)
ASK = (PPL + rng.normal(0, 1, N)).astype(np.float32)
PPL[5] = np.nan
DOMAIN = np.array([("web", "books", "news")[i % 3] for i in range(N)])
ROW = np.concatenate([np.arange(200), np.arange(100)])
TOKENS = ROW % 5 + 1


def split(values):
    return {path: values[rows] for path, rows in FILES.items()}


def a_store(folder, scores, unit_rows=7, **more):
    domains = {path: list(d) for path, d in split(DOMAIN).items()}
    return write_store(folder, split(scores), domains=domains, unit_rows=unit_rows, **more)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    return {"ppl": a_store(folder / "ppl", PPL), "ask": a_store(folder / "ask", ASK, unit_rows=64)}


@pytest.fixture(scope="module")
def selections(stores, tmp_path_factory):
    folder = tmp_path_factory.mktemp("selections")
    both = {"p": stores["ppl"], "q": stores["ask"]}
    score = "rank(q.nll) - zscore(p.nll)"
    return [
        select(stores["ppl"], folder / "low", rule=Rule(keep="low", fraction=0.4)),
        select(both, folder / "both", rule=Rule(keep="high", fraction=0.3), score=score),
        select(stores["ppl"], folder / "each", rule=Rule(keep="low", documents=20, per="domain")),
    ]


def keep(selection):
    return np.concatenate([selection.keep(path) for path in FILES])


def test_a_selection_is_drawn_into_the_score_it_ranked_by(stores, selections):
    seen = see(stores)
    assert seen.score_of(selections[0]) == "ppl.nll"
    assert seen.score_of(selections[1]) == "rank(ask.nll) - zscore(ppl.nll)"
    assert see({"": stores["ppl"]}).score_of(selections[0]) == "nll"
    assert see({"": stores["ppl"]}).score_of(selections[1]) is None
    computed = seen.with_scores([seen.score_of(selections[1])])
    name = "rank(ask.nll) - zscore(ppl.nll)"
    found = np.concatenate([t[name].to_numpy() for _, t in computed.tables([name])])
    kept = keep(selections[1])
    low, high = selections[1].info["thresholds"]
    assert found[kept].min() == np.float32(low)
    assert found[kept].max() == np.float32(high)
    assert np.nanmax(found[~kept]) <= np.float32(low)


def test_names_of_columns_are_translated_once(stores, tmp_path):
    """The selection calls `ask` what the report calls `ppl`, and the other way round."""
    crossed = {"ask": stores["ppl"], "ppl": stores["ask"]}
    rule = Rule(keep="low", fraction=0.5)
    made = select(crossed, tmp_path / "crossed", rule=rule, score="ask.nll - 2 * ppl.nll")
    assert see(stores).score_of(made) == "ppl.nll - 2 * ask.nll"


def test_a_rank_among_what_where_kept_is_not_guessed(stores, selections, tmp_path):
    made = select(
        stores["ppl"],
        tmp_path / "after",
        rule=Rule(keep="low", fraction=0.5),
        score="rank(nll)",
        where=Where(selections[0]),
    )
    assert see(stores).score_of(made) is None
    assert "after</span>" in build_report(stores, [made])


def test_compositions_overlaps_and_totals_are_those_of_the_bits(stores, selections):
    seen = see(stores)
    fields, _ = find_fields(seen, ["domain"])
    counts = count_kept(seen, [*fields, ByLength("tokens")], selections)
    scored = np.ones(N, bool)  # the second store has all
    kept = [scored, *map(keep, selections)]
    assert counts.documents.tolist() == [k.sum() for k in kept]
    # Tokens are those of the first store, which has none where it has no score.
    tokens = np.where(np.isnan(PPL), 0, TOKENS)
    assert counts.tokens.tolist() == [tokens[k].sum() for k in kept]
    assert counts.shared.tolist() == [[(a & b).sum() for b in kept[1:]] for a in kept[1:]]
    by_domain = counts.compositions[0]
    for g, name in enumerate(by_domain.category.names):
        assert by_domain.documents[:, g].tolist() == [(k & (name == DOMAIN)).sum() for k in kept]
        assert by_domain.tokens[:, g].tolist() == [tokens[k & (name == DOMAIN)].sum() for k in kept]
    assert counts.compositions[1].documents.sum(axis=1).tolist() == counts.documents.tolist()


def test_numbers_on_the_page(stores, selections):
    page = html.unescape(build_report(stores, selections, options=Options(training_tokens=10**6)))
    first, second = keep(selections[0]), keep(selections[1])
    shared = (first & second).sum()
    assert f"{percent(shared, first.sum())}<small>{shared};" in page
    tokens = np.where(np.isnan(PPL), 0, TOKENS)[first].sum()
    assert f">{10**6 / tokens:,.2f}<" in page
    assert "Beyond 4 epochs pruning no longer helped" in page
    both = np.isfinite(PPL)
    tau = scipy.stats.kendalltau(PPL[both], ASK[both]).statistic
    assert f"τ {tau:.2f}" in page
    assert "within each domain" in page
    assert page.count("What each selection keeps") == 1
    # The cuts of `each` stand in the strips of the domains.
    assert "The shaded part is what each keeps of each." in page
    assert "Beyond 4 epochs" not in build_report(
        stores, selections, options=Options(training_tokens=100)
    )


def test_without_training_tokens_the_page_says_what_four_epochs_are(stores, selections):
    tokens = np.where(np.isnan(PPL), 0, TOKENS)[keep(selections[0])].sum()
    assert f"{4 * tokens:,} tokens" in build_report(stores, selections)


def test_a_sample_is_the_same_for_any_cut_into_units(stores, tmp_path):
    other = {"x": a_store(tmp_path / "other", PPL, unit_rows=1000)}
    samples = [take_sample(see(s), ["domain"], size=50, seed=3) for s in (stores, other)]
    ids = [list(zip(s["(file)"].to_pylist(), s["(row)"].to_pylist(), strict=True)) for s in samples]
    # The other store lacks the document without a score.
    assert [i for i in ids[0] if i != ("a.jsonl", 5)][:40] == ids[1][:40]
    assert (
        take_sample(see(stores), ["domain"], size=20, seed=3)["(row)"].to_pylist()
        == (samples[0]["(row)"].to_pylist()[:20])
    )
    assert take_sample(see(stores), ["domain"], size=50, seed=4) != samples[0]


def test_the_page_says_what_is_a_sample(stores):
    assert "look at all 300 scored documents" in build_report(stores)
    small = build_report(stores, options=Options(sample=40))
    assert "look at a sample of 40 of 300 scored documents (seed 0)" in small


def test_the_most_disagreed_are_those_whose_ranks_lie_furthest_apart(stores):
    a, b = ranks(PPL), ranks(ASK)
    found = most_disagreed(a, b, 3)
    assert (a - b)[found].tolist() == sorted(np.nan_to_num(a - b, nan=-9))[::-1][:3]
    assert not len(most_disagreed(a, a, 3))
    page = build_report(stores)
    assert page.count("High in ") == 2


def test_kendalls_tau_and_rank_maps_of_what_is_known():
    up = np.arange(4000.0)
    taus = kendall_taus({"up": up, "down": -up, "none": np.where(up < 2, np.nan, 1.0)})
    assert taus[0, 1] == pytest.approx(-1)
    assert np.isnan(taus[0, 2])
    counts = rank_map(ranks(up), ranks(up))
    assert counts.sum() == 4000
    assert counts.trace() == 4000
    assert rank_map(ranks(up), ranks(-up))[::-1].trace() == 4000


def test_heavy_tails_have_a_logarithmic_axis(tmp_path):
    lognormal = np.exp(rng.normal(0, 2, N)).astype(np.float32)
    seen = see({"": a_store(tmp_path / "s", lognormal)})
    ranges = find_ranges(seen, ["nll"])
    assert ranges["nll"].log
    (histogram,) = count_scores(seen, ranges)[0].values()
    edges = [histogram.edge(i) for i in range(4097)]
    assert (
        np.abs(
            np.cumsum(np.histogram(lognormal, edges)[0]) - np.cumsum(histogram.total[1:-1])
        ).max()
        <= 1
    )
    assert "a logarithmic axis" in build_report({"": seen.stores.first})
    uniform = see({"": a_store(tmp_path / "u", rng.random(N).astype(np.float32))})
    assert not find_ranges(uniform, ["nll"])["nll"].log


def test_a_field_with_a_value_for_every_document_makes_no_groups(tmp_path):
    n = MOST_VALUES + 10
    scores = {"a": np.ones(n, np.float32)}
    urls = {"a": [f"address {i}" for i in range(n)]}
    store = write_store(tmp_path / "s", scores, domains=urls, unit_rows=4096)
    assert find_fields(see({"": store}), ["domain"]) == ([], ["domain"])
    assert "too many values: domain" in build_report({"": store})


def test_units_that_one_store_lacks(stores, tmp_path):
    half = a_store(tmp_path / "half", PPL, leave_out=20)
    page = build_report({"half": half, "ask": stores["ask"]})
    assert f"{len(half.units) - 20} of {len(half.units)} units are there" in page
    sample = take_sample(see({"half": half}), ["nll"])
    assert len(sample) < N - 100


def test_stores_have_the_names_of_their_folders():
    assert name_stores(["x/ppl"]) == {"": "x/ppl"}
    assert name_stores(["x/ppl/", "y=z/ask", "1-b"]) == {
        "ppl": "x/ppl/",
        "y": "z/ask",
        "_1_b": "1-b",
    }
    with pytest.raises(ValueError, match="both have the name ppl"):
        name_stores(["x/ppl", "y/ppl"])


def test_the_job_takes_several_stores(stores, selections, tmp_path, capsys):
    folders = [str(store.folder) for store in stores.values()]
    output = tmp_path / "report.html"
    report(folders, str(output), [str(s.folder) for s in selections], training_tokens=1000)
    assert "corpus cannot be opened" in capsys.readouterr().out
    page = output.read_text()
    assert "<h3>ask.nll</h3>" in page
    assert len(re.findall("<figure>", page)) == 1


def test_the_page_stays_small_whatever_the_texts_hold(stores, selections, monkeypatch):
    """Ten megabytes is the limit; the numbers of documents and characters are bounded."""
    monkeypatch.setattr("pruning.report.samples.text_hash", lambda stored: int(stored.split()[0]))

    def read_text(file, row):
        return f"{1000 + row} ".encode() + b"&&&<" * 10_000

    many = {f"s{i}": store for i, store in enumerate([*stores.values()] * 3)}
    page = build_report(many, selections, read_text)
    assert page.count("&amp;&amp;&amp;&lt;") > 30_000
    assert len(page.encode()) < 4e6
