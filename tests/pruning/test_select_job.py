"""`prune select` as it is called: flags, gin files, what it prints."""

import json
import shutil

import numpy as np
import pytest
import toy

from pruning import cli
from pruning.jobs.run_job import gin_root
from pruning.keep_bits import read_selection

NAMED = sorted(p.name for p in (gin_root() / "gin" / "select").glob("*.gin"))
SIZE_IS_THE_USERS = {"dsir.gin", "qurating.gin"}


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    files = {"a.jsonl": 120, "b.jsonl": 80}
    columns = {
        name: {path: rng.gamma(2, size=n).astype(np.float32) for path, n in files.items()}
        for name in ("nll", "log_importance", "cluster", "el2n")
    }
    columns["cluster"] = {path: np.arange(n, dtype=np.float32) % 4 for path, n in files.items()}
    domains = {path: ["web" if i % 4 else "code" for i in range(n)] for path, n in files.items()}
    nll = columns.pop("nll")
    toy.write_store(tmp_path / "scores", nll, domains=domains, more=columns)
    return str(tmp_path / "scores")


def select(tmp_path, *words):
    cli.main(["select", *words, "--output", str(tmp_path / "s")])
    return read_selection(tmp_path / "s")


@pytest.mark.parametrize("name", [n for n in NAMED if n != "default.gin"])
def test_a_published_sampler_is_a_gin_file(name, store, tmp_path):
    size = ["--fraction", "0.25"] if name in SIZE_IS_THE_USERS else []
    words = [f"--gin_file=gin/select/{name}", "--scores", store, *size]
    info = select(tmp_path, *words).info
    fraction = info["rule"]["fraction"]
    assert info["counts"]["kept"] == int(200 * fraction)
    header = (gin_root() / "gin" / "select" / name).read_text()
    for part in (f"--gin_file=gin/select/{name}", "Cost on C4: ", "Expect"):
        assert part in header.replace("\n#", "")


def test_a_flag_wins_over_the_file(store, tmp_path):
    words = ["--gin_file=gin/select/ask_llm.gin", "--scores", store, "--fraction", "0.4"]
    assert select(tmp_path, *words, "--keep", "low").info["rule"]["keep"] == "low"
    assert read_selection(tmp_path / "s").num_kept == 80


