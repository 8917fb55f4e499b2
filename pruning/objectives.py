"""What a model must predict of a document: tokens -> (inputs, targets).

The contract of all objectives, and what those share that read a document window by
window. Inputs and targets end with the end-of-sequence token, as in T5's own tasks.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from pruning.hashing import splitmix64
from pruning.tokenization import EOS_ID


@dataclasses.dataclass(frozen=True)
class Example:
    """One window of a document.

    Attributes:
      inputs, targets: int32 [n], end of sequence included.
      n_tokens: of the window.
      n_predicted: how many of them the targets contain.
    """

    inputs: np.ndarray
    targets: np.ndarray
    n_tokens: int
    n_predicted: int


LongDocuments = Literal["windows", "truncate"]


class Objective(Protocol):
    """Turns a document into inputs and targets.

    Attributes:
      is_packed: a row may hold many examples.
    """

    name: ClassVar[str]
    is_packed: ClassVar[bool]

    @property
    def lengths(self) -> tuple[int, int]:
        """Longest inputs and targets of one example, end of sequence included."""
        ...

    def readable(self, texts: Sequence[str], tokens: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The token ids that the model may see of documents.

        Args:
          texts, tokens: of N documents as they are.
        """
        ...

    def problem(self, n_tokens: int, fields: Mapping[str, str | None]) -> str | None:
        """Why a document has no example, a key of REASONS; None where it has."""
        ...

    def examples(
        self, tokens: np.ndarray, seed: int, fields: Mapping[str, str | None]
    ) -> list[Example]:
        """The examples of a document without a `problem`, at least one.

        Args:
          tokens: of the whole document, `readable`.
          seed: decides what is random.
          fields: that the source carries.
        """
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class WholeDocuments:
    """What objectives share that read a document as it is, whatever it holds."""

    is_packed: ClassVar[bool] = True

    def readable(self, texts: Sequence[str], tokens: Sequence[np.ndarray]) -> list[np.ndarray]:
        del texts
        return list(tokens)

    def problem(self, n_tokens: int, fields: Mapping[str, str | None]) -> str | None:
        del n_tokens, fields
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Windowed(WholeDocuments):
    """What objectives share that predict a document window by window.

    Attributes:
      window: longest input in tokens.
      long_documents: a document longer than the window is cut into `windows` whose losses
        add up, or `truncate`d to its first.
    """

    window: int = 512
    long_documents: LongDocuments = "windows"

    @property
    def window_tokens(self) -> int:
        """Tokens of the document in one window."""
        raise NotImplementedError

    def example(self, tokens: np.ndarray, seed: int) -> Example:
        """The example of one window; `seed` decides what is random in it."""
        raise NotImplementedError

    def examples(
        self, tokens: np.ndarray, seed: int, fields: Mapping[str, str | None]
    ) -> list[Example]:
        del fields
        size = self.window_tokens
        if self.long_documents == "truncate":
            tokens = tokens[:size]
        starts = range(0, len(tokens), size)
        seeds = splitmix64(
            np.full(len(starts), seed, np.uint64) + np.arange(len(starts), dtype=np.uint64)
        )
        return [
            self.example(tokens[start : start + size], int(window_seed))
            for start, window_seed in zip(starts, seeds, strict=True)
        ]


def describe(objective: Objective) -> dict[str, Any]:
    """As JSON, for a manifest: the settings that are shown."""
    fields = dataclasses.fields(objective)  # type: ignore[arg-type]
    return {"name": objective.name} | {f.name: getattr(objective, f.name) for f in fields if f.repr}


def ended(tokens: np.ndarray) -> np.ndarray:
    """Tokens and the end of the sequence, int32."""
    return np.append(tokens, EOS_ID).astype(np.int32)
