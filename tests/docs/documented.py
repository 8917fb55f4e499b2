"""The commands of the README and the guides, and how they are run at a small scale."""

import contextlib
import dataclasses
import os
import pathlib
import re
import shlex
import subprocess
import sys

from pruning.cli import main

ROOT = pathlib.Path(__file__).parents[2]
# First words of a block of commands; other blocks show output, gin or a picture.
FIRST_WORDS = ("prune", "python", "python3", "make", "pip", "git", "mkdir", "for")

# What a newcomer has or may download and what costs time, and what stands for it here.
SUBSTITUTIONS = {
    "google/flan-t5-xl": "trained/asked",
    "sentence-transformers/sentence-t5-base": "trained/reference",
    "trained/reference/checkpoint_250": "trained/reference/checkpoint_1",
    "trained/reference/checkpoint_1000": "trained/reference/checkpoint_2",
    "--documents 1_000_000": "--documents 30",
    "--documents 100 --per": "--documents 1 --per",
    "--tokens 30_000_000_000": "--tokens 1000",
    "num_clusters=1000": "num_clusters=4",
    "--num_shards 64 --shard_index 3": "--num_shards 2 --shard_index 1",
}
SUBSTITUTIONS_OF = {
    "docs/experiments.md": {
        "--arms full random low:nll middle:nll high:nll": "--arms full random low:nll",
        "--seeds 0 1 2": "--seeds 0",
        "--num_shards 24 --shard_index 3": "--num_shards 2 --shard_index 1",
    },
    "docs/train_with_t5x.md": {
        "--num_steps 100": "--num_steps 3",
        "--vocabulary_size 4000": "--vocabulary_size 1500",
        "VOCABULARY_ROWS=4224": "VOCABULARY_ROWS=1664",
        "checkpoint_100": "checkpoint_3",
        "TRAIN_STEPS=200": "TRAIN_STEPS=4",
        "checkpoint_200": "checkpoint_4",
        "TRAIN_STEPS_RELATIVE=20": "TRAIN_STEPS_RELATIVE=2",
        "EVALUATED_EXAMPLES=200": "EVALUATED_EXAMPLES=16",
    },
}
# Flags that make a command small, by the command and by what it writes: the last of a flag counts.
SMALLER = {
    "train trained/first": "--num_steps 2 --vocabulary_size 400",
    "train trained/reference": "--window 96 --batch_rows 4 --num_steps 2 --checkpoint_period 1 "
    "--keep 2 --vocabulary_size 400",
    "experiment experiments/web": "--num_steps 2 --evaluations 1 --window 96 --batch_rows 4 "
    "--vocabulary_size 400 --held_out_fraction 0.2",
    "experiment experiments/t5x": "--num_steps 2 --evaluations 1 --window 96 --batch_rows 4 "
    "--vocabulary_size 400 --held_out_fraction 0.2",
    "experiment experiments/small": "--source python_docs:max_documents=60 --num_steps 2 "
    "--reference_steps 2 --evaluations 1 --batch_rows 4 --vocabulary_size 400 --minimal_pairs 2 "
    "--arms full random --seeds 0",
}
# What is not run, by how it begins, and why. Nothing else is left out.
NOT_RUN = {
    "make demo": "installs; tests/jobs runs the demo's parts",
    "make test": "is what runs this",
    "pip install": "installs",
    "python3 -m venv": "installs",
    "git clone": "needs the network",
    "mkdir -p c4": "downloads C4; `-m docs` makes c4/ of other text",
    "curl": "downloads C4; `-m docs` makes c4/ of other text",
    "PYTHONPATH=. seqio_cache_tasks": "needs a bucket; tests/with_t5x caches a pruned task",
    "python -m t5x.train --gin_search_paths=. --gin_file my_run.gin": "reads that cache",
    "python benchmarks/": "minutes to hours; tests/benchmarks runs their parts",
    "prune report --scores /scratch/": "of a hundred million made-up scores",
    "prune score perplexity --source 'jsonl:s3://": "needs a bucket; tests/remote has servers",
    "prune score ask_llm --model google/flan-t5-xxl": "11 billion parameters; test_sharding splits a small one",
    "prune experiment --gin_file=gin/experiments/own_text.gin": "needs ARC and PIQA, and most of an "
    "hour; tests/jobs reads the gin file",
    "prune plan --model flan_t5_xxl --topology v5e": "needs libtpu; tests/jobs plans with a stand-in",
}
# Documents whose commands want a shell and processes of their own.
BY_SHELL = ("docs/train_with_t5x.md",)
GUIDES = (
    "README.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")),
)


@dataclasses.dataclass(frozen=True)
class Documented:
    """A command as a document has it."""

    document: str
    text: str

    @property
    def is_run(self) -> bool:
        return not any(self.text.startswith(begin) for begin in NOT_RUN)

    @property
    def in_small(self) -> str:
        text = self.text
        own = SUBSTITUTIONS_OF.get(self.document, {})
        for documented, ours in {**SUBSTITUTIONS, **own}.items():
            text = text.replace(documented, ours)
        if self.document in BY_SHELL:
            return text
        words = text.split()
        output = words[words.index("--output") + 1] if "--output" in words else ""
        return " ".join((text, *filter(None, [SMALLER.get(f"{words[1]} {output}")])))


def commands(document: str) -> list[Documented]:
    """The commands of a document's blocks, in their order."""
    found = []
    text = (ROOT / document).read_text()
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if language:
            continue
        if not block.startswith(FIRST_WORDS):
            missed = re.search(r"^(\w+=\S+ )?(prune|python|make|pip|git) .*", block, re.MULTILINE)
            assert not missed, f"{document}: a block with {missed and missed[0]!r} begins otherwise"
            continue
        joined = re.sub(r" *\\\n *", " ", block)
        if joined.startswith("for "):
            found.append(Documented(document, joined))
            continue
        lines = (line.partition("  #")[0].strip() for line in joined.splitlines())
        found += [Documented(document, line) for line in lines if line]
    return found


def run_in_process(command: Documented, folder: pathlib.Path) -> None:
    """Runs `prune …` or `python -m pruning.jobs.…` in a folder, without a process of its own."""
    words = shlex.split(command.in_small)
    if words[:2] == ["python", "-m"]:
        words = ["prune", words[2].removeprefix("pruning.jobs."), *words[3:]]
    assert words[0] == "prune", f"{command.document}: {command.text} is run in no way known here"
    with contextlib.chdir(folder):
        try:
            main(words[1:])
        except BaseException as error:
            error.add_note(f"{command.document}: {command.text}\nrun as: {command.in_small}")
            raise
    if "--output" in words:
        output = words[words.index("--output") + 1]
        assert (folder / output).exists(), f"{command.text} has written no {output}"


def run_by_shell(command: Documented, folder: pathlib.Path) -> None:
    """Runs a command as it is typed, loops and variables included."""
    environment = {
        **{
            k: v for k, v in os.environ.items() if k != "JAX_NUMPY_RANK_PROMOTION"
        },  # the tests' own
        "PATH": os.pathsep.join((os.path.dirname(sys.executable), os.environ["PATH"])),
        "PYTHONPATH": os.pathsep.join((os.fspath(ROOT), os.environ.get("PYTHONPATH", ""))),
    }
    done = subprocess.run(
        ["bash", "-euc", command.in_small],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, f"{command.document}: {command.in_small}\n{done.stderr[-3000:]}"
