"""Runs a job as its gin files bind it; flags come last and win."""

import argparse
import importlib
import inspect
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pruning
from pruning.jobs.arguments import add_arguments, required_parameters
from pruning.object_stores import use_object_stores

# Command to module and function. The gin file of a command is gin/<command>/default.gin, with
# underscores.
JOBS = {
    "demo": ("pruning.jobs.demo", "demo"),
    "train": ("pruning.jobs.train", "train"),
    "score": ("pruning.jobs.score", "score"),
    "status": ("pruning.jobs.status", "status"),
    "fit": ("pruning.jobs.fit", "fit"),
    "select": ("pruning.jobs.make_selection", "select"),
    "compare": ("pruning.jobs.compare", "compare"),
    "report": ("pruning.jobs.report", "report"),
    "plan": ("pruning.jobs.plan", "plan"),
    "show": ("pruning.jobs.show", "show"),
    "verify": ("pruning.jobs.verify", "verify"),
    "export": ("pruning.jobs.export", "export"),
    "convert": ("pruning.jobs.convert", "convert"),
    "experiment": ("pruning.jobs.experiment", "experiment"),
    "import-scores": ("pruning.jobs.import_scores", "import_scores"),
}
POSITIONAL = {"score": "scorers", "fit": "learner", "convert": "model"}
# Modules named by --module_import, for processes that a job starts.
imported_modules: list[str] = []


def job_function(command: str) -> Callable[..., Any]:
    """The plain function behind a command."""
    module, name = JOBS[command]
    return getattr(importlib.import_module(module), name)


def gin_root() -> pathlib.Path:
    """The folder that holds `gin/`: inside the wheel, or the repository's root."""
    package = pathlib.Path(pruning.__file__).parent
    installed = package / "_configs"
    return installed if (installed / "gin").is_dir() else package.parent


def add_job_parser(parser: argparse.ArgumentParser, command: str) -> None:
    """Adds the flags of a job and those for gin."""
    job = job_function(command)
    parser.description = (job.__doc__ or "").partition("\n")[0]
    add_arguments(parser.add_argument_group("job"), job, POSITIONAL.get(command, ""))  # type: ignore[arg-type]
    gin_group = parser.add_argument_group("gin and modules")
    gin_group.add_argument(
        "--gin_file",
        action="append",
        default=[],
        metavar="FILE",
        help="in place of the default file",
    )
    gin_group.add_argument(
        "--gin.NAME=VALUE", dest="_", metavar="", help="a binding, as in t5x; may be repeated"
    )
    gin_group.add_argument(
        "--gin_search_paths", default="", metavar="DIR,DIR", help="where gin files are looked for"
    )
    gin_group.add_argument(
        "--module_import",
        action="append",
        default=[],
        metavar="MODULE",
        help="imported first, such as the module that registers your seqio tasks",
    )


def run(command: str, arguments: argparse.Namespace, bindings: Sequence[str]) -> Any:
    """Parses the gin files and bindings, then runs the job.

    Args:
      command: a key of JOBS.
      arguments: of a parser made by `add_job_parser`.
      bindings: `NAME=VALUE`, in gin's syntax.

    Raises:
      ValueError: a required parameter is neither given nor bound in a gin file.
    """
    import gin

    use_object_stores()
    if arguments.module_import and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` has it, and the `prune` script has not
    imported_modules[:] = arguments.module_import
    for module in imported_modules:
        importlib.import_module(module)
    job = job_function(command)
    required = required_parameters(job)
    search_paths = [*filter(None, arguments.gin_search_paths.split(",")), os.fspath(gin_root())]
    # By its whole path: a folder gin/ where the user stands is not ours.
    files = [_find(name, search_paths) for name in arguments.gin_file] or [
        os.fspath(gin_root() / "gin" / command.replace("-", "_") / "default.gin")
    ]
    given = {
        name: value
        for name, value in vars(arguments).items()
        if name in {*required, *_parameter_names(job)} and value not in (None, [])
    }
    from_flags = [_binding(job, name, value, name in required) for name, value in given.items()]
    gin.clear_config()
    for path in search_paths:  # for what the files include
        gin.add_config_file_search_path(path)
    try:
        gin.parse_config_files_and_bindings(files, [*bindings, *from_flags])
    except ValueError as error:
        macro, is_missing, _ = str(error).partition("/macro.value set to `%gin.REQUIRED`")
        if not is_missing:
            raise
        raise ValueError(_missing(command, macro)) from None
    return gin.get_configurable(job)()


def split_gin_bindings(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Takes `--gin.NAME=VALUE` out of a command line, as t5x writes bindings."""
    rest = [a for a in argv if not a.startswith("--gin.")]
    return rest, [a.removeprefix("--gin.") for a in argv if a.startswith("--gin.")]


def main(command: str) -> None:
    """`python -m pruning.jobs.<job>`: the same as `prune <command>`."""
    from pruning.cli import main as prune

    prune([command, *sys.argv[1:]])


def _missing(command: str, macro: str) -> str:
    from pruning.scorers import SCORERS

    flag = macro if POSITIONAL.get(command) == macro.lower() else f"--{macro.lower()}"
    known = f" (one or more of {', '.join(sorted(SCORERS))})" if macro == "SCORERS" else ""
    return (
        f"{flag} is missing{known}. Give it, or bind {macro} in a gin file; see "
        f"`prune {command} --help`."
    )


def _parameter_names(job: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(job).parameters)


def _find(name: str, folders: Sequence[str]) -> str:
    """The first file of that name, here or in a folder; gin itself complains aloud on its way."""
    paths = [name, *(os.path.join(folder, name) for folder in folders)]
    return next((path for path in paths if os.path.isfile(path)), name)


def _binding(job: Callable[..., Any], name: str, value: Any, is_macro: bool) -> str:
    module = job.__module__.rpartition(".")[2]
    target = name.upper() if is_macro else f"{module}.{job.__name__}.{name}"
    return f"{target} = {value!r}"
