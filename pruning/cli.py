"""The `prune` command."""

import argparse
import difflib
import os
import signal
import sys
from collections.abc import Sequence

import pruning
from pruning.jobs.arguments import required_parameters
from pruning.jobs.run_job import JOBS, add_job_parser, job_function, run, split_gin_bindings

HELP = {
    "demo": "everything, on text that this machine has already",
    "train": "a reference model",
    "score": "scores for every document of a source",
    "status": "how far a score store is",
    "fit": "what a scorer learns from a whole corpus first, as a file",
    "select": "from scores to the documents that stay",
    "plan": "memory, speed and cost of scoring, before renting anything",
    "compare": "what several rules would keep of one corpus, without writing any",
    "report": "pictures and tables of scores and selections",
    "show": "documents at quantiles of a score, in the terminal",
    "verify": "re-hash a corpus against a selection or a score store",
    "export": "documents as files that training reads",
    "experiment": "the same model on different parts of a corpus, compared",
    "import-scores": "scores made elsewhere as a score store",
    "convert": "a model between t5x and Hugging Face",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs a command; problems that a user can mend are one message, without a traceback.

    Set PRUNE_TRACEBACK=1 to see where a message comes from.
    """
    argv, bindings = split_gin_bindings(sys.argv[1:] if argv is None else argv)
    # Job modules are light, but only the one that runs is imported.
    command = next((a for a in argv if a in JOBS), None)
    parser = argparse.ArgumentParser(
        prog="prune", description="Decides which documents of a corpus are worth training on."
    )
    parser.add_argument("--version", action="version", version=pruning.__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in JOBS:
        subparser = commands.add_parser(name, help=HELP[name])
        if name == command:
            add_job_parser(subparser, name)
            chosen = subparser
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        chosen.error(_unknown(unknown[0], arguments.command, [*chosen._option_string_actions]))
    try:
        run(arguments.command, arguments, bindings)
    except InterruptedError as error:
        print(f"prune {arguments.command}: {_message(error)}", file=sys.stderr)
        raise SystemExit(128 + signal.SIGTERM) from None
    except (
        ValueError,
        OSError,
        ImportError,
        FloatingPointError,
        RuntimeError,
        SyntaxError,
    ) as error:
        if os.environ.get("PRUNE_TRACEBACK"):
            raise
        print(f"prune {arguments.command}: {_message(error)}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print(
            f"\nprune {arguments.command}: stopped. What is written stays; the same command goes on.",
            file=sys.stderr,
        )
        raise SystemExit(130) from None


def _message(error: Exception) -> str:
    """Without the place of the call, which gin adds and which tells a user nothing."""
    return str(error).partition("\n  In call to configurable")[0]


def _unknown(argument: str, command: str, known: Sequence[str]) -> str:
    if argument.startswith("-"):
        meant = difflib.get_close_matches(argument.partition("=")[0], known, n=1)
    else:  # a value whose flag was left out: that of the first that is required
        flags = [f"--{name}" for name in required_parameters(job_function(command))]
        meant = [f"{flag} {argument}" for flag in flags if flag in known][:1]
    return f"unknown argument {argument}." + (f" Did you mean {meant[0]}?" if meant else "")


if __name__ == "__main__":
    main()
