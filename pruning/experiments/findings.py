"""What the numbers of an experiment say, in sentences; and what they do not."""

from collections.abc import Mapping

from pruning.experiments.resampling import Estimate
from pruning.experiments.results import ArmResult, Results


def findings(results: Results) -> list[str]:
    """Sentences for a reader, the warnings among them.

    Args:
      results: of the experiment.

    Returns:
      One per arm that can be held against a random one of its rate; one for each arm whose loss
      and accuracy disagree; and what is missing.
    """
    rows = {row.arm: row for row in results.arms}
    said = [f"{row.arm} has no finished run." for row in results.arms if not row.seeds]
    for row in results.arms:
        if row.control is not None and row.against_control:
            said.append(_against_random(row, rows[row.control]))
            said += _disagreement(row.arm, row.control, row.against_control)
    full = results.plan.full
    for row in results.arms:
        if full is not None and row.arm != results.plan.larger:
            said += _disagreement(row.arm, full, row.against_full)
    return said


def separates(row: ArmResult, control: ArmResult, measure: str) -> bool | None:
    """Whether an arm differs from its random control by more than chance; None if unknowable.

    It does where the 95 % interval of the difference, over items and seeds, excludes 0. One seed
    says nothing about seeds.
    """
    if measure not in row.against_control or min(len(row.seeds), len(control.seeds)) < 2:
        return None
    return row.against_control[measure].excludes_zero


def _against_random(row: ArmResult, control: ArmResult) -> str:
    seeds = min(len(row.seeds), len(control.seeds))
    if seeds < 2:
        return (
            f"{row.arm} cannot be told from {control.arm}: with {seeds} seed, nobody knows how far two "
            "runs of one arm differ."
        )
    parts = []
    for measure, found in row.against_control.items():
        better = (found.value > 0) == (measure == "accuracy")
        if separates(row, control, measure):
            parts.append(f"{'better' if better else 'worse'} in {_words(measure, found)}")
        else:
            parts.append(f"no different in {_words(measure, found)}")
    return f"{row.arm} against {control.arm}: {'; '.join(parts)}."


def _words(measure: str, found: Estimate) -> str:
    name = {"loss": "held-out loss", "accuracy": "downstream accuracy"}[measure]
    factor, digits, unit = (1, 3, " nats") if measure == "loss" else (100, 1, " points")
    value, low, high = (f"{factor * x:+.{digits}f}" for x in (found.value, found.low, found.high))
    return f"{name} ({value}{unit}, {low} to {high})"


def _disagreement(arm: str, other: str, against: Mapping[str, Estimate]) -> list[str]:
    """A warning where the two differences from the control point in opposite directions."""
    if set(against) < {"loss", "accuracy"}:
        return []
    loss, accuracy = against["loss"].value, against["accuracy"].value
    if loss * accuracy <= 0:  # lower loss and higher accuracy agree
        return []
    certain = all(against[measure].excludes_zero for measure in ("loss", "accuracy"))
    by_loss, by_accuracy = ("worse", "better") if loss > 0 else ("better", "worse")
    doubt = "" if certain else ", though not both by more than chance"
    return [
        f"Held-out loss and downstream accuracy disagree: {arm} is {by_loss} than {other} by loss and "
        f"{by_accuracy} by accuracy{doubt}. Choose by what the model is for."
    ]
