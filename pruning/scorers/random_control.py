"""The random control of every paper: a number that depends on the id alone."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from pruning.hashing import id_uniform
from pruning.scorers.scorer import Column, ScorableDocuments


@dataclasses.dataclass(frozen=True)
class Random:
    """hash(id, seed) in [0, 1).

    The same for any order, any number of machines and any cut into units; keeping
    the lowest 10 % gives a part of the lowest 20 %.
    """

    name: ClassVar[str] = "random"
    needs: ClassVar[frozenset[str]] = frozenset()
    reads: ClassVar[frozenset[str]] = frozenset()
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="random", unit="none", keeps="any", meaning="hash of id and seed, uniform"),
    )
    seed: int = 0

    def settings(self) -> dict[str, Any]:
        return {"seed": self.seed}

    def score(self, documents: ScorableDocuments) -> dict[str, np.ndarray]:
        return {"random": id_uniform(documents.file, documents.rows_N, self.seed)}