def test_several_stores_groups_and_a_plan(store, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(store, other)
    score = "rank(x.nll) - zscore(y.log_importance)"
    words = ["--scores", f"x={store}", f"y={other}", "--score", score, "--keep", "high"]
    words += ["--documents", "40", "--per", "domain", "--quota", "code=0.75"]
    selection = select(tmp_path, *words, "--training_tokens", "10_000")
    assert selection.info["groups"]["domain"]["code"]["kept"] == 30
    assert selection.info["per_group"]["(others)"]["kept"] == 10
    printed = capsys.readouterr().out
    assert "kept 40 of 200 scored documents" in printed
    assert "epochs. Warning: beyond 4" in printed


def test_sequence(store, tmp_path, capsys):
    first = tmp_path / "first"
    start = ["--scores", store, "--keep", "low"]
    cli.main(["select", *start, "--fraction", "0.5", "--output", str(first)])
    selection = select(tmp_path, *start, "--documents", "10", "--where", f"!{first}")
    assert selection.info["counts"]["dropped"] == {"by_score": 90, "excluded": 100}
    assert "100 dropped: excluded" in capsys.readouterr().out
    info = json.loads((first / "selection.json").read_text())
    assert selection.info["where"] == {"digest": info["digest"], "inverted": True}


def test_one_store_may_be_bound_as_a_string(store, tmp_path):
    words = [f"--gin.SCORES='{store}'", "--keep", "low", "--fraction", "0.5"]
    assert select(tmp_path, *words).num_kept == 100


@pytest.fixture
def sources(tmp_path):
    """Stores of two sources, of which the second scores higher."""
    rng = np.random.default_rng(1)
    for name, mean, n in (("web", 0, 100), ("c4.books", 1, 50)):
        nll = rng.normal(mean, 1, n).astype(np.float32)
        toy.write_store(tmp_path / name, {"a.jsonl": nll})
    return [f"{name}={tmp_path / name}" for name in ("web", "c4.books")]


def test_one_threshold_for_several_sources(sources, tmp_path, capsys):
    """By a published sampler, too: its rule, over all of them."""
    file = "--gin_file=gin/select/perplexed_high.gin"
    words = ["select", file, "--together", "--scores", *sources]
    cli.main([*words, "--output", str(tmp_path / "s")])
    chosen = {name: read_selection(tmp_path / "s" / name) for name in ("web", "c4.books")}
    kept = {name: selection.num_kept for name, selection in chosen.items()}
    assert sum(kept.values()) == 75 and kept["c4.books"] / 50 > 0.7 > 0.4 > kept["web"] / 100
    how = {"keep": "high", "fraction": 0.5, "unit": "documents", "rates": None}
    for selection in chosen.values():
        assert selection.info["together"] == {**how, "sources": ["web", "c4.books"]}
    printed = " ".join(capsys.readouterr().out.split())
    assert "source documents share kept share rate" in printed
    assert f"web 100 66.7% {kept['web']}" in printed


def test_one_threshold_by_tokens_and_mixing_rates(sources, tmp_path):
    words = ["select", "--together", "--unit", "tokens", "--scores", *sources, "--keep", "low"]
    thresholds = []
    for books in ("0.01", "100"):
        output = str(tmp_path / books)
        rates = ["--rates", "web=1", f"c4.books={books}"]
        cli.main([*words, "--fraction", "0.5", *rates, "--output", output])
        info = read_selection(tmp_path / books / "web").info
        assert info["together"]["unit"] == "tokens"
        assert info["together"]["rates"] == {"web": 1.0, "c4.books": float(books)}
        thresholds.append(info["rule"]["max_score"])
    assert thresholds[0] < 0.5 < thresholds[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--together", "--documents", "9"], "The other flags are for one source"),
        (["--together", "--fraction", "0.5", "--by", "url"], "The other flags are for one source"),
        (["--together", "--fraction", "0.5", "--rates", "web=1"], "Give one above 0 for each of"),
        (["--together", "--fraction", "0.5", "--rates", "web"], "--rates takes NAME=SHARE"),
        (["--together", "--fraction", "0.5", "--scores", "x"], "takes --scores as NAME=DIR"),
        (["--together", "--fraction", "0.5", "--scores", "web=x"], "each name once, .*'web=x'"),
        (["--fraction", "0.5", "--unit", "tokens"], "--unit and --rates go with --together"),
    ],
)
def test_what_one_threshold_cannot_take_is_refused(words, message, sources, tmp_path, monkeypatch):
    monkeypatch.setenv("PRUNE_TRACEBACK", "1")
    arguments = ["select", "--scores", *sources, "--keep", "low", "--output", str(tmp_path / "s")]
    with pytest.raises(ValueError, match=message):
        cli.main([*arguments, *words])
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--keep", "low"], "takes one of --fraction, --documents and --tokens; got none of them"),
        (["--keep", "low", "--documents", "201"], "wants 201 documents of the corpus, which has 200"),
        (["--keep", "sample", "--fraction", "0.1"], "--keep sample takes --weights; got None"),
        (
            ["--keep", "low", "--fraction", "0.5", "--per", "domain", "--quota", "code"],
            "--quota takes NAME=SHARE",
        ),
    ],
)  # fmt: skip
def test_errors_are_one_message(words, message, store, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("PRUNE_TRACEBACK", raising=False)
    with pytest.raises(SystemExit):
        select(tmp_path, "--scores", store, *words)
    assert message in capsys.readouterr().err
