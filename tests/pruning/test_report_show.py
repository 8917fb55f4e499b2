"""Documents in the terminal."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import toy

from pruning.cli import main
from pruning.jobs import show as show_job
from pruning.report.quantiles import exact_quantiles
from pruning.report.scored_corpus import see
from pruning.report.terminal import Terminal, columns, printable
from pruning.token_losses import TokenLoss

ESCAPE = "\x1b[31mred\x1b[0m \x9b2J \u202edesrever"
DOCUMENTS = [*toy.texts(40, seed=3, most_words=50), f"hostile {ESCAPE} line"]


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scored")
    domains = [("web", "books")[i % 2] for i in range(len(DOCUMENTS))]
    path = toy.write_jsonl(folder / "d.jsonl", DOCUMENTS, domain=domains)
    store = toy.score(
        ["perplexity"], f"jsonl:{path}", folder / "scores", fields=["domain"], unit_rows=9
    )
    return store, np.concatenate([t["nll"].to_numpy() for _, t in store.tables(["nll"])])


def shown(capsys, store, **settings):
    show_job.show([str(store.folder)], **settings)
    return capsys.readouterr().out


def test_quantiles_are_those_of_a_sort(scored):
    store, nll = scored
    shares = [0, 0.3, 0.5, 0.99, 1]
    ranked = np.sort(nll)
    expected = [float(ranked[int(s * (len(nll) - 1))]) for s in shares]
    assert exact_quantiles(see({"": store}), "nll", shares) == expected
    negative = see({"": store}).with_scores(["-nll"])
    assert exact_quantiles(negative, "-nll", [0]) == [-float(ranked[-1])]


def test_refuses_shares_that_are_none_and_stores_without_scores(scored, tmp_path):
    with pytest.raises(ValueError, match="quantiles from 0 to 1; got 50"):
        exact_quantiles(see({"": scored[0]}), "nll", [50])
    empty = toy.write_store(tmp_path / "none", {"a": np.full(3, np.nan)})
    with pytest.raises(ValueError, match="No document has a finite nll"):
        exact_quantiles(see({"": empty}), "nll", [0.5])


def test_shows_the_document_at_each_quantile_with_its_score(scored, capsys):
    store, nll = scored
    out = shown(capsys, store, at=(0, 1), width=60)
    for at, row in (("quantile 0", nll.argmin()), ("quantile 1", nll.argmax())):
        part = out.partition(f"── {at} of nll")[2].partition("──  ")[0]
        assert f"d.jsonl__{row}  nll {nll[row]:.4g}" in part
        assert f"domain {('web', 'books')[row % 2]}" in " ".join(part.split())
        text = " ".join(printable(DOCUMENTS[row]).split())
        assert text in " ".join(part.split())
    assert max(map(len, out.splitlines())) <= 60
    assert "\x1b" not in out


def test_long_documents_are_cut(scored, capsys):
    out = shown(capsys, scored[0], at=(0.25, 0.5, 0.75), characters=10)
    assert re.search(r"… and \d+ more characters", out)


def test_a_text_that_is_hardly_longer_is_shown_whole(scored, capsys):
    length = max(map(len, DOCUMENTS))
    assert "more character" not in shown(
        capsys, scored[0], at=(0, 0.5, 1), characters=length * 3 // 4 + 1
    )


def test_losses_need_a_model(scored):
    with pytest.raises(ValueError, match="--losses are those of a model: give --model"):
        show_job.show([str(scored[0].folder)], losses=True)


def test_ranks_by_an_expression_of_several_stores(scored, tmp_path, capsys):
    folder = str(scored[0].folder)
    with pytest.raises(ValueError, match=r"need --score: an expression of a.nll, a.bits_per_byte"):
        show_job.show([f"a={folder}", f"b={folder}"])
    main(
        [
            "show",
            "--scores",
            f"a={folder}",
            f"b={folder}",
            "--score",
            "a.nll - b.nll",
            "--at",
            "0.5",
        ]
    )
    assert "quantile 0.5 of a.nll - b.nll, 0" in capsys.readouterr().out


def test_texts_that_changed_are_not_shown(tmp_path, capsys):
    path = toy.write_jsonl(tmp_path / "d.jsonl", ["one two", "three four"])
    store = toy.score(["perplexity"], f"jsonl:{path}", tmp_path / "scores")
    toy.write_jsonl(path, ["one six", "three six"])
    out = shown(capsys, store, at=(0.5,))
    assert "no longer the one that was scored" in out
    assert "six" not in out


def test_losses_stand_behind_words_and_their_mean_is_the_score(scored, capsys, monkeypatch):
    store, nll = scored
    monkeypatch.setattr("pruning.jobs.scoring_model.open_scoring_model", toy.open_model)
    out = shown(capsys, store, at=(0.5,), losses=True, model=["toy"], width=1000)
    row = int(re.search(r"d\.jsonl__(\d+)", out)[1])
    assert f"{nll[row]:.4g} nats on average" in out
    numbers = [float(x) for x in re.findall(r"\[(\d+\.\d)\]", out)]
    assert numbers
    text = re.sub(r"\[\d+\.\d\]", "", out.splitlines()[2])
    assert text.split() == printable(DOCUMENTS[row]).split()
    other = shown(capsys, store, at=(0.5,), losses=True, model=["other"])
    assert "The losses are those of other (digest other); the scores are of toy (toy)." in other


def test_a_pipe_may_close_early(scored):
    command = [sys.executable, "-m", "pruning.cli", "show", "--scores", str(scored[0].folder)]
    at = ["--at", *map(str, np.linspace(0, 1, 400)), "--documents", "9"]
    with subprocess.Popen(
        [*command, *at], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert b"pipe" not in process.stderr.read()  # beside the progress
        assert process.wait() == 0


def test_a_terminal_gets_colours_by_loss():
    terminal = Terminal(width=20, colours=True)
    tokens = [TokenLoss(" given", None), TokenLoss(" cheap", 0.1), TokenLoss(" dear", 20.0)]
    out = terminal.shaded(tokens)
    assert out == "\x1b[2mgiven\x1b[0m cheap\x1b[30;48;5;203m dear\x1b[0m"
    assert "12" in terminal.key
    plain = Terminal(width=20, colours=False)
    assert plain.shaded(tokens) == "given cheap[0.1]\ndear[20.0]"
    assert plain.bold("x") == "x"
    assert not plain.key


def test_shaded_lines_are_no_wider_than_the_terminal():
    tokens = [TokenLoss(f" {'x' * (i % 7)}", float(i)) for i in range(50)] + [TokenLoss("\n", 1.0)]
    lines = Terminal(width=20, colours=True).shaded(tokens).split("\n")
    bare = [re.sub(r"\x1b\[[^m]*m", "", line) for line in lines]
    assert max(map(len, bare)) <= 20
    assert (
        "".join(bare).replace(" ", "") == "".join(t.text for t in tokens).replace(" ", "").strip()
    )


def test_text_moves_no_cursor():
    assert printable(ESCAPE) == "␛[31mred␛[0m ␦2J ␦desrever"
    assert printable("a\r\nb\tc") == "a\nb\tc"


def test_tables_line_up():
    assert list(columns([["a", "bb"], ["ccc", "1"]])) == ["a    bb", "ccc   1"]


def test_the_corpus_may_have_moved(tmp_path, capsys):
    path = toy.write_jsonl(tmp_path / "d.jsonl", ["one two"])
    store = toy.score(["perplexity"], f"jsonl:{path}", tmp_path / "scores")
    moved = tmp_path / "there"
    moved.mkdir()
    path.rename(moved / "d.jsonl")
    with pytest.raises(FileNotFoundError):
        show_job.show([str(store.folder)])
    assert "one two" in shown(capsys, store, source=f"jsonl:{moved}/d.jsonl", at=(0.5,))
    assert json.loads((store.folder / "manifest.json").read_text())["source"]["spec"].endswith(
        "/d.jsonl"
    )
