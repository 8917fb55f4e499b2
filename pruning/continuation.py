"""The beginning of a document, to be continued, as an objective."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from pruning.objectives import Example, WholeDocuments
from pruning.tokenization import EOS_ID


@dataclasses.dataclass(frozen=True, kw_only=True)
class Continuation(WholeDocuments):
    """The first tokens are the input, those that follow are the target.

    Every example fills a row of its own: the model decodes, and does not look at
    targets.

    Attributes:
      prompt_tokens: M.
      continuation_tokens: N.
      ends_inputs: the inputs end with the end of sequence, as an encoder's do.
    """

    name: ClassVar[str] = "continuation"
    is_packed: ClassVar[bool] = False
    prompt_tokens: int = 32
    continuation_tokens: int = 32
    ends_inputs: bool = True

    def __post_init__(self) -> None:
        if min(self.prompt_tokens, self.continuation_tokens) < 1:
            raise ValueError(
                f"memorization takes {self.prompt_tokens} tokens and compares "
                f"{self.continuation_tokens}; both must be at least 1."
            )

    @property
    def lengths(self) -> tuple[int, int]:
        return self.prompt_tokens + self.ends_inputs, self.continuation_tokens

    def problem(self, n_tokens: int, fields: Mapping[str, str | None]) -> str | None:
        del fields
        is_long_enough = n_tokens >= self.prompt_tokens + self.continuation_tokens
        return None if is_long_enough else "too_short"

    def examples(
        self, tokens: np.ndarray, seed: int, fields: Mapping[str, str | None]
    ) -> list[Example]:
        del seed, fields  # nothing is random
        inputs, targets = np.split(
            tokens[: self.prompt_tokens + self.continuation_tokens], [self.prompt_tokens]
        )
        end = [EOS_ID] if self.ends_inputs else []
        return [
            Example(
                np.append(inputs, end).astype(np.int32),
                targets.astype(np.int32),
                len(inputs) + len(targets),
                len(targets),
            )
        ]
