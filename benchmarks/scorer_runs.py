"""The models and score stores of the table of scorers, each by one command, and how fast they are."""

import dataclasses
import json
import os
import pathlib
import shlex
import time

from etils import epath
from planted import LABELS

from pruning.cli import main as prune
from pruning.run_costs import read_costs

# Rows per unit: the first unit is for compiling, the others are timed.
UNIT_ROWS = 256

_T5 = "train --source jsonl:{output}/originals.jsonl --window 256 --batch_rows 16"
# Adafactor gets in 60 such steps below what AdamW does in 100.
_GPT = (
    "train --source jsonl:{output}/originals.jsonl --vocabulary {output}/models/t5/spiece.model"
    " --window 256 --batch_rows 8 --optimizer adafactor --learning_rate 5"
)
_ASKED = (
    "train --source jsonl:{output}/taught.jsonl --objective ask_llm --answer_yes damage=none"
    " --hold_steps 1000"
)
# What is trained, in this order, into {output}/models: steps, and the command without them.
MODELS = {
    "t5": (400, f"{_T5} --vocabulary_size 4000 --learning_rate 5"),
    "asked_briefly": (
        350,
        f"{_ASKED} --window 160 --batch_rows 32 --learning_rate 1"
        " --initial_checkpoint {output}/models/t5",
    ),
    "asked": (
        150,
        f"{_ASKED} --window 448 --batch_rows 16 --learning_rate 0.5"
        " --initial_checkpoint {output}/models/asked_briefly",
    ),
    "gpt": (250, f"{_GPT} --size gpt_tiny"),
    "gpt_seed_1": (250, f"{_GPT} --size gpt_tiny --seed 1"),
    "large_gpt": (250, f"{_GPT} --size gpt_mini"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One `prune score`.

    Attributes:
        store: Name of the store, as in expressions.
        scorers: That share it.
        models: Of `MODELS`; none for those that need none.
        settings: Other than the defaults.
        learns: Whether `prune fit` comes first.
        reads: What it scores: texts, or the store of embeddings.
    """

    store: str
    scorers: tuple[str, ...]
    models: tuple[str, ...] = ()
    settings: str = ""
    learns: bool = False
    reads: str = "--source jsonl:{output}/held_out.jsonl"


_EMBEDDINGS = "--embeddings {output}/scores/embedding"
RUNS = (
    Run(store="t5", scorers=("perplexity", "el2n"), models=("t5",)),
    Run(store="gpt", scorers=("perplexity", "el2n"), models=("gpt",)),
    Run(store="gpts", scorers=("perplexity", "el2n"), models=("gpt", "gpt_seed_1")),
    Run(store="large", scorers=("perplexity",), models=("large_gpt",)),
    Run(store="memo", scorers=("memorization",), models=("gpt",)),
    Run(store="ask", scorers=("ask_llm",), models=("asked",)),
    Run(store="embedding", scorers=("embedding",), models=("t5",)),
    Run(store="density", scorers=("density",), learns=True, reads=_EMBEDDINGS),
    Run(
        store="narrow",
        scorers=("density",),
        settings="bandwidth=0.1",
        learns=True,
        reads=_EMBEDDINGS,
    ),
    Run(
        store="semdedup",
        scorers=("semdedup",),
        settings="num_clusters=40",
        learns=True,
        reads=_EMBEDDINGS,
    ),
    Run(
        store="proto",
        scorers=("prototypes",),
        settings="num_clusters=40",
        learns=True,
        reads=_EMBEDDINGS,
    ),
    Run(
        store="dsir",
        scorers=("importance",),
        settings="target=jsonl:{output}/clean.jsonl",
        learns=True,
    ),
    Run(store="prior", scorers=("unigram_prior",), learns=True),
    Run(store="exact", scorers=("duplicates",), learns=True),
    Run(store="near", scorers=("near_duplicates",), learns=True),
    Run(store="random", scorers=("random",)),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast a run was on this machine.

    Attributes:
        documents_per_second: Of the last run that had something to score, by its own measure.
        learning_seconds: Of `prune fit`, whole; 0 where nothing is learnt.
    """

    documents_per_second: float
    learning_seconds: float


def train_models(output: pathlib.Path, share: float = 1.0) -> None:
    """Trains what is not trained yet, for a share of the steps."""
    for name, (steps, command) in MODELS.items():
        steps = max(1, round(share * steps))
        _prune(f"{command} --num_steps {steps} --output {output}/models/{name}", output)


def score_all(output: pathlib.Path) -> dict[str, Speed]:
    """Scores what is not scored yet; speeds are those of the call that did it."""
    path = output / "speeds.json"
    speeds = json.loads(path.read_text()) if path.exists() else {}
    for run in RUNS:
        if run.store not in speeds:
            speeds[run.store] = dataclasses.asdict(_score(run, output))
            path.write_text(json.dumps(speeds, indent=1))
    return {run.store: Speed(**speeds[run.store]) for run in RUNS}


def _score(run: Run, output: pathlib.Path) -> Speed:
    (scorer, *_), store = run.scorers, output / "scores" / run.store
    settings = f" --settings {run.settings}" if run.settings else ""
    from_text = "--source" in run.reads
    units = f" --unit_rows {UNIT_ROWS}" if from_text else ""
    fitted, learning_seconds = "", 0.0
    if run.learns:
        file = output / "fitted" / f"{run.store}.npz"
        fitted, begun = f" --fitted {file}", time.monotonic()
        if not file.exists():
            _prune(f"fit {scorer} {run.reads}{settings}{units} --output {file}", output)
        learning_seconds = time.monotonic() - begun
    models = "".join(f" {output}/models/{name}" for name in run.models)
    command = f"score {' '.join(run.scorers)} {run.reads}{settings}{units}{fitted}"
    command += f" --output {store}"
    command += f" --fields {' '.join(LABELS)}" if from_text else ""
    command += f" --model{models}" if models else ""
    if run.models:
        _prune(f"{command} --sample 0.01", output)
    _prune(command, output)
    *_, cost = read_costs(epath.Path(store))
    return Speed(documents_per_second=cost.documents_per_second, learning_seconds=learning_seconds)


def _prune(command: str, output: pathlib.Path) -> None:
    command = command.format(output=output)
    print(f"\n$ prune {command}", flush=True)
    prune(shlex.split(command))


def machine() -> str:
    """This machine, for a reader of speeds."""
    name = next(
        (
            line.partition(":")[2].strip()
            for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "CPU",
    )
    return f"{len(os.sched_getaffinity(0))} cores of {name}"
