"""Selecting from made-up scores beside DuckDB: exact percentiles, then who lies between them.

    python benchmarks/many_scores.py --documents 1_000_000_000 --folder /scratch

Writes a score store of that many documents once (12 bytes each), then runs each side in a
process of its own: `prune select --keep middle`, and DuckDB's `quantile_disc` and a filter
that writes file and row of what stays, over the same Parquet files. Both keep the same
number of documents, but for ties. DuckDB is not needed: without it ours is measured alone.
"""

import argparse
import importlib.util
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa

from pruning.documents import SourceFile
from pruning.progress import progress
from pruning.score_store import FACTS, ScoreStore, create_or_continue, make_manifest

UNIT_ROWS = 1 << 20
FILES = 16
OURS = "prune select"

# Runs what follows, and says seconds and peak memory.
MEASURED = """
import resource, subprocess, sys, time
begun = time.monotonic()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(time.monotonic() - begun, peak / 2**20)
"""
DUCKDB = """
import sys, duckdb
parquet, output, low, high = sys.argv[1:]
duckdb.sql("SET threads = 2")
duckdb.sql("SET preserve_insertion_order = false")
scores = f"read_parquet('{parquet}', filename = true, file_row_number = true)"
ends = duckdb.sql(f"SELECT quantile_disc(nll, [{low}, {high}]) FROM {scores}").fetchall()[0][0]
duckdb.sql(
    f"COPY (SELECT filename, file_row_number FROM {scores} WHERE nll >= {ends[0]} AND nll <= {ends[1]}) "
    f"TO '{output}' (FORMAT parquet)"
)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--documents", type=int, default=100_000_000)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--fraction", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    store = _make_store(arguments.folder / f"scores_{arguments.documents}", arguments.documents)
    sides = {OURS: lambda: _select(store, arguments)}
    if importlib.util.find_spec("duckdb"):
        sides["DuckDB"] = lambda: _duckdb(store, arguments)
    else:
        print("`pip install duckdb` measures it beside.")
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(arguments.rounds):
        for name in list(sides) if turn % 2 == 0 else reversed(list(sides)):
            taken, gigabytes = sides[name]()
            seconds[name].append(taken)
            print(f"{name:<14} {taken:>8.1f} s, {gigabytes:.2f} GiB at most", flush=True)
    ours = statistics.median(seconds[OURS])
    for name, times in seconds.items():
        print(f"{name:<14} {statistics.median(times) / ours:.2f} of ours")


def _make_store(folder: pathlib.Path, documents: int) -> ScoreStore:
    """Scores of a gamma distribution; one text hash for all, so that the files stay small."""
    ends = np.linspace(0, documents, FILES + 1).astype(int)
    files = [
        SourceFile(path=f"{i:03}.jsonl", size=1, mark="", num_rows=int(ends[i + 1] - ends[i]))
        for i in range(FILES)
    ]
    column = {"name": "nll", "unit": "nats", "keeps": "middle", "meaning": "made up"}
    source = {"spec": "jsonl:/nowhere/*", "text_field": "text", "fields": [], "split": "train"}
    manifest = make_manifest(
        files=files,
        source=source,
        unit_rows=UNIT_ROWS,
        scorers={"made_up": {}},
        columns=[column],
        settings={},
    )
    store = create_or_continue(folder, manifest)
    with progress("write scores", documents, "documents") as advance:
        for i, unit in enumerate(store.units):
            if not store.path(unit).exists():
                n, rng = unit.num_rows, np.random.default_rng(i)
                columns = {"nll": pa.array(rng.standard_gamma(5, n, np.float32))}
                columns |= {name: _constant(name, kind, n) for name, kind in FACTS.items()}
                store.write(unit, pa.table(columns).select(store.schema.names))
            advance(unit.num_rows)
    if not store.is_complete:
        store.write_success({})
    return store


def _constant(name: str, kind: pa.DataType, n: int) -> pa.Array:
    if name in ("reason", "note"):
        return pa.nulls(n, kind)
    return pa.array(np.full(n, False if kind == pa.bool_() else 100), kind)


def _select(store: ScoreStore, arguments: argparse.Namespace) -> tuple[float, float]:
    output = arguments.folder / "selection"
    shutil.rmtree(output, ignore_errors=True)
    fraction = ["--keep", "middle", "--fraction", str(arguments.fraction)]
    command = ["prune", "select", "--scores", str(store.folder), *fraction]
    return _measured(sys.executable, "-m", "pruning.cli", *command[1:], "--output", str(output))


def _duckdb(store: ScoreStore, arguments: argparse.Namespace) -> tuple[float, float]:
    low = (1 - arguments.fraction) / 2
    paths = f"{store.folder}/*/*.parquet", str(arguments.folder / "kept.parquet")
    return _measured(sys.executable, "-c", DUCKDB, *paths, str(low), str(1 - low))


def _measured(*command: str) -> tuple[float, float]:
    """Seconds and gibibytes."""
    time.sleep(1)  # what the last one left to be written
    run = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], check=True, capture_output=True, text=True
    )
    seconds, gigabytes = run.stdout.split()
    return float(seconds), float(gigabytes)


if __name__ == "__main__":
    main()
