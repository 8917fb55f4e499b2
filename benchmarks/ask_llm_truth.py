"""Whether a model that was taught to answer Ask-LLM's prompt knows damaged documents from intact ones.

A tiny T5 learns the text of one half of the embedded corpus, then to answer the paper's prompt about
those documents, half of which are damaged in four ways: yes where one is intact. `ask_llm` scores
the other half. Every step is a command, which is printed; a second call goes on where the first
one stopped.

    python benchmarks/ask_llm_truth.py --output /tmp/ask_llm_truth

The halves share no text (`two_halves`). What is taught has the same originals several times, damaged
anew or not.

Expected, in about twelve minutes on two cores: AUC of at least 0.9 over all damage, else the exit
status is 1. Found with 4,512 held-out documents: characters swapped 0.994, repeated 0.987, words
shuffled 0.929, truncated 0.752 (a text that breaks off beyond the window looks whole), all 0.915.
"""

import argparse
import pathlib
import shlex

import numpy as np
from two_halves import write_halves

from pruning.cli import main as prune
from pruning.report import auc
from pruning.score_store import open_store
from pruning.sources.python_docs import PythonDocsOptions

LEAST_AUC = 0.9

ASK = "--objective ask_llm --answer_yes damage=none --hold_steps 1000"
COMMANDS = (
    "train --source jsonl:{output}/originals.jsonl --output {output}/reference --num_steps 900"
    " --vocabulary_size 4000 --window 64 --batch_rows 48 --learning_rate 5",
    "train --source jsonl:{output}/taught.jsonl --output {output}/short " + ASK + " --num_steps 700"
    " --initial_checkpoint {output}/reference --window 160 --batch_rows 32 --learning_rate 1",
    "train --source jsonl:{output}/taught.jsonl --output {output}/asked " + ASK + " --num_steps 450"
    " --initial_checkpoint {output}/short --window 448 --batch_rows 16 --learning_rate 0.5",
    "score ask_llm --source jsonl:{output}/held_out.jsonl --model {output}/asked"
    " --fields damage --output {output}/scores",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder for everything")
    folder = parser.parse_args().output
    write_halves(folder, PythonDocsOptions(damage=0.5, duplicates=0.0))
    for command in COMMANDS:
        print(f"\n$ prune {command.format(output=folder)}", flush=True)
        prune(shlex.split(command.format(output=folder)))
    if _print_auc(folder / "scores") < LEAST_AUC:
        raise SystemExit(f"The AUC over all damage is below {LEAST_AUC}.")


def _print_auc(folder: pathlib.Path) -> float:
    """AUC over all damage."""
    tables = [table for _, table in open_store(folder).tables(["log_p_yes", "damage"])]
    yes_N, damage_N = (
        np.concatenate([table[name].to_numpy() for table in tables])
        for name in ("log_p_yes", "damage")
    )
    kinds = sorted({*damage_N} - {"none"})
    print(f"\n{'damage':<20} {'documents':>9} {'AUC':>7}")
    for name, chosen in [*((kind, [kind]) for kind in kinds), ("all", kinds)]:
        damaged_N = np.isin(damage_N, chosen)
        value = auc(yes_N[damage_N == "none"], yes_N[damaged_N])
        print(f"{name:<20} {damaged_N.sum():>9,} {value:>7.3f}")
    return value


if __name__ == "__main__":
    main()
