"""Intervals for means over items and seeds: a bootstrap of items, and Student's t of seeds.

An arm's number is a mean over seeds of a mean over items. What another experiment would give
differs in both. Items are drawn again with replacement, the same draw for all seeds and all arms
(they answered the same questions). Seeds are too few for that: of three, a bootstrap is right 82
times of 100 where it says 95. Their deviation is drawn from Student's t instead, for a difference
with Welch's degrees of freedom. An interval ends where no result can be, such as more than all
questions right.
"""

import dataclasses
import zlib
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

RESAMPLES = 1_000
_LEVEL = 0.95
_ROUNDING = 1e-9  # of equal means, added up in another order
_ITEM_COUNTS = 4_000_000  # numbers in memory at a time


@dataclasses.dataclass(frozen=True)
class Sampled:
    """Means of an arm by seed.

    Attributes:
      point_S: as measured.
      resampled_RS: of every draw of items.
      possible: the lowest and highest value that there can be.
    """

    point_S: np.ndarray
    resampled_RS: np.ndarray
    possible: tuple[float, float] = (-np.inf, np.inf)

    def scaled(self, factor: float, offset: float = 0.0) -> "Sampled":
        """factor * x + offset, such as a normalised accuracy; the factor is above 0."""
        low, high = (factor * end + offset for end in self.possible)
        return Sampled(
            factor * self.point_S + offset, factor * self.resampled_RS + offset, (low, high)
        )


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with what is known of its uncertainty.

    Attributes:
      value: mean over seeds.
      low, high: 95 % interval over items and seeds.
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
        return self.low > _ROUNDING or self.high < -_ROUNDING


def sample_means(
    values_SI: np.ndarray,
    name: str,
    *,
    weights_I: np.ndarray | None = None,
    possible: tuple[float, float] = (-np.inf, np.inf),
    resamples: int = RESAMPLES,
) -> Sampled:
    """Weighted means over items, as measured and with the items drawn again.

    Args:
      values_SI: of each seed and item.
      name: of the items; equal names draw the same ones, so that arms can be compared.
      weights_I: such as tokens of each document; all equal by default.
      possible: lowest and highest value of an item.
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
    point_S = values_SI @ weights_I / weights_I.sum()
    return Sampled(point_S, np.concatenate(resampled), possible)


def of_seeds(values_S: Sequence[float]) -> Sampled:
    """Numbers of seeds whose items are not known, such as what another program measured."""
    point_S = np.asarray(values_S, np.float64)
    return Sampled(point_S, np.tile(point_S, (RESAMPLES, 1)))


def mean_of(several: Sequence[Sampled]) -> Sampled:
    """The mean of several measures of the same seeds, such as the tasks of a category."""
    return Sampled(
        np.mean([s.point_S for s in several], axis=0),
        np.mean([s.resampled_RS for s in several], axis=0),
        tuple(np.mean([s.possible for s in several], axis=0)),
    )


def estimate(sampled: Sampled) -> Estimate:
    """The mean over seeds with its interval."""
    mean_R = sampled.resampled_RS.mean(axis=1)
    interval = _interval(mean_R + _noise_of_seeds([sampled]))
    low, high = np.clip(interval, *sampled.possible).tolist()
    return Estimate(
        float(sampled.point_S.mean()), low, high, tuple(float(x) for x in sampled.point_S)
    )


def difference(left: Sampled, right: Sampled) -> Estimate:
    """left - right with its interval: items drawn together, seeds apart."""
    mean_R = left.resampled_RS.mean(axis=1) - right.resampled_RS.mean(axis=1)
    low, high = _interval(mean_R + _noise_of_seeds([left, right]))
    return Estimate(float(left.point_S.mean() - right.point_S.mean()), low, high)


def _noise_of_seeds(arms: Sequence[Sampled]) -> np.ndarray:
    """How far a sum or difference of means over seeds may be off by its seeds, [R], shuffled.

    Of an arm with one seed nobody knows; it adds nothing.
    """
    resamples = len(arms[0].resampled_RS)
    known = [arm.point_S for arm in arms if len(arm.point_S) > 1]
    variances = np.array([np.var(point_S, ddof=1) / len(point_S) for point_S in known])
    if not variances.any():
        return np.zeros(resamples)
    freedom_of_each = np.array([len(point_S) - 1 for point_S in known])
    freedom = variances.sum() ** 2 / (variances**2 / freedom_of_each).sum()
    share_R = (np.arange(resamples) + 0.5) / resamples
    noise_R = stdtrit(freedom, share_R) * np.sqrt(variances.sum())
    return np.random.default_rng(0).permutation(noise_R)


def _interval(values_R: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values_R, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)
