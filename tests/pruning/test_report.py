import html
import json
import re
import time

import numpy as np
import pyarrow as pa
import pytest
import toy

from pruning.documents import SourceFile
from pruning.hashing import text_hash
from pruning.jobs.report import report
from pruning.manifests import make_manifest
from pruning.report import auc, build_report
from pruning.report.categories import find_fields
from pruning.report.draws import cut_draws, tail_draws
from pruning.report.histograms import BINS, count_scores, quantile
from pruning.report.markup import element, percent
from pruning.report.pictures import ticks
from pruning.report.ranges import Range, find_ranges
from pruning.report.samples import SHOWN_CHARACTERS, draw
from pruning.report.scored_corpus import see
from pruning.report.script import SCRIPT
from pruning.run_costs import Devices, noting_cost
from pruning.score_store import create_or_continue
from pruning.selecting import select
from pruning.selection import Rule
from pruning.store_counts import count
from pruning.throughput import Throughput

HOSTILE = '<script>alert("x")</script> </article></style> & <img src=http://evil.example/a.png>'
COLUMNS = [
    {"name": "nll", "unit": "nats", "keeps": "middle", "meaning": "loss"},
    {"name": "random", "unit": "none", "keeps": "any", "meaning": "control"},
]


class Corpus:
    """A store with known scores, its source on disk, and the same numbers as arrays."""

    def __init__(self, folder, nll, *, fields=("domain", "damage"), unit_rows=100, units=None):
        rng = np.random.default_rng(0)
        n = len(nll)
        self.nll = np.asarray(nll, np.float32)
        self.random = rng.random(n).astype(np.float32)
        self.domain = np.array([("web", "books", "news")[i % 3] for i in range(n)])
        self.damage = np.array([("none", "none", "repeated", "truncated")[i % 4] for i in range(n)])
        self.n_tokens = rng.integers(1, 100, n)
        self.texts = [f"document {i} {HOSTILE}" for i in range(n)]
        self.path = folder / "corpus.jsonl"
        self.path.write_text(
            "".join(
                json.dumps({"text": t, "domain": d, "damage": k}) + "\n"
                for t, d, k in zip(self.texts, self.domain, self.damage, strict=True)
            )
        )
        manifest = make_manifest(
            files=[
                SourceFile(path="corpus.jsonl", size=self.path.stat().st_size, mark="m", num_rows=n)
            ],
            source={"spec": f"jsonl:{self.path}", "text_field": "text", "fields": list(fields)},
            unit_rows=unit_rows,
            scorers={"perplexity": {}, "random": {"seed": 0}},
            columns=COLUMNS,
            settings={"model": {"name": "tiny <model>", "digest": "ab" * 32}, "where": None},
        )
        self.store = create_or_continue(folder / "scores", manifest)
        for unit in self.store.units[:units]:
            self.store.write(
                unit, self._table(slice(unit.first_row, unit.first_row + unit.num_rows))
            )
        if not self.store.missing_units():
            self.store.write_success(count(self.store))

    def _table(self, rows):
        nll = self.nll[rows]
        none = [None] * len(nll)
        arrays = {
            "nll": nll,
            "random": self.random[rows],
            "reason": [None if np.isfinite(x) else "not_finite" for x in nll],
            "note": none,
            "text_hash": [text_hash(t.encode()) for t in self.texts[rows]],
            "n_bytes": [len(t) for t in self.texts[rows]],
            "n_tokens": self.n_tokens[rows],
            "n_targets": none,
            "n_windows": none,
            "truncated": none,
            "domain": self.domain[rows],
            "damage": self.damage[rows],
        }
        schema = self.store.schema
        return pa.table({f.name: pa.array(arrays[f.name], f.type) for f in schema}, schema)

    def write_again(self):
        for unit in self.store.units:
            self.store.path(unit).unlink()
            rows = slice(unit.first_row, unit.first_row + unit.num_rows)
            self.store.write(unit, self._table(rows))

    def read_text(self, file, row):
        return self.texts[row].encode()

    def select(self, name, **rule):
        return select(self.store, self.store.folder.parent / name, rule=Rule(**rule), partial=True)


@pytest.fixture
def corpus(tmp_path):
    nll = np.random.default_rng(1).normal(3, 0.5, 450)
    nll[7] = np.nan
    nll[8] = 1e20
    return Corpus(tmp_path, nll)


def histograms(corpus, kept=()):
    seen = see({"": corpus.store})
    (by,), _ = find_fields(seen, ["domain"])
    ranges = find_ranges(seen, ["nll", "random"])
    return by.names, *count_scores(seen, ranges, by=by, kept=kept)


