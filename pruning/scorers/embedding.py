"""Embedding: where a document lies among the others."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from pruning.scorers.scorer import Column, ScorableDocuments


@dataclasses.dataclass(frozen=True, kw_only=True)
class Embedding:
    """Mean of the encoder's outputs over a document's tokens, of length 1.

    "How to Train Data-Efficient LLMs" appendix B.2 embeds with Sentence-T5-Base: this
    mean, its projection where the checkpoint has one, divided by its length. Stored
    in float16, so that density, semdedup and prototypes can be tried without the model.

    Attributes:
      size: of a vector; that of the model.
    """

    name: ClassVar[str] = "embedding"
    forward_pass: ClassVar[str] = "embed"
    needs: ClassVar[frozenset[str]] = frozenset({"embedding"})
    reads: ClassVar[frozenset[str]] = frozenset()
    size: int

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(
                name="embedding",
                unit="none",
                keeps="any",
                meaning="mean encoder output, of length 1",
                size=self.size,
            ),
        )

    def settings(self) -> dict[str, Any]:
        return {}

    def score(self, documents: ScorableDocuments) -> dict[str, np.ndarray]:
        return {"embedding": documents.token_sums["embedding"].astype(np.float32)}
