"""The table of scorers: all are in it, its commands exist, and its page is made of the stores."""

import argparse
import json
import shlex

import pytest
import scorer_runs
import scorer_table
from scorer_runs import MODELS, RUNS, score_all, train_models
from two_halves import write_halves

from pruning.jobs.run_job import add_job_parser
from pruning.scorers import SCORERS
from pruning.sources.python_docs import PythonDocsOptions

SPOILT = PythonDocsOptions(damage=0.4, duplicates=0.1, near_duplicates=0.1, max_documents=30)
WITHOUT_A_MODEL = ("dsir", "prior", "exact", "near", "random")


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    write_halves(folder, SPOILT)
    return folder


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_halves_share_no_text_and_no_origin(halves):
    clean, held_out = lines(halves / "clean.jsonl"), lines(halves / "held_out.jsonl")
    learnt = {row["text"] for row in clean}
    assert len(clean) > 40 and len(held_out) > 40
    assert not learnt & {row["text"] for row in held_out}
    taught = lines(halves / "taught.jsonl")
    assert not {row["text"] for row in taught} & {row["text"] for row in held_out}
    ids = {row["id"] for row in held_out}
    by_id = {row["id"]: row["text"] for row in held_out}
    for field in ("duplicate_of", "near_duplicate_of"):
        of = [row for row in held_out if row[field]]
        assert of and {row[field] for row in of} <= ids, "a copy lost its original"
        equal = [by_id[row[field]] == row["text"] for row in of]
        assert all(equal) if field == "duplicate_of" else not any(equal)
    assert {row["text"] for row in lines(halves / "originals.jsonl")} > learnt


def test_a_damaged_document_is_on_the_side_of_what_it_was(halves):
    texts = {row["text"] for row in lines(halves / "clean.jsonl")}
    truncated = [row for row in lines(halves / "held_out.jsonl") if row["damage"] == "truncated"]
    assert truncated
    assert not [row for row in truncated if any(t.startswith(row["text"]) for t in texts)]


def test_every_scorer_is_in_the_table(monkeypatch):
    scorer_table.check_all_are_there()
    assert {scorer for run in RUNS for scorer in run.scorers} == set(SCORERS)
    monkeypatch.setitem(SCORERS, "new", object)
    with pytest.raises(SystemExit, match="The table lacks new"):
        scorer_table.check_all_are_there()


def test_every_command_is_one(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(scorer_runs, "prune", commands.append)
    train_models(tmp_path, 0.5)
    for run in RUNS:
        with pytest.raises(ValueError, match="not enough values"):  # no loop ran
            scorer_runs._score(run, tmp_path)
    models = {f"{tmp_path}/models/{name}" for name in MODELS}
    for words in commands:
        parser = argparse.ArgumentParser(exit_on_error=False)
        add_job_parser(parser, words[0])
        parsed = parser.parse_args(words[1:])
        if words[0] == "score":
            assert {*(parsed.model or [])} <= models, shlex.join(words)
    assert sum(words[0] == "train" for words in commands) == len(MODELS)
    assert sum("--num_steps 200" in shlex.join(words) for words in commands) == 1
    assert len({run.store for run in RUNS}) == len(RUNS)


def test_the_page_is_made_of_the_stores(halves, tmp_path, monkeypatch, capsys):
    runs = tuple(run for run in RUNS if run.store in WITHOUT_A_MODEL)
    for module in (scorer_runs, scorer_table):
        monkeypatch.setattr(module, "RUNS", runs)
    monkeypatch.setattr(scorer_table, "EXPRESSIONS", {"abs(rank(random.random) - 0.5)": "high"})
    speeds = score_all(halves)
    assert all(speed.documents_per_second > 0 for speed in speeds.values())
    assert {name for name, s in speeds.items() if s.learning_seconds} == {*speeds} - {"random"}
    capsys.readouterr()
    assert score_all(halves) == speeds
    assert not capsys.readouterr().out, "a second call scores nothing"

    page = tmp_path / "docs" / "scorer_table.md"
    page.parent.mkdir()
    scorer_table.write_page(halves, page, speeds, 1.0)
    cells = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in page.read_text().splitlines()
        if line.startswith("| `")
    }
    columns = {column for run in runs for column in [run.store]}
    assert {name.strip("`").partition(".")[0] for name in cells} >= columns
    kinds = (
        page.read_text().split("| score | drops | documents | ")[1].split(" |\n")[0].split(" | ")
    )
    row = dict(zip(kinds, cells["`exact.copies`"][2:], strict=True))
    assert row["exact duplicates"] == "1.00"
    row = dict(zip(kinds, cells["`dsir.log_importance`"][2:], strict=True))
    assert cells["`dsir.log_importance`"][0] == "low"
    assert float(row["characters swapped"]) > 0.6
    assert cells["`abs(rank(random.random) - 0.5)`"][0] == "high"
    assert (page.parent / "images" / "scorer_tau.png").stat().st_size > 10_000