def test_histogram_counts_every_scored_document_once(corpus):
    groups, by_column, _ = histograms(corpus)
    nll = by_column["nll"]
    finite = np.isfinite(corpus.nll)
    assert nll.range.n == nll.total.sum() == finite.sum()
    for name, counts in zip(groups, nll.counts, strict=True):
        assert counts.sum() == (finite & (corpus.domain == name)).sum()
    edges = [nll.edge(i) for i in range(BINS + 1)]
    inside = np.histogram(corpus.nll[finite].astype(np.float64), edges)[0]
    # np.histogram and we may round a score on an edge to either side.
    assert np.abs(np.cumsum(inside) - np.cumsum(nll.total[1:-1])).max() <= 1


def test_one_absurd_score_does_not_stretch_the_picture(corpus):
    nll = histograms(corpus)[1]["nll"]
    assert nll.range.highest == np.float32(1e20)
    assert nll.range.high < 7
    assert nll.total[-1] == 1


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.99])
def test_quantile_is_within_a_bin(corpus, share):
    corpus_random = histograms(corpus)[1]["random"]
    exact = np.quantile(corpus.random, share, method="inverted_cdf")
    assert abs(quantile(corpus_random.total, corpus_random, share) - exact) <= 1 / BINS


@pytest.mark.parametrize("sign", [1, -1])
def test_bins_leave_out_what_is_far_off_and_little_else(tmp_path, sign):
    nll = sign * np.concatenate([np.random.default_rng(0).normal(5, 1, 1990), np.full(10, 1e9)])
    found = histograms(Corpus(tmp_path, nll, unit_rows=1000))[1]["nll"]
    assert 10 <= found.total[[0, -1]].sum() <= 14
    assert found.range.lowest == nll.astype(np.float32).min()


def test_rare_scores_beside_a_common_one_are_shown(tmp_path):
    found = histograms(Corpus(tmp_path, [0.0] * 995 + [1 / 32, 0.5, 1.0, 1.0, 1.0]))[1]["nll"]
    assert (found.range.low, found.range.high) == (0, 1)
    assert found.total[[1, BINS]].tolist() == [995, 3]


def test_kept_documents_are_those_of_the_keep_bits(corpus):
    selection = corpus.select("low", keep="low", fraction=0.3)
    groups, _, (kept,) = histograms(corpus, kept=[("nll", selection)])
    keep = selection.keep("corpus.jsonl")
    assert dict(zip(groups, kept.counts.sum(axis=1), strict=True)) == {
        name: (keep & (corpus.domain == name)).sum() for name in groups
    }


def test_groups_beyond_the_largest_are_added_up(corpus):
    corpus.domain = np.array([f"site{i % 40}" for i in range(len(corpus.domain))])
    corpus.write_again()
    groups, by_column, _ = histograms(corpus)
    assert groups[-1] == "(others)"
    assert len(groups) == 16
    assert by_column["nll"].total.sum() == np.isfinite(corpus.nll).sum()


def test_samples_at_the_cut_are_the_nearest_on_each_side(corpus):
    selection = corpus.select("middle", keep="middle", fraction=0.4)
    below, inside, _, above = draw(
        see({"": corpus.store}), cut_draws("nll", selection), fields=["domain"], each=3, seed=0
    )
    low, high = selection.info["thresholds"]
    ranked = np.sort(corpus.nll[np.isfinite(corpus.nll)])
    assert [s.score for s in below] == ranked[ranked < low][-3:].tolist()
    assert [s.score for s in inside] == ranked[ranked >= low][:3].tolist()
    assert [s.score for s in above] == ranked[ranked > high][:3].tolist()
    assert all(s.fields == (corpus.domain[s.id.row],) for s in below)


def test_samples_of_the_tails_depend_on_the_seed_alone(corpus, tmp_path):
    lowest, highest = tail_draws("random", histograms(corpus)[1]["random"], 4)
    again = tmp_path / "again"
    again.mkdir()
    other = Corpus(again, corpus.nll, unit_rows=7)
    drawn = [draw(see({"": c.store}), [lowest, highest], each=4, seed=3) for c in (corpus, other)]
    assert drawn[0] == drawn[1]
    assert {s.score for s in drawn[0][0]} <= set(np.sort(corpus.random)[:6].tolist())
    assert {s.score for s in drawn[0][1]} <= set(np.sort(corpus.random)[-6:].tolist())


