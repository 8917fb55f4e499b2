"""What the papers compute of accuracies and losses: pure functions of a few numbers."""

from collections.abc import Mapping, Sequence

import numpy as np

NAN = float("nan")


def credit(nll_O: np.ndarray, answer: int) -> float:
    """Rank classification of one question: 1 where the answer has the lowest nll, else 0.

    Where t options share the lowest, the answer among them has 1/t: what guessing between them
    would give.

    Args:
      nll_O: mean nats per token of each option given the context.
      answer: index of the right one.
    """
    lowest_O = nll_O == nll_O.min()
    return float(lowest_O[answer] / lowest_O.sum()) if not np.isnan(nll_O).any() else NAN


def normalised_accuracy(accuracy: float, chance: float) -> float:
    """(a - chance) / (1 - chance): 0 for guessing, 1 for all right ("Perplexed by Perplexity").

    NaN where a task has one option, at which nothing can be learnt.
    """
    return (accuracy - chance) / (1 - chance) if chance < 1 else NAN


def steps_to_reach(
    steps: Sequence[int],
    scores: Sequence[float | None],
    target: float,
    *,
    higher_is_better: bool,
) -> int | None:
    """The first evaluated step at which a score is at least as good as the target.

    "Perplexed by Perplexity" speaks of steps to reach the baseline's final score and
    not of noise; we take the first, equal counts, and evaluations that are missing (None or NaN)
    are passed over.

    Args:
      steps: of the evaluations, in any order.
      scores: at these steps.
      target: the baseline's final score.
      higher_is_better: True for accuracies, False for losses.

    Returns:
      None where it is never reached.
    """
    for step, score in sorted(zip(steps, scores, strict=True), key=lambda pair: pair[0]):
        if score is None or np.isnan(score):
            continue
        if score >= target if higher_is_better else score <= target:
            return step
    return None


def over_scaling(
    arm: Mapping[str, float], full: Mapping[str, float], larger: Mapping[str, float]
) -> tuple[float, int]:
    """How far an arm goes towards the next larger model trained on all data, in percent.

    100 * mean over metrics of (arm - full) / (larger - full): 0 is as good as full data, 100 as
    good as the larger model ("How to Train Data-Efficient LLMs" section 4.3). Of a loss both
    differences change sign, so it needs no care.

    Args:
      arm, full, larger: value by metric.

    Returns:
      The mean, NaN of no metric; and how many metrics it is over. Left out are those that one of
      the three lacks, and those at which the larger model equals the smaller.
    """
    shares = [
        (arm[name] - full[name]) / (larger[name] - full[name])
        for name in full
        if name in arm and name in larger and larger[name] != full[name]
    ]
    finite = [share for share in shares if np.isfinite(share)]
    return (100 * float(np.mean(finite)) if finite else NAN), len(finite)
