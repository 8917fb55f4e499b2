"""The commands in the documentation are commands that exist."""

import argparse
import pathlib
import re
import shlex

import pytest

from pruning.jobs.run_job import JOBS, add_job_parser, gin_root, split_gin_bindings

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GIN_FILES = sorted((ROOT / "gin").rglob("*.gin"))


def commands(text: str) -> list[str]:
    """Lines of code blocks and gin headers that begin with `prune`, continuations joined."""
    text = re.sub(r"^# *", "", text, flags=re.MULTILINE)
    joined = re.sub(r" *\\\n *", " ", text)
    return re.findall(r"^ *(?:\$ )?(prune [a-z].*)$", joined, re.MULTILINE)


@pytest.mark.parametrize("path", [*DOCUMENTS, *GIN_FILES], ids=lambda p: str(p.relative_to(ROOT)))
def test_every_prune_command_parses(path):
    for command in commands(path.read_text()):
        words, _ = split_gin_bindings(shlex.split(command.partition("  #")[0])[1:])
        assert words[0] in JOBS, command
        parser = argparse.ArgumentParser(exit_on_error=False)
        add_job_parser(parser, words[0])
        parser.parse_args(words[1:])


def test_readme_has_commands():
    assert len(commands((ROOT / "README.md").read_text())) >= 6


def test_gin_files_named_in_the_documentation_exist():
    for path in [*DOCUMENTS, *GIN_FILES]:
        for name in re.findall(r"--gin_file=(\S+)", path.read_text()):
            assert (gin_root() / name).is_file(), f"{path}: {name}"


def test_the_reference_is_what_the_docstrings_say():
    code = (ROOT / "docs" / "make_reference.py").read_text()
    names = {"__name__": "make_reference", "__file__": str(ROOT / "docs" / "make_reference.py")}
    exec(code, names)
    assert names["reference"]() == names["PATH"].read_text(), "run python docs/make_reference.py"