def test_numbers_on_the_page(corpus):
    selection = corpus.select("middle", keep="middle", fraction=0.4)
    page = html.unescape(build_report({"": corpus.store}, [selection], corpus.read_text))
    finite, keep = np.isfinite(corpus.nll), selection.keep("corpus.jsonl")
    plain = re.sub(r"<[^>]*>", "|", page)
    assert f"{finite.sum():,} of {len(finite):,}" in page
    assert (
        f"{corpus.n_tokens[keep].sum():,} of {corpus.n_tokens[finite].sum():,} tokens stay" in page
    )
    web = corpus.domain == "web"
    assert f"{percent((web & keep).sum(), keep.sum())} · {(web & keep).sum():,}" in page
    rate = percent((web & keep).sum(), (web & finite).sum())
    assert f"web<small>keeps {rate}</small>" in page
    tokens = corpus.n_tokens[web & finite].sum()
    assert f"{percent(tokens, corpus.n_tokens[finite].sum())} · {tokens:,}" in page
    damaged = finite & (corpus.damage == "repeated")
    value = auc(corpus.nll[damaged], corpus.nll[finite & (corpus.damage == "none")])
    assert re.search(rf"repeated\W+{(corpus.damage == 'repeated').sum()}\W+{value:.3f}\b", plain)
    assert "corpus.jsonl__7" in page  # the document without a score
    assert "ababababab" in page
    assert "ab" * 32 not in page


def test_documents_are_text_and_nothing_else(corpus):
    corpus.texts[0] = "unused"
    page = build_report(
        {"": corpus.store}, [corpus.select("s", keep="low", fraction=0.5)], corpus.read_text
    )
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &lt;/article&gt;" in page
    assert "tiny &lt;model&gt;" in page
    assert page.count("<script") == 1
    assert f"<script>{SCRIPT}</script>" in page
    for markup in ("<img", "<link", "@import", "url(", " src=", "onerror="):
        assert markup not in page.replace("&lt;img src=", "")
    addresses = re.findall(r"https?://\S+", page.replace(html.escape(HOSTILE), ""))
    assert not addresses
    assert "default-src 'none'" in html.unescape(page)
    assert page.count("<article") == page.count("</article>") > 0


def test_long_texts_are_cut_and_changed_ones_not_shown(tmp_path):
    corpus = Corpus(tmp_path, [1.0, 2.0])
    long = "y" * (SHOWN_CHARACTERS + 1234)
    corpus.texts = [long, "another text than the one scored"]
    corpus.write_again()
    corpus.texts[1] = "changed since"
    page = build_report({"": corpus.store}, (), corpus.read_text)
    assert "y" * SHOWN_CHARACTERS in page
    assert "y" * (SHOWN_CHARACTERS + 1) not in page
    assert "1,234 more characters" in page
    assert "changed since" not in page
    assert "no longer the one that was scored" in page


@pytest.mark.parametrize(
    "nll",
    [
        [np.nan] * 5,
        [2.5] * 5,
        [0.0] * 5,
        [1.0],
        [np.inf, 1.0, -np.inf],
        [1e-30, 2e-30],
        [3e38, -3e38],
    ],
)
@pytest.mark.parametrize("fields", [("domain", "damage"), ()])
def test_degenerate_scores(tmp_path, nll, fields):
    corpus = Corpus(tmp_path, nll, fields=fields)
    selections = []
    if np.isfinite(nll).all():
        selections = [
            corpus.select("all", keep="high", fraction=1.0),
            corpus.select("random", keep="random", fraction=1.0),
            corpus.select("open", keep="threshold", min_score=-1e38),
        ][: 3 if min(nll) > -1e38 else 1]
    page = build_report({"": corpus.store}, selections, corpus.read_text).replace(SCRIPT, "")
    assert "nan" not in re.sub(r"<[^>]*>", " ", page.partition("</style>")[2]).split()
    assert "NaN" not in page
    assert ("No document has a finite score" in page) == (not np.isfinite(nll).any())


@pytest.mark.parametrize("units", [0, 2])
def test_partial_store(corpus, tmp_path, units):
    folder = tmp_path / "partial"
    folder.mkdir()
    partial = Corpus(folder, corpus.nll, units=units)
    selections = [partial.select("low", keep="low", fraction=0.5)] if units else []
    page = build_report({"": partial.store}, selections)
    assert f"{units} of 5 units are there" in page
    if units:
        assert "not_sampled" in page
        assert "corpus was not at hand" in page


def test_two_stores_are_told_apart(corpus):
    assert "<h3>nll</h3>" in build_report({"": corpus.store})
    page = build_report({"a": corpus.store, "b": corpus.store})
    assert all(f"<h3>{name}</h3>" in page for name in ("a", "b", "a.nll", "b.nll"))


