"""Selecting from made-up scores beside DuckDB: exact percentiles, then who lies between them.

    python benchmarks/many_scores.py --documents 1_000_000_000 --folder /scratch

Writes a score store of that many documents once (15 bytes each), then runs each side in a
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

from pruning.ahead import ahead
from pruning.documents import SourceFile, Unit
from pruning.manifests import FACTS, make_manifest
from pruning.progress import progress
from pruning.score_store import ScoreStore, create_or_continue
from pruning.store_counts import count

FILES = 16
OURS = "prune select"

# Runs what follows, and says seconds, those of all cores, and peak memory.
MEASURED = """
import resource, subprocess, sys, time
begun = time.monotonic()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
seconds, used = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
print(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20)
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
    parser.add_argument("--unit_rows", type=int, default=1 << 20)
    arguments = parser.parse_args()
    name = f"scores_{arguments.documents}_{arguments.unit_rows}"
    store = _make_store(arguments.folder / name, arguments.documents, arguments.unit_rows)
    sides = {OURS: lambda: _select(store, arguments)}
    if importlib.util.find_spec("duckdb"):
        sides["DuckDB"] = lambda: _duckdb(store, arguments)
    else:
        print("`pip install duckdb` measures it beside.")
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(arguments.rounds):
        for name in list(sides) if turn % 2 == 0 else reversed(list(sides)):
            taken, of_cores, gigabytes = sides[name]()
            seconds[name].append(taken)
            print(
                f"{name:<14} {taken:>8.1f} s, {of_cores:.1f} s of all cores, {gigabytes:.2f} GiB at most",
                flush=True,
            )
    ours = statistics.median(seconds[OURS])
    for name, times in seconds.items():
        print(f"{name:<14} {statistics.median(times) / ours:.2f} of ours")


def _make_store(folder: pathlib.Path, documents: int, unit_rows: int) -> ScoreStore:
    """Scores of a gamma distribution, with texts of about the length that C4 has."""
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
        unit_rows=unit_rows,
        scorers={"made_up": {}},
        columns=[column],
        settings={},
    )
    store = create_or_continue(folder, manifest)

    def write(numbered: tuple[int, Unit]) -> int:
        seed, unit = numbered
        n, rng = unit.num_rows, np.random.default_rng(seed)
        columns = {name: _constant(name, kind, n) for name, kind in FACTS.items()}
        n_bytes_N = rng.lognormal(7, 1, n).astype(np.int64)
        columns |= {
            "nll": pa.array(rng.standard_gamma(5, n, np.float32)),
            "text_hash": pa.array(rng.integers(-1 << 63, 1 << 63, n)),
            "n_bytes": pa.array(n_bytes_N),
            "n_tokens": pa.array(n_bytes_N // 4 + 1),
        }
        store.write(unit, pa.table(columns).select(store.schema.names))
        return n

    missing = {*store.missing_units()}
    todo = [(i, unit) for i, unit in enumerate(store.units) if unit in missing]
    rows = sum(unit.num_rows for _, unit in todo)
    with progress("write scores", documents, "documents", documents - rows) as advance:
        for n in ahead(write, todo, most=4, threads=2):
            advance(n)
    if not store.is_complete:
        store.write_success(count(store))
    return store


def _constant(name: str, kind: pa.DataType, n: int) -> pa.Array:
    if name in ("reason", "note"):
        return pa.nulls(n, kind)
    return pa.array(np.full(n, False if kind == pa.bool_() else 100), kind)


def _select(store: ScoreStore, arguments: argparse.Namespace) -> tuple[float, ...]:
    output = arguments.folder / "selection"
    shutil.rmtree(output, ignore_errors=True)
    fraction = ["--keep", "middle", "--fraction", str(arguments.fraction)]
    command = ["prune", "select", "--scores", str(store.folder), *fraction]
    return _measured(sys.executable, "-m", "pruning.cli", *command[1:], "--output", str(output))


def _duckdb(store: ScoreStore, arguments: argparse.Namespace) -> tuple[float, ...]:
    low = (1 - arguments.fraction) / 2
    paths = f"{store.folder}/*/*.parquet", str(arguments.folder / "kept.parquet")
    return _measured(sys.executable, "-c", DUCKDB, *paths, str(low), str(1 - low))


def _measured(*command: str) -> tuple[float, ...]:
    """Seconds, seconds of all cores, and gibibytes."""
    time.sleep(1)  # what the last one left to be written
    run = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], check=True, capture_output=True, text=True
    )
    return tuple(float(number) for number in run.stdout.split())


if __name__ == "__main__":
    main()
