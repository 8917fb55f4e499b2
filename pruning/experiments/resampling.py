"""Intervals for means over items and seeds: a bootstrap of both.

An arm's number is a mean over seeds of a mean over items. What another experiment would give
differs in both, so both are drawn again: items with replacement, the same draw for all seeds and
all arms (they answered the same questions), and seeds with replacement.

A bootstrap of few seeds is too narrow by sqrt((S - 1) / S), a fifth for three; deviations of the
drawn seeds are widened by its inverse.
"""

import dataclasses
import zlib
from collections.abc import Sequence

import numpy as np

RESAMPLES = 1_000
_LEVEL = 0.95
_ITEM_COUNTS = 4_000_000  # numbers in memory at a time


@dataclasses.dataclass(frozen=True)
class Sampled:
    """Means of an arm by seed.

    Attributes:
      point_S: as measured.
      resampled_RS: of every draw of items.
    """

    point_S: np.ndarray
    resampled_RS: np.ndarray

    def scaled(self, factor: float, offset: float = 0.0) -> "Sampled":
        """factor * x + offset, such as a normalised accuracy."""
        return Sampled(factor * self.point_S + offset, factor * self.resampled_RS + offset)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with what is known of its uncertainty.

    Attributes:
      value: mean over seeds.
      low, high: 95 % bootstrap interval over items and seeds.
      by_seed: what each seed gave, in order of the seeds; empty for a difference.
    """

    value: float
    low: float
    high: float
    by_seed: tuple[float, ...] = ()

    @property
    def spread(self) -> float:
        """Standard deviation of the seeds (n - 1); NaN for one."""
        return float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else float("nan")

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def sample_means(
    values_SI: np.ndarray,
    name: str,
    *,
    weights_I: np.ndarray | None = None,
    resamples: int = RESAMPLES,
) -> Sampled:
    """Weighted means over items, as measured and with the items drawn again.

    Args:
      values_SI: of each seed and item.
      name: of the items; equal names draw the same ones, so that arms can be compared.
      weights_I: such as tokens of each document; all equal by default.
      resamples: R.
    """
    num_items = values_SI.shape[1]
    weights_I = np.ones(num_items) if weights_I is None else weights_I.astype(np.float64)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    resampled = []
    at_once = max(1, _ITEM_COUNTS // num_items)
    for first in range(0, resamples, at_once):
        draws = min(at_once, resamples - first)
        counts_RI = rng.multinomial(num_items, np.full(num_items, 1 / num_items), draws)
        drawn_RI = counts_RI * weights_I
        resampled.append(drawn_RI @ values_SI.T / drawn_RI.sum(axis=1, keepdims=True))
    return Sampled(values_SI @ weights_I / weights_I.sum(), np.concatenate(resampled))


def of_seeds(values_S: Sequence[float]) -> Sampled:
    """Numbers of seeds whose items are not known, such as what another program measured."""
    point_S = np.asarray(values_S, np.float64)
    return Sampled(point_S, np.tile(point_S, (RESAMPLES, 1)))


def mean_of(several: Sequence[Sampled]) -> Sampled:
    """The mean of several measures of the same seeds, such as the tasks of a category."""
    return Sampled(
        np.mean([s.point_S for s in several], axis=0),
        np.mean([s.resampled_RS for s in several], axis=0),
    )


def estimate(sampled: Sampled) -> Estimate:
    """The mean over seeds with its interval."""
    low, high = _interval(_with_seeds_drawn(sampled, "arm"))
    return Estimate(
        float(sampled.point_S.mean()), low, high, tuple(float(x) for x in sampled.point_S)
    )


def difference(left: Sampled, right: Sampled) -> Estimate:
    """left - right with its interval: items drawn together, seeds apart."""
    low, high = _interval(_with_seeds_drawn(left, "arm") - _with_seeds_drawn(right, "other"))
    return Estimate(float(left.point_S.mean() - right.point_S.mean()), low, high)


def _with_seeds_drawn(sampled: Sampled, name: str) -> np.ndarray:
    values_RS = sampled.resampled_RS
    num_resamples, num_seeds = values_RS.shape
    mean_R = values_RS.mean(axis=1)
    if num_seeds == 1:
        return mean_R
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    drawn_RS = rng.integers(num_seeds, size=(num_resamples, num_seeds))
    drawn_R = np.take_along_axis(values_RS, drawn_RS, axis=1).mean(axis=1)
    return mean_R + (drawn_R - mean_R) * np.sqrt(num_seeds / (num_seeds - 1))


def _interval(values_R: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values_R, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)
