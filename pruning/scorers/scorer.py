"""What every scorer states and does."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

# What a learner knows of a corpus, by name.
Artifact = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """One number per document in a score store, or one vector.

    Attributes:
      name: of the column.
      unit: as a person reads it, such as "nats per target token".
      keeps: which end a user keeps by default.
      meaning: one sentence.
      size: numbers of a vector, which is stored in float16; None for one number, in float32.
    """

    name: str
    unit: str
    keeps: Literal["low", "middle", "high", "any"]
    meaning: str
    size: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScorableDocuments:
    """What a scorer may look at: N documents of one file that can be scored.

    Attributes:
      file: path of their file; with `rows_N` it makes their ids.
      rows_N: int64.
      n_bytes_N: bytes of each text, int64.
      text_hash_N: int64.
      texts_N: the texts; None unless a scorer `reads` text.
      embedding_ND: float32; None unless a scorer `reads` embedding.
      n_tokens_N: tokens of each whole text, int64. None without a vocabulary.
      n_predicted_N: how many of these tokens the targets contain, int64. None
        without a model, as are the next two.
      n_targets_N: target tokens, sentinels and ends of sequence included, int64.
      token_sums: per-token statistics added up over each document's targets,
        float64 [N] or [N, D]; the keys are those that the scorer `needs`.
    """

    file: str
    rows_N: np.ndarray
    n_bytes_N: np.ndarray
    text_hash_N: np.ndarray
    texts_N: Sequence[str] | None = None
    embedding_ND: np.ndarray | None = None
    n_tokens_N: np.ndarray | None = None
    n_predicted_N: np.ndarray | None = None
    n_targets_N: np.ndarray | None = None
    token_sums: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


class Scorer(Protocol):
    """A function of a document, its columns, and what it needs of a model.

    Attributes:
      name: as in SCORERS.
      columns: the main one first.
      needs: per-token statistics of a model, by name; empty for no model. A scorer that
        has some also names its `forward_pass`: "predict", "ask", "continue" or "embed".
      reads: of the documents themselves: "text", or "embedding", which a store has.
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]]
    reads: ClassVar[frozenset[str]]

    @property
    def columns(self) -> tuple[Column, ...]: ...

    def settings(self) -> dict[str, Any]:
        """What changes the numbers, as JSON; a store with other settings is refused."""
        ...

    def score(self, documents: ScorableDocuments) -> dict[str, np.ndarray]:
        """A finite number, or NaN, for every column and document: float32 [N], vectors [N, size]."""
        ...


class Corpus(Protocol):
    """All documents that can be scored, unit by unit, as often as they are asked for."""

    @property
    def num_rows(self) -> int:
        """Records, those that cannot be scored included."""
        ...

    def __iter__(self) -> Iterator[ScorableDocuments]: ...


class Learner(Protocol):
    """A scorer that looks at the whole corpus first; its fields are its settings.

    Attributes:
      name: as in SCORERS, that of the scorer it makes.
      reads: as a scorer's.
    """

    name: ClassVar[str]
    reads: ClassVar[frozenset[str]]

    def settings(self) -> dict[str, Any]:
        """What changes the artifact, as JSON."""
        ...

    def fit(self, corpus: Corpus) -> Artifact:
        """Looks at every document, and says what it has learnt."""
        ...

    def merge(self, artifacts: Sequence[Artifact]) -> Artifact:
        """What one would have learnt from all parts of a corpus, from what was learnt of each.

        Raises:
          ValueError: it cannot be told from the parts; says why.
        """
        ...

    def scorer(self, artifact: Artifact) -> Scorer:
        """The function of a document that the artifact makes of it."""
        ...
