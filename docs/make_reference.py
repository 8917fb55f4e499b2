"""Writes docs/commands.md from the docstrings of the jobs: `python docs/make_reference.py`."""

import argparse
import pathlib

from pruning.cli import HELP
from pruning.jobs.run_job import JOBS, POSITIONAL, job_function
from pruning.scorers import describe_settings

PATH = pathlib.Path(__file__).parent / "commands.md"

HEAD = """# Commands

Made from the docstrings by `python docs/make_reference.py`. Every command also takes `--gin_file`,
`--gin.NAME=VALUE`, `--gin_search_paths` and `--module_import`; every flag is a parameter of a plain
function that a gin file can bind.
"""


def reference() -> str:
    """The page."""
    return HEAD + "".join(f"\n{_command(name)}" for name in JOBS)


def _command(name: str) -> str:
    from pruning.jobs.arguments import add_arguments

    job = job_function(name)
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser, job, POSITIONAL.get(name, ""))
    positional = POSITIONAL.get(name)
    usage = f"prune {name} {positional.upper()} …" if positional else f"prune {name} …"
    lines = [
        f"## `{usage}`",
        "",
        f"{HELP[name][0].upper()}{HELP[name][1:]}. `{job.__module__}.{job.__name__}`",
        "",
    ]
    for action in parser._actions:
        flag = ", ".join(action.option_strings) or action.dest.upper()
        choices = f" One of {', '.join(map(str, action.choices))}." if action.choices else ""
        text = (action.help or "").replace("%%", "%")
        lines.append(f"- `{flag}`: {text}{'' if text.endswith('.') else '.'}{choices}")
    if name == "score":
        lines += ["", f"Settings of scorers, for `--settings`: {describe_settings()}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(reference())
