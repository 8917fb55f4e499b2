"""What a model must predict of a document: tokens -> (inputs, targets).

Each objective says how many tokens of a document one window holds, and how long
its inputs and targets then are at most. Inputs and targets end with the
end-of-sequence token, as in T5's own tasks. `window` is the longest input.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from pruning.hashing import splitmix64
from pruning.tokenization import EOS_ID, Vocabulary


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
class _Windowed(WholeDocuments):
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpanCorruption(_Windowed):
    """T5's denoising (Raffel et al. 2020, section 3.1.4): 15 % noise in spans of mean length 3.

    Each noise span is one sentinel in the inputs; the targets are the sentinels,
    each followed by what it stands for. Lengths follow T5's arithmetic: inputs of
    512 hold 568 tokens and give 114 targets. "How to Train Data-Efficient LLMs"
    does not say how a T5's perplexity is computed; this is what we choose.
    """

    name: ClassVar[str] = "span_corruption"
    vocab_size: int
    num_sentinels: int
    noise_density: float = 0.15
    mean_span_length: float = 3.0

    def __post_init__(self):
        spans = self._noise(self.window_tokens)[1]
        if spans > self.num_sentinels:
            raise ValueError(
                f"A window of {self.window} needs {spans} sentinels, but the vocabulary has "
                f"{self.num_sentinels}. Use a smaller --window."
            )

    @functools.cached_property
    def window_tokens(self) -> int:
        tokens = self.window
        while self._lengths(tokens + 1)[0] <= self.window:
            tokens += 1
        while tokens > 1 and self._lengths(tokens)[0] > self.window:
            tokens -= 1
        return tokens

    @property
    def lengths(self) -> tuple[int, int]:
        return self._lengths(self.window_tokens)

    def example(self, tokens: np.ndarray, seed: int) -> Example:
        is_noise = self._noise_mask(len(tokens), seed)
        return Example(
            self._with_sentinels(tokens, is_noise),
            self._with_sentinels(tokens, ~is_noise),
            len(tokens),
            int(is_noise.sum()),
        )

    def _noise(self, n_tokens: int) -> tuple[int, int]:
        """Noise tokens and noise spans among n_tokens, at least one of each."""
        n_tokens = max(n_tokens, 2)
        noise = min(max(round(n_tokens * self.noise_density), 1), n_tokens - 1)
        spans = min(max(round(noise / self.mean_span_length), 1), n_tokens - noise)
        return noise, spans

    def _lengths(self, n_tokens: int) -> tuple[int, int]:
        noise, spans = self._noise(n_tokens)
        return n_tokens - noise + spans + 1, noise + spans + 1

    def _noise_mask(self, n_tokens: int, seed: int) -> np.ndarray:
        noise, spans = self._noise(n_tokens)
        quiet_lengths = _random_parts(max(n_tokens, 2) - noise, spans, seed)
        noise_lengths = _random_parts(noise, spans, seed + 1)
        lengths = np.stack([quiet_lengths, noise_lengths], axis=1).ravel()
        # A document begins with a span that stays; spans then alternate.
        return np.repeat(np.arange(2 * spans) % 2 == 1, lengths)[:n_tokens]

    def _with_sentinels(self, tokens: np.ndarray, hide: np.ndarray) -> np.ndarray:
        """Replaces every run of hidden tokens by one sentinel, and ends the sequence."""
        starts = hide.copy()
        starts[1:] &= ~hide[:-1]
        sentinels = self.vocab_size - np.cumsum(starts)
        kept = np.where(starts, sentinels, tokens)[starts | ~hide]
        return np.append(kept, EOS_ID).astype(np.int32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrefixLM(_Windowed):
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
        return Example(_ended(tokens[:middle]), _ended(tokens[middle:]), n, n - middle)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CausalLM(_Windowed):
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
        inputs = _ended(tokens[:0]) if self.has_encoder else np.zeros(0, np.int32)
        return Example(inputs, _ended(tokens), len(tokens), len(tokens))


# Those that learn from a text alone, and so give it a perplexity.
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


def describe(objective: Objective) -> dict[str, Any]:
    """As JSON, for a manifest: the settings that are shown."""
    fields = dataclasses.fields(objective)  # type: ignore[arg-type]
    return {"name": objective.name} | {f.name: getattr(objective, f.name) for f in fields if f.repr}


def _ended(tokens: np.ndarray) -> np.ndarray:
    return np.append(tokens, EOS_ID).astype(np.int32)


def _random_parts(total: int, parts: int, seed: int) -> np.ndarray:
    """Cuts `total` into `parts` positive lengths, every way equally likely.

    Drawn with splitmix64 and not with a random generator: the stream of numpy's
    may change between versions, and these masks stand behind scores on disk.
    """
    positions = splitmix64(
        splitmix64(np.uint64(seed & 0xFFFFFFFFFFFFFFFF)) + np.arange(total - 1, dtype=np.uint64)
    )
    cuts = np.zeros(0, np.int64)
    if parts > 1:
        cuts = np.sort(np.argpartition(positions, parts - 2)[: parts - 1]) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))
