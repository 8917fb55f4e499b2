"""Memorization: whether a model goes on as the document does."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from pruning.scorers.scorer import Column, ScorableDocuments


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memorization:
    """Share of the N tokens after the first M that greedy decoding gets right.

    "When Less is More" section 2.1.3: score(M, N) = (1/N) * the number of i in 1..N
    whose token M+i is the model's, with M = N = 32. The model goes on from its own
    tokens, right or wrong. The paper scores sequences of 2,048 tokens; we score the
    beginning of a document, and one of fewer than M + N tokens has no score
    (`too_short`). A T5 gets the M tokens as its input, as in prefix_lm.

    Attributes:
      prompt_tokens: M.
      continuation_tokens: N.
    """

    name: ClassVar[str] = "memorization"
    forward_pass: ClassVar[str] = "continue"
    needs: ClassVar[frozenset[str]] = frozenset({"match"})
    reads: ClassVar[frozenset[str]] = frozenset()
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            name="memorization",
            unit="share of tokens",
            keeps="low",
            meaning="share of a greedy continuation that matches; 1 is known by heart",
        ),
    )
    prompt_tokens: int = 32
    continuation_tokens: int = 32

    def settings(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def score(self, documents: ScorableDocuments) -> dict[str, np.ndarray]:
        share_N = documents.token_sums["match"] / self.continuation_tokens
        return {"memorization": share_N.astype(np.float32)}
