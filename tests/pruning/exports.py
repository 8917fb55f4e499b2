"""A corpus of hard texts in several files, and what an export of it must hold."""

import json
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pruning.hashing import text_hash
from pruning.keep_bits import Selection, write_selection
from pruning.sources.parquet import ParquetSource

# Line ends of all kinds, control characters, other planes, and nothing at all.
HARD = (
    "one\ntwo\r\nthree\u2028four\u0085",
    "\0\x01\x1f \x7f",
    '"quoted" \\ and \\u0041',
    "naïve 東京 🦜 \ufeff",
    "",
    " \t ",
    "e\u0301 is not \u00e9",
    "x" * 40_000,
)
FORMATS = ("tfrecord", "array_record", "jsonl", "jsonl.gz", "jsonl.zst", "parquet")
FIELDS = ("url", "note")


def write_corpus(
    folder: pathlib.Path, lengths=(23, 0, 9, 1), *, invalid: bool = False
) -> ParquetSource:
    """Parquet files of binary text, since only those hold any bytes."""
    for i, n in enumerate(lengths):
        texts = [f"{HARD[r % len(HARD)]} {i} {r}".encode() if r % 5 else b"" for r in range(n)]
        texts[2:3] = [None] * len(texts[2:3])
        if invalid and n > 7:
            texts[7] = b"\xff half of a \xe6\x9d"
        table = pa.table(
            {
                "text": pa.array(texts, pa.binary()),
                "url": [f"https://{i}/{r}?é" if r % 3 else None for r in range(n)],
                "note": pa.array([json.dumps({"a": r}) for r in range(n)], pa.string()),
            }
        )
        path = folder / f"d{i % 2}" / f"part-{i}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, row_group_size=4)
    return open_corpus(folder)


def open_corpus(folder: pathlib.Path) -> ParquetSource:
    return ParquetSource([f"{folder}/**/*.parquet"], fields=FIELDS)


def write_kept(source, folder: pathlib.Path, share: float = 0.5) -> Selection:
    """A selection of a random share of the documents that have a text; none of the last file."""
    files, rng = [], np.random.default_rng(0)
    for file in source.files():
        documents = list(source.read(file.path, 0, file.num_rows))
        keep_N = np.array([bool(d.text) for d in documents], bool)
        keep_N &= rng.random(file.num_rows) < share
        keep_N &= not file.path.endswith("part-3.parquet")
        guards = {d.row: text_hash(d.text) for d in documents[:2] if d.text is not None}
        files.append((file, keep_N, guards))
    return write_selection(folder, files=files, source=source.describe(), info={})


def expected(source, selection: Selection | None = None) -> dict[str, list[dict[str, bytes]]]:
    """Texts and fields by source file, as they must come back; files without any are left out."""
    found = {}
    for file in source.files():
        documents = source.read(file.path, 0, file.num_rows)
        if selection:
            keep_N = selection.keep(file.path)
            documents = (d for d in documents if keep_N[d.row])
        rows = [
            {"text": d.text or b"", **{n: (d.fields[n] or "").encode() for n in FIELDS}}
            for d in documents
        ]
        if rows:
            found[file.path] = rows
    return found
