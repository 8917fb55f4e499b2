"""A command line, a gin file and bindings end in one call of a plain function."""

import argparse
import inspect
import re
import sys
from collections.abc import Sequence

import gin
import pytest

from pruning import cli
from pruning.jobs import run_job
from pruning.jobs.arguments import required_parameters

calls = []


def job(
    source: str,
    sizes: Sequence[int],
    *,
    number: int = 1,
    word: str | None = None,
    loud: bool = False,
):
    """Writes down what it gets.

    Args:
      source: of something.
      sizes: several.
      number: any.
      word: any.
      loud: or not.
    """
    calls.append({"source": source, "sizes": sizes, "number": number, "word": word, "loud": loud})
    if word == "fail":
        raise ValueError("The word is fail. Give another --word.")


GIN_FILE = """
from __gin__ import dynamic_registration
import test_run_job

SOURCE = %gin.REQUIRED
SIZES = %gin.REQUIRED

test_run_job.job.source = %SOURCE
test_run_job.job.sizes = %SIZES
test_run_job.job.number = 5
"""
GIVEN = ["write", "--source", "s", "--sizes", "1", "2"]


@pytest.fixture(autouse=True)
def write_command(monkeypatch, tmp_path):
    """A command `write` with a gin file of its own, as if it were shipped."""
    monkeypatch.setitem(run_job.JOBS, "write", (__name__, "job"))
    monkeypatch.setitem(cli.HELP, "write", "down")
    monkeypatch.setattr(gin.config, "_LOCATION_PREFIXES", [""])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_job, "gin_root", lambda: tmp_path / "shipped")
    (tmp_path / "shipped" / "gin" / "write").mkdir(parents=True)
    (tmp_path / "shipped" / "gin" / "write" / "default.gin").write_text(GIN_FILE)
    calls.clear()
    yield
    gin.clear_config()


def test_flags_reach_the_job_over_its_gin_file():
    cli.main([*GIVEN, "--word", "it's", "--loud"])
    assert calls == [{"source": "s", "sizes": [1, 2], "number": 5, "word": "it's", "loud": True}]


def test_flags_win_over_bindings_and_bindings_over_the_file():
    cli.main([*GIVEN, "--gin.test_run_job.job.number=7", "--gin.test_run_job.job.word='x'"])
    cli.main([*GIVEN, "--gin.test_run_job.job.number=7", "--number", "8"])
    assert [(c["number"], c["word"]) for c in calls] == [(7, "x"), (8, None)]


def test_bindings_alone_are_enough():
    cli.main(["write", "--gin.SOURCE='from gin'", "--gin.SIZES=[3]"])
    assert (calls[0]["source"], calls[0]["sizes"]) == ("from gin", [3])


def test_a_run_leaves_nothing_to_the_next():
    cli.main([*GIVEN, "--number", "9", "--word", "x"])
    cli.main(GIVEN)
    assert (calls[1]["number"], calls[1]["word"]) == (5, None)


def test_another_gin_file_and_where_it_is_looked_for(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "big.gin").write_text(GIN_FILE.replace("= 5", "= 500"))
    cli.main([*GIVEN, "--gin_file", "mine/big.gin"])
    cli.main([*GIVEN, "--gin_search_paths", str(tmp_path / "mine"), "--gin_file", "big.gin"])
    assert [c["number"] for c in calls] == [500, 500]


def test_a_gin_file_may_bind_what_is_required(tmp_path):
    bound = GIN_FILE.replace("SOURCE = %gin.REQUIRED", "SOURCE = 'bound'")
    (tmp_path / "mine.gin").write_text(bound.replace("SIZES = %gin.REQUIRED", "SIZES = (4,)"))
    cli.main(["write", "--gin_file", "mine.gin"])
    assert (calls[0]["source"], calls[0]["sizes"]) == ("bound", (4,))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["write", "--source", "s"],
            "--sizes is missing. Give it, or bind SIZES in a gin file; see",
        ),
        (["write"], "--source is missing. Give it, or bind SOURCE in"),
        ([*GIVEN, "--word", "fail"], "prune write: The word is fail. Give another --word."),
        ([*GIVEN, "--gin.test_run_job.job.colour='red'"], "colour"),
        ([*GIVEN, "--gin.nowhere.job.number=1"], "nowhere"),
        ([*GIVEN, "--gin_file", "absent.gin"], "absent.gin"),
        ([*GIVEN, "--module_import", "no_such_module"], "no_such_module"),
        (["write", "--gin.SOURCE='s'"], "--sizes is missing"),
    ],
)
def test_what_a_user_can_mend_is_one_message(arguments, message, capsys, monkeypatch):
    monkeypatch.delenv("PRUNE_TRACEBACK", raising=False)
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 1
    found = capsys.readouterr().err
    assert message in found
    assert "Traceback" not in found
    assert "In call to configurable" not in found


