"""Runs `prune score` in processes that hold a model between them."""

import collections
import json
import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
from flax import traverse_util

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "pruning"))
import toy

import pruning
from models.checkpoints import hugging_face
from models.checkpoints.stored import StoredArray
from models.configs import T5Config
from models.families import init_params

# `prune` that notes each unit it writes, and when it begins to prepare unit AT gets a signal, or
# an error where its number is 0. A BLIND one never sees what is written, as on a disk far away.
DRIVER = """
import os, sys
from pruning import score_store, scoring
from pruning.cli import main

at, number, log = int(os.environ["AT"]), int(os.environ["SIGNAL"]), os.environ["LOG"]
prepare, write, seen = scoring.prepare, score_store.ScoreStore.write, []

def signalled(unit, how):
    seen.append(unit)
    if len(seen) == at:
        if number == 0:
            raise OSError("The disk is gone.")
        os.kill(os.getpid(), number)
    return prepare(unit, how)

def noted(store, unit, table):
    with open(log, "a") as file:
        file.write(f"{os.environ['PROCESS']} {unit.file} {unit.first_row}\\n")
    write(store, unit, table)

scoring.prepare, score_store.ScoreStore.write = signalled, noted
if os.environ["BLIND"]:
    score_store.ScoreStore.appeared = lambda store, units: {}
main(sys.argv[1:])
"""
# Eight devices have each a head.
MODEL = T5Config(
    vocab_size=384,
    d_model=24,
    num_heads=8,
    head_dim=4,
    d_ff=32,
    num_encoder_layers=1,
    num_decoder_layers=1,
)
SCORERS = {
    "perplexity": ["perplexity", "random", "--window", "32"],
    "ask_llm": ["ask_llm", "--yes", "y", "--no", "n", "--window", "64"],
}
UNITS = 12


def make_inputs(folder):
    """A model, a prompt, and files of which one is empty and one has bad rows."""
    params = traverse_util.flatten_dict(init_params(MODEL, jax.random.key(0)), sep="/")
    arrays = {path: np.asarray(array) for path, array in params.items()}
    stored = {p: StoredArray(a.shape, a.dtype, lambda a=a: a) for p, a in arrays.items()}
    hugging_face.write(folder / "model", stored, MODEL)
    (folder / "prompt.txt").write_text("Q:{document}:A")
    for i, num in enumerate((70, 0, 20)):
        toy.write_jsonl(folder / "corpus" / f"{i}.jsonl", toy.texts(num, seed=i, most_words=9))
    with (folder / "corpus" / "2.jsonl").open("a") as file:
        file.write('{"text": ""}\n{"broken\n' + json.dumps({"text": "x" * 99}) + "\n")


def command(folder, name, output, *flags):
    return [
        *("score", *SCORERS[name], "--source", f"jsonl:{folder}/corpus/*.jsonl"),
        *("--model", str(folder / "model"), "--vocabulary", "bytes", "--output", str(output)),
        *(["--prompt", str(folder / "prompt.txt")] if name == "ask_llm" else []),
        *("--unit_rows", "8", "--batch_rows", "3", *flags),
    ]


def run(folder, name, output, *, processes, model_devices=8, at=(), number=0, blind=()):
    """The exit codes and stderr of processes with eight devices in all; `at` is by process."""
    with socket.socket() as server:
        server.bind(("localhost", 0))
        port = server.getsockname()[1]
    devices = 8 // processes
    started = []
    for i in range(processes):
        flags = ["--distributed", f"localhost:{port}", "--num_shards", str(processes)]
        flags += ["--shard_index", str(i), "--model_devices", str(model_devices)]
        settings = {
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} "
            "--xla_backend_optimization_level=0",
            "PYTHONPATH": str(pathlib.Path(pruning.__file__).parents[1]),
            "PROCESS": str(i),
            "LOG": f"{output}.log",
            "AT": str(dict(at).get(i, 0)),
            "SIGNAL": str(int(number)),
            "BLIND": "yes" if i in blind else "",
        }
        settings = {**os.environ, **settings}
        settings.pop("PRUNE_TRACEBACK", None)
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", DRIVER, *command(folder, name, output, *flags)],
                env=settings,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        errors = [process.communicate(timeout=200)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    return [process.returncode for process in started], errors


def writers(output):
    """Which processes wrote each unit, one after the other."""
    found = collections.defaultdict(list)
    for line in pathlib.Path(f"{output}.log").read_text().splitlines():
        process, unit = line.split(" ", 1)
        found[unit].append(int(process))
    return found
