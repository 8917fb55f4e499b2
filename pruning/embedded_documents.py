"""A document to be embedded, as an objective: all input, and one place for the result."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from pruning.objectives import Example, WholeDocuments
from pruning.tokenization import EOS_ID

# Documents in a row of 512 positions at most; more would be shorter than 16 tokens.
SHORTEST = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmbeddedDocument(WholeDocuments):
    """The beginning of a document is the input; its one target stands for the vector.

    A document longer than the window is cut, as Sentence-T5 does.

    Attributes:
      window: longest input in tokens, end of sequence included.
    """

    name: ClassVar[str] = "embedding"
    window: int = 512

    @property
    def lengths(self) -> tuple[int, int]:
        return self.window, max(1, self.window // SHORTEST)

    def examples(
        self, tokens: np.ndarray, seed: int, fields: Mapping[str, str | None]
    ) -> list[Example]:
        del seed, fields  # nothing is random
        read = tokens[: self.window - 1]
        return [
            Example(
                np.append(read, EOS_ID).astype(np.int32), np.array([EOS_ID], np.int32), len(read), 0
            )
        ]
