"""What every scorer states and does."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """One number per document in a score store.

    Attributes:
      name: of the column.
      unit: as a person reads it, such as "nats per target token".
      keeps: which end a user keeps by default.
      meaning: one sentence.
    """

    name: str
    unit: str
    keeps: Literal["low", "middle", "high", "any"]
    meaning: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScorableDocuments:
    """What a scorer may look at: N documents of one file that can be scored.

    Attributes:
      file: path of their file; with `rows_N` it makes their ids.
      rows_N: int64.
      n_bytes_N: bytes of each text, int64.
      n_tokens_N: tokens of each whole text, int64. None without a vocabulary.
      n_predicted_N: how many of these tokens the targets contain, int64. None
        without a model, as are the next two.
      n_targets_N: target tokens, sentinels and ends of sequence included, int64.
      token_sums: per-token statistics added up over each document's targets,
        float64 [N]; the keys are those that the scorer `needs`.
    """

    file: str
    rows_N: np.ndarray
    n_bytes_N: np.ndarray
    n_tokens_N: np.ndarray | None = None
    n_predicted_N: np.ndarray | None = None
    n_targets_N: np.ndarray | None = None
    token_sums: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


class Scorer(Protocol):
    """A function of a document, its columns, and what it needs of a model.

    Attributes:
      name: as in SCORERS.
      columns: the main one first.
      needs: per-token statistics of a model, by name; empty for no model.
    """

    name: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    needs: ClassVar[frozenset[str]]

    def settings(self) -> dict[str, Any]:
        """What changes the numbers, as JSON; a store with other settings is refused."""
        ...

    def score(self, documents: ScorableDocuments) -> dict[str, np.ndarray]:
        """A finite number, or NaN, for every column and document: float32 [N]."""
        ...