def test_a_value_without_its_flag_is_told_which(capsys):
    with pytest.raises(SystemExit):
        cli.main(["write", "corpus"])
    assert "unknown argument corpus. Did you mean --source corpus?" in capsys.readouterr().err


def test_a_scorer_that_is_missing_is_one_of_all():
    assert "SCORERS is missing (one or more of ask_llm, " in run_job._missing("score", "SCORERS")


def test_the_traceback_is_there_for_who_asks(monkeypatch):
    monkeypatch.setenv("PRUNE_TRACEBACK", "1")
    with pytest.raises(ValueError, match="The word is fail"):
        cli.main([*GIVEN, "--word", "fail"])


def test_a_folder_gin_where_the_user_stands_is_not_ours(tmp_path):
    (tmp_path / "gin" / "write").mkdir(parents=True)
    (tmp_path / "gin" / "write" / "default.gin").write_text(GIN_FILE.replace("= 5", "= 66"))
    cli.main(GIVEN)
    assert calls[0]["number"] == 5


def test_a_module_is_imported_before_the_job_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", [p for p in sys.path if p not in ("", str(tmp_path))])
    (tmp_path / "registers_a_task.py").write_text(
        "import test_run_job\ntest_run_job.calls.append('task')\n"
    )
    cli.main([*GIVEN, "--module_import", "registers_a_task"])
    assert run_job.imported_modules == ["registers_a_task"]
    assert calls[0] == "task"
    assert len(calls) == 2


def test_python_m_is_the_same_command(monkeypatch):
    monkeypatch.setattr("sys.argv", ["job.py", *GIVEN[1:]])
    run_job.main("write")
    assert calls[0]["source"] == "s"


def test_an_interrupted_job_says_that_it_can_go_on(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run", interrupted)
    with pytest.raises(SystemExit) as stopped:
        cli.main(GIVEN)
    assert stopped.value.code == 130
    assert "What is written stays" in capsys.readouterr().err


GIN_ROOT = run_job.gin_root()
COMMANDS = [command for command in run_job.JOBS if command != "write"]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_gin_file_of_a_job_has_a_macro_for_each_required_parameter(command):
    job = run_job.job_function(command)
    path = GIN_ROOT / "gin" / command.replace("-", "_") / "default.gin"
    required = required_parameters(job)
    # None where one of several may be given.
    macros = re.findall(r"^([A-Z_]+) = (?:%gin\.REQUIRED|None)$", path.read_text(), re.MULTILINE)
    assert macros == [name.upper() for name in required]
    gin.clear_config()
    gin.parse_config_files_and_bindings([str(path)], [f"{m} = 'the {m}'" for m in macros])
    bindings = gin.get_bindings(job)
    assert {name: bindings.pop(name) for name in required} == {
        name: f"the {name.upper()}" for name in required
    }
    # What else it binds are the defaults of the function, which Python callers get.
    parameters = inspect.signature(job).parameters
    assert bindings == {name: parameters[name].default for name in bindings}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_parameter_of_a_job_has_a_flag_with_a_help_text(command):
    parser = argparse.ArgumentParser()
    run_job.add_job_parser(parser, command)
    flags = {action.dest: action.help for action in parser._actions}
    for name in inspect.signature(run_job.job_function(command)).parameters:
        assert len(flags[name]) > 5, name
    assert parser.description.endswith(".")
    parser.format_help()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_explained(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main([command, "--help"])
    assert stopped.value.code == 0
    assert f"prune {command}" in capsys.readouterr().out
    assert cli.HELP[command]
