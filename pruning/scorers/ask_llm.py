"""Ask-LLM: what an instruction-tuned model says about a document when it is asked."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from pruning.prompts import Question
from pruning.scorers.scorer import Column, ScorableDocuments


@dataclasses.dataclass(frozen=True)
class AskLLM:
    """log P(yes | prompt with the document in it), and the same of no.

    "How to Train Data-Efficient LLMs" section 3.1, Figure 3 and Algorithm 1: the
    probability of "yes" in the softmax over the whole vocabulary, at the first
    position of the answer; the documents with the highest stay. It is not divided by
    P(yes) + P(no), which ranks otherwise; for that, rank by `log_p_yes - log_p_no`.

    Attributes:
      question: prompt and answers.
    """

    name: ClassVar[str] = "ask_llm"
    forward_pass: ClassVar[str] = "ask"
    needs: ClassVar[frozenset[str]] = frozenset({"log_p_yes", "log_p_no"})
    reads: ClassVar[frozenset[str]] = frozenset()
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            name="log_p_yes",
            unit="nats",
            keeps="high",
            meaning="log probability of yes; high is what the model would train on",
        ),
        Column(
            name="log_p_no",
            unit="nats",
            keeps="low",
            meaning="log probability of no; with that of yes it adds up to less than 1",
        ),
    )
    question: Question = dataclasses.field(default_factory=Question)

    def settings(self) -> dict[str, Any]:
        return self.question.describe()

    def score(self, documents: ScorableDocuments) -> dict[str, np.ndarray]:
        # One answer is one target: the sum over targets is its log probability.
        return {c.name: documents.token_sums[c.name].astype(np.float32) for c in self.columns}
