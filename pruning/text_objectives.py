"""Objectives that learn from a text alone, and so give it a perplexity."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from pruning.objectives import Example, LongDocuments, Objective, Windowed, ended
from pruning.span_corruption import SpanCorruption
from pruning.tokenization import Vocabulary


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrefixLM(Windowed):
    """The first half of a window is given, the second half predicted.

    T5 draws the split at random; the middle is what we choose, so that a score
    does not depend on a draw.
    """

    name: ClassVar[str] = "prefix_lm"

    @property
    def window_tokens(self) -> int:
        return 2 * (self.window - 1)

    @property
    def lengths(self) -> tuple[int, int]:
        return self.window, self.window

    def example(self, tokens: np.ndarray, seed: int) -> Example:
        del seed  # nothing is random
        middle = len(tokens) // 2
        n = len(tokens)
        return Example(ended(tokens[:middle]), ended(tokens[middle:]), n, n - middle)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CausalLM(Windowed):
    """Every token is predicted from those before it; the inputs are empty but for their end.

    Attributes:
      has_encoder: of the model; without one there are no inputs at all.
    """

    name: ClassVar[str] = "causal_lm"
    has_encoder: bool = True

    @property
    def window_tokens(self) -> int:
        return self.window - 1

    @property
    def lengths(self) -> tuple[int, int]:
        # An encoder sees one position per document; room for 16 documents in a
        # row of 512 hardly ever limits the packing.
        return max(1, self.window // 32) if self.has_encoder else 0, self.window

    def example(self, tokens: np.ndarray, seed: int) -> Example:
        del seed  # nothing is random
        inputs = ended(tokens[:0]) if self.has_encoder else np.zeros(0, np.int32)
        return Example(inputs, ended(tokens), len(tokens), len(tokens))


OBJECTIVES = (SpanCorruption.name, PrefixLM.name, CausalLM.name)


def make_objective(
    name: str,
    vocabulary: Vocabulary,
    window: int = 512,
    long_documents: LongDocuments = "windows",
    *,
    has_encoder: bool = True,
) -> Objective:
    """The objective of that name. `window` is the longest input (causal_lm: target)."""
    shared: dict[str, Any] = {"window": window, "long_documents": long_documents}
    if window < 4:
        raise ValueError(f"window is {window}; a window holds at least 4 tokens.")
    if name == SpanCorruption.name:
        return SpanCorruption(
            vocab_size=vocabulary.vocab_size, num_sentinels=vocabulary.num_sentinels, **shared
        )
    if name == PrefixLM.name:
        return PrefixLM(**shared)
    if name == CausalLM.name:
        return CausalLM(has_encoder=has_encoder, **shared)
    raise ValueError(f"Unknown objective {name!r}; known are {', '.join(OBJECTIVES)}.")