def test_refuses_stores_of_other_files(corpus, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    other = Corpus(folder, [1.0, 2.0])
    with pytest.raises(ValueError, match=r"not of the same files as .*corpus.jsonl has"):
        build_report({"a": corpus.store, "b": other.store})
    with pytest.raises(ValueError, match="not of the same files"):
        build_report({"": corpus.store}, [other.select("low", keep="low", fraction=0.5)])
    with pytest.raises(ValueError, match="at least one score store"):
        build_report({})


def test_a_store_is_recognised_by_its_manifest_and_not_by_its_place(corpus):
    selection = corpus.select("low", keep="low", fraction=0.5)
    selection.info["stores"][0]["path"] = "/elsewhere"
    assert "kept of all" in build_report({"": corpus.store}, [selection])
    selection.info["stores"][0]["path"] = str(corpus.store.folder.resolve())
    selection.info["stores"][0]["manifest"] = "0" * 64
    assert "kept of all" not in build_report({"": corpus.store}, [selection])


def test_job_reads_the_texts_from_the_source(corpus, tmp_path, capsys):
    corpus.select("low", keep="low", fraction=0.5)
    output = tmp_path / "report.html"
    report([str(corpus.store.folder)], str(output), [str(tmp_path / "low")])
    assert capsys.readouterr().out.strip() == str(output)
    assert html.escape(HOSTILE) in output.read_text()
    corpus.path.unlink()
    report([str(corpus.store.folder)], str(output))
    assert "No texts are shown" in capsys.readouterr().out
    assert html.escape(HOSTILE) not in output.read_text()
    assert [p.name for p in tmp_path.glob("report.html*")] == ["report.html"]


def test_the_page_says_what_scoring_cost_or_that_nobody_noted_it(corpus):
    assert "not noted beside these scores" in build_report({"": corpus.store})
    with noting_cost(
        corpus.store.folder, Devices(kind="GPU <i>", count=4), time.monotonic() - 900
    ) as note:
        note(Throughput(documents=450, tokens=900, seconds=90.0))
    page = build_report({"": corpus.store})
    assert "1 device-hours on 4 × GPU &lt;i&gt;, for 450 documents" in page
    assert "while scoring, 5.0 documents/s, 10 tokens/s" in page


def test_experiments_stand_in_the_report(corpus, tmp_path):
    experiment = toy.write_experiment(tmp_path / "small")
    output = tmp_path / "report.html"
    report([str(corpus.store.folder)], str(output), experiment=[experiment + "/"])
    page = output.read_text()
    assert '<section id="experiments"><h2>Trained on it</h2><h3>small</h3>' in page
    assert "<li>low50 cannot be told from random50.</li>" in page
    assert "<code>− random</code>" in page
    assert "3.1 ± 0.1<small>[2.9, 3.3]</small>" in page
    assert page.count("<polyline") == 8
    report([str(corpus.store.folder)], str(output))
    assert 'id="experiments"' not in output.read_text()
    with pytest.raises(FileNotFoundError, match="--stage read"):
        report([str(corpus.store.folder)], str(output), experiment=[str(tmp_path)])


def test_experiments_of_one_name_get_names_of_their_own(corpus, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    a, b = (toy.write_experiment(tmp_path / name / "web") for name in "ab")
    scores, output = [str(corpus.store.folder)], tmp_path / "report.html"
    with pytest.raises(ValueError, match=r"two have one name.*NAME=VALUE"):
        report(scores, str(output), experiment=[a, b])
    report(scores, str(output), experiment=[a, f"later={b}"])
    assert "<h3>web</h3>" in output.read_text() and "<h3>later</h3>" in output.read_text()


def test_markup_escapes_children_and_attributes():
    assert element("a", "<b>", None, [element("i", "&")], class_='"', href=None) == (
        '<a class="&quot;">&lt;b&gt;<i>&amp;</i></a>'
    )
    assert element("p", "a\x00\x1b\tb\r\nc") == "<p>a␀␛\tb\nc</p>"


def test_shares_never_round_to_all_or_nothing():
    shown = [percent(k, 10**7).replace("\N{NO-BREAK SPACE}", "") for k in (0, 1, 10**7 - 1, 10**7)]
    assert shown == ["0.0%", "0.001%", "99.999%", "100.0%"]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 8.9), (1e-9, 2e-9), (2.0, 2.0005)])
def test_ticks_are_round_and_inside(tmp_path, low, high):
    found = ticks(Range(1, low, high, low, high))
    assert 2 <= len(found) <= 7
    assert all(low - 1e-12 <= x <= high + 1e-12 for x in found)


def test_the_job_names_a_selection_of_other_scores(corpus, tmp_path, capsys):
    corpus.select("low", keep="low", fraction=0.5)
    path = tmp_path / "low" / "selection.json"
    info = json.loads(path.read_text())
    info["stores"][0]["manifest"] = "0" * 64
    path.write_text(json.dumps(info))
    report([str(corpus.store.folder)], str(tmp_path / "r.html"), [str(tmp_path / "low")])
    assert "which is not all among --scores" in capsys.readouterr().out
