"""Flags come from a job's signature and docstring."""

import argparse
from collections.abc import Sequence
from typing import Literal

import pytest

from pruning.jobs.arguments import add_arguments, required_parameters


def job(
    names: Sequence[str],
    output: str,
    *,
    count: int = 3,
    share: float | None = None,
    keep: Literal["low", "high"] = "low",
    maybe: Literal["a", "b"] | None = None,
    fields: Sequence[str] = (),
    sizes: Sequence[int] | None = None,
    strict: bool = False,
):
    """Does something.

    Args:
      names: of the things, which may be
        described over two lines.
      output: folder.
      count: how many; 100 % of them.
      share: of them.
      keep: which end.
      maybe: or not.
      fields: carried along.
      sizes: in bytes.
      strict: no mercy.

    Returns:
      Nothing: really.
    """


@pytest.fixture
def parser():
    parser = argparse.ArgumentParser(prog="job")
    add_arguments(parser, job, positional="names")
    return parser


def test_flags_have_the_types_of_the_parameters(parser):
    line = "a b --output o --count 7 --share 0.5 --keep high --maybe b --fields x y --sizes 1 2 --strict"
    assert vars(parser.parse_args(line.split())) == {
        "names": ["a", "b"],
        "output": "o",
        "count": 7,
        "share": 0.5,
        "keep": "high",
        "maybe": "b",
        "fields": ["x", "y"],
        "sizes": [1, 2],
        "strict": True,
    }


def test_what_is_not_given_is_left_to_the_gin_file(parser):
    assert set(map(str, vars(parser.parse_args([])).values())) == {"None", "[]"}


@pytest.mark.parametrize("line", ["--count many", "--keep middle", "--share", "--unknown 1"])
def test_wrong_values_end_the_program(parser, line, capsys):
    with pytest.raises(SystemExit):
        parser.parse_args(line.split())
    assert line.split()[0] in capsys.readouterr().err


def test_help_has_the_docstring_and_the_defaults(parser):
    text = " ".join(parser.format_help().split())
    assert "of the things, which may be described over two lines." in text
    assert "how many; 100 % of them. (default: 3)" in text
    assert "which end. (default: low)" in text
    assert "of them. --keep" in text, "no default where there is none"
    assert "really" not in text


def test_required_are_the_parameters_without_a_default():
    assert required_parameters(job) == ["names", "output"]


def test_a_parameter_without_a_help_text_is_an_error():
    def undocumented(output: str):
        """Does something.

        Args:
          input: another one.
        """

    with pytest.raises(KeyError, match="output"):
        add_arguments(argparse.ArgumentParser(), undocumented)
