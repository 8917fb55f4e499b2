"""Embeddings of documents that do not exist: as arrays, and as a store of them."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from pruning.documents import SourceFile, Unit, cut_into_units
from pruning.manifests import FACTS, make_manifest
from pruning.score_store import ScoreStore, create_or_continue
from pruning.scorers.scorer import ScorableDocuments


def vectors(
    n: int, size: int, *, groups: int = 8, spread: float = 1.0, seed: int = 0
) -> np.ndarray:
    """Points around a few centers, float32 that float16 holds."""
    generator = np.random.default_rng(seed)
    center_GD = generator.standard_normal((groups, size))
    x_ND = center_GD[generator.integers(groups, size=n)]
    x_ND = x_ND + spread * generator.standard_normal((n, size))
    return x_ND.astype(np.float16).astype(np.float32)


def directions(x_ND: np.ndarray) -> np.ndarray:
    """float64 of length 1."""
    x_ND = x_ND.astype(np.float64)
    return x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True)


def documents(x_ND: np.ndarray, file: str = "a.jsonl", first_row: int = 0) -> ScorableDocuments:
    n = len(x_ND)
    return ScorableDocuments(
        file=file,
        rows_N=np.arange(first_row, first_row + n),
        n_bytes_N=np.full(n, 10, np.int64),
        text_hash_N=np.arange(n),
        embedding_ND=x_ND,
    )


@dataclasses.dataclass(frozen=True)
class Arrays:
    """Files of embeddings as a `Corpus`, cut anywhere and in either order."""

    files: Mapping[str, np.ndarray]
    unit_rows: int = 100
    backwards: bool = False

    @property
    def num_rows(self) -> int:
        return sum(len(x_ND) for x_ND in self.files.values())

    def __iter__(self) -> Iterator[ScorableDocuments]:
        units = [
            documents(x_ND[first : first + self.unit_rows], file, first)
            for file, x_ND in sorted(self.files.items())
            for first in range(0, len(x_ND), self.unit_rows)
        ]
        yield from reversed(units) if self.backwards else units


def write_store(folder, files: Mapping[str, np.ndarray], *, unit_rows: int = 100) -> ScoreStore:
    """A store of embeddings; every tenth row has a reason for having none, and half of them one."""
    size = next(iter(files.values())).shape[1]
    sources = [
        SourceFile(path=file, size=1, mark="1", num_rows=len(x_ND)) for file, x_ND in files.items()
    ]
    column = {"name": "embedding", "unit": "none", "keeps": "any", "meaning": "-", "size": size}
    manifest = make_manifest(
        files=sources,
        source={"spec": "jsonl:nowhere", "fields": ["domain"]},
        unit_rows=unit_rows,
        scorers={"embedding": {}},
        columns=[column],
        settings={"code_version": "0", "where": None, "max_document_bytes": 1_000_000},
    )
    store = create_or_continue(folder, manifest)
    for unit in cut_into_units(sources, unit_rows):
        store.write(unit, _table(store, unit, files[unit.file]))
    return store


def has_document(n: int) -> np.ndarray:
    """The rows of a file in `write_store` without a reason."""
    return np.arange(n) % 10 != 3


def _table(store: ScoreStore, unit: Unit, x_ND: np.ndarray) -> pa.Table:
    n, there_N = unit.num_rows, has_document(len(x_ND))[unit.first_row :][: unit.num_rows]
    x_ND = x_ND[unit.first_row : unit.first_row + n].astype(np.float16)
    is_null_N = (unit.first_row + np.arange(n)) % 20 == 3
    facts = {
        "reason": [None if there else "empty" for there in there_N],
        "note": [None] * n,
        "text_hash": [unit.first_row + i for i in range(n)],
        "n_bytes": [7 + i for i in range(n)],
        "n_tokens": [5] * n,
        "n_targets": [1] * n,
        "n_windows": [1] * n,
        "truncated": [False] * n,
    }
    assert list(facts) == list(FACTS)
    columns = {
        "embedding": pa.FixedSizeListArray.from_arrays(
            pa.array(x_ND.reshape(-1)), x_ND.shape[1], mask=pa.array(is_null_N)
        ),
        **{name: pa.array(values, FACTS[name]) for name, values in facts.items()},
        "domain": pa.array([f"d{i % 3}" for i in range(n)], pa.string()),
    }
    return pa.table(columns, store.schema)
