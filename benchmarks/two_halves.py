"""The embedded corpus in two halves that share no text: one to learn from, one to score.

The halves are cut by the text of the originals: no document is on both sides, nor is a copy of
it, nor a spoilt version.
"""

import dataclasses
import json
import pathlib
import random
from collections.abc import Iterable

import numpy as np

from pruning.hashing import splitmix64, text_hash
from pruning.prompts import ASK_LLM_PROMPT
from pruning.sources.python_docs import PythonDocsOptions, PythonDocsSource

Row = dict[str, str | None]

# Times that the taught half is there, each damaged in another way.
VERSIONS = 8


def write_halves(folder: pathlib.Path, held_out: PythonDocsOptions) -> None:
    """Writes four files, unless they are there.

    `clean.jsonl` is the half to learn from; `originals.jsonl` the same with the prompt of
    Ask-LLM, whose words a vocabulary must have; `taught.jsonl` the same documents several
    times, half of them damaged; `held_out.jsonl` the half to score, shuffled, with its labels
    and `id`.

    Args:
        folder: For all four.
        held_out: How the half to score is spoilt, and how much of the corpus is taken.
    """
    if (folder / "held_out.jsonl").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    clean = dataclasses.replace(held_out, damage=0.0, duplicates=0.0, near_duplicates=0.0)
    originals = _rows(clean)
    is_taught_N = np.array([_is_taught(row) for row in originals])
    taught = [row for row, taken in zip(originals, is_taught_N, strict=True) if taken]
    asked = [{"text": f"{ASK_LLM_PROMPT}\nyes yes. yes, no no. no,"}] * 300
    texts: list[Row] = [{"text": row["text"]} for row in taught]
    _write(folder / "clean.jsonl", texts)
    _write(folder / "originals.jsonl", [*texts, *asked])
    versions = [
        _rows(dataclasses.replace(clean, damage=0.5, seed=held_out.seed + version))
        for version in range(1, VERSIONS + 1)
    ]
    _write(
        folder / "taught.jsonl",
        (row for rows in versions for row, taken in zip(rows, is_taught_N, strict=True) if taken),
    )
    origin = {row["id"]: row for row in originals}
    kept_out = [row for row in _rows(held_out) if not _is_taught(_origin(row, origin))]
    random.Random(0).shuffle(kept_out)  # all units are alike
    _write(folder / "held_out.jsonl", kept_out)


def _rows(options: PythonDocsOptions) -> list[Row]:
    source = PythonDocsSource(options)
    return [
        {
            "id": f"{file.path}__{document.row}",
            "text": (document.text or b"").decode(),
            **document.fields,
        }
        for file in source.files()
        for document in source.read(file.path, 0, file.num_rows)
    ]


def _is_taught(original: Row) -> bool:
    hash_1 = np.array([text_hash(str(original["text"]).encode())], np.int64).view(np.uint64)
    return bool(splitmix64(hash_1)[0] % 2 == 0)


def _origin(row: Row, originals: dict[str | None, Row]) -> Row:
    """The document whose text a row was made of; an exact copy has it itself."""
    if near := row.get("near_duplicate_of"):
        return originals[near]
    return row if row["damage"] == "none" else originals[row["id"]]


def _write(path: pathlib.Path, rows: Iterable[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
