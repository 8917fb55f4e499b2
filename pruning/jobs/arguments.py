"""Command line flags of a job, read from its signature and docstring."""

import argparse
import inspect
import re
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, Literal


def add_arguments(
    parser: argparse.ArgumentParser, job: Callable[..., Any], positional: str = ""
) -> None:
    """Adds a flag for every parameter of a job.

    A parameter without a default is required, and is a macro in the job's gin
    file: SOURCE for `source`.

    Args:
      parser: gets the flags.
      job: with annotations, and its parameters described under `Args:`.
      positional: name of a parameter that is written without a flag.
    """
    hints = typing.get_type_hints(job)
    texts = _argument_texts(inspect.getdoc(job) or "")
    for parameter in inspect.signature(job).parameters.values():
        name, default = parameter.name, parameter.default
        required = default is inspect.Parameter.empty
        options: dict[str, Any] = {"help": texts[name], **_type_options(hints[name])}
        if not required and default not in (None, (), False):
            options["help"] += f" (default: {default})"
        if name == positional:
            # Not `+` or one: a gin file may name them.
            options["nargs"] = "*" if "nargs" in options else "?"
            parser.add_argument(name, metavar=name.upper(), **options)
        elif hints[name] is bool:
            parser.add_argument(
                f"--{name}", action="store_true", default=None, help=options["help"]
            )
        else:
            options.setdefault("metavar", None if "choices" in options else name.upper())
            if "nargs" in options:
                options["action"] = "extend"  # `--rule A --rule B` is `--rule A B`
            parser.add_argument(f"--{name}", **options)


def parse_settings(texts: Sequence[str]) -> dict[str, str]:
    """From `NAME=VALUE` as `--settings` takes them.

    Raises:
      ValueError: one is of another form, or a name stands twice.
    """
    pairs = [text.partition("=") for text in texts]
    for text, (name, equals, _) in zip(texts, pairs, strict=True):
        if not (name and equals):
            raise ValueError(f"--settings {text!r} is not NAME=VALUE, such as seed=1.")
    settings = {name: value for name, _, value in pairs}
    if len(settings) < len(pairs):
        raise ValueError(f"--settings {' '.join(texts)} gives a name twice. Give each once.")
    return settings


def required_parameters(job: Callable[..., Any]) -> list[str]:
    """Names of the parameters without a default: the macros of the job's gin file."""
    parameters = inspect.signature(job).parameters.values()
    return [p.name for p in parameters if p.default is inspect.Parameter.empty]


def _type_options(hint: Any) -> dict[str, Any]:
    """argparse options for str, int, float, Literal and sequences of them, `None` allowed."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(h for h in typing.get_args(hint) if h is not type(None))
    origin = typing.get_origin(hint)
    if origin is Literal:
        return {"choices": typing.get_args(hint)}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return {"nargs": "+", **_type_options(typing.get_args(hint)[0])}
    return {} if hint is str else {"type": hint}


def _argument_texts(docstring: str) -> dict[str, str]:
    section = docstring.partition("Args:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^  (\w+): (.*(?:\n    .*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()).replace("%", "%%") for name, text in entries}
