"""EL2N: how far a model's prediction is from what stands there."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from pruning.scorers.scorer import Column, ScorableDocuments


@dataclasses.dataclass(frozen=True, kw_only=True)
class EL2N:
    """Mean over target tokens of the L2 norm of the error vector.

    "When Less is More" section 2.1.2: EL2N(z) = (1/t) * sum over the t tokens of
    || p - y ||_2, p the softmax over the vocabulary, y the one-hot target. Between 0
    and sqrt(2). The paper averages ten reference models of different seeds: give
    several --model. Windows of a long document add up as for perplexity.
    """

    name: ClassVar[str] = "el2n"
    forward_pass: ClassVar[str] = "predict"
    needs: ClassVar[frozenset[str]] = frozenset({"el2n"})
    reads: ClassVar[frozenset[str]] = frozenset()
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            name="el2n",
            unit="L2 norm per target token",
            keeps="middle",
            meaning="mean length of the error vector; low is easy to predict",
        ),
    )

    def settings(self) -> dict[str, Any]:
        return {}

    def score(self, documents: ScorableDocuments) -> dict[str, np.ndarray]:
        mean_N = documents.token_sums["el2n"] / documents.n_targets_N
        return {"el2n": mean_N.astype(np.float32)}
