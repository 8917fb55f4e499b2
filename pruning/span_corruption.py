"""T5's denoising as an objective: spans of a document are hidden and predicted."""

import dataclasses
import functools
from typing import ClassVar

import numpy as np

from pruning.hashing import splitmix64
from pruning.objectives import Example, Windowed, ended


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpanCorruption(Windowed):
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
        return ended(kept)


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
