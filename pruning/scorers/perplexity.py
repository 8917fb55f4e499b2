"""Perplexity: how well a model predicts a document."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from pruning.scorers.scorer import Column, ScorableDocuments


@dataclasses.dataclass(frozen=True)
class Perplexity:
    """Mean negative log-likelihood of a document's target tokens.

    `nll` = -(1/n) * sum over the n target tokens of log p(token | what precedes it),
    in nats; perplexity = exp(nll), and every percentile of the one is a percentile
    of the other. "When Less is More" section 2.1.1, "Perplexed by Perplexity"
    section 2 (whose Algorithm 1 writes it to base 2). Targets are those that T5 is trained
    on: sentinels and the end of sequence count. The windows of a long document
    add up: their losses and their tokens are summed before the division.

    `bits_per_byte` = (summed nll / ln 2) / (bytes predicted), for comparing models
    of different vocabularies. An objective that predicts a part of the tokens is
    charged the same part of the bytes: bytes * predicted tokens / tokens.
    """

    name: ClassVar[str] = "perplexity"
    forward_pass: ClassVar[str] = "predict"
    needs: ClassVar[frozenset[str]] = frozenset({"nll"})
    reads: ClassVar[frozenset[str]] = frozenset()
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            name="nll",
            unit="nats per target token",
            keeps="middle",
            meaning="mean negative log-likelihood; low is easy to predict",
        ),
        Column(
            name="bits_per_byte",
            unit="bits per byte of text",
            keeps="middle",
            meaning="the same, per byte, comparable between vocabularies",
        ),
    )

    def settings(self) -> dict[str, Any]:
        return {}

    def score(self, documents: ScorableDocuments) -> dict[str, np.ndarray]:
        assert documents.n_predicted_N is not None
        nll_sum_N = documents.token_sums["nll"]
        share_N = documents.n_predicted_N / documents.n_tokens_N
        # A document of one token predicts nothing but a sentinel: no bytes, no rate.
        bytes_N = np.where(share_N > 0, documents.n_bytes_N * share_N, np.nan)
        return {
            "nll": (nll_sum_N / documents.n_targets_N).astype(np.float32),
            "bits_per_byte": (nll_sum_N / np.log(2.0) / bytes_N).astype(np.float32),
        }
