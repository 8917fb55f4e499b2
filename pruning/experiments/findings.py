"""What the numbers of an experiment say, in sentences; and what they do not."""

from collections.abc import Mapping

from pruning.experiments.resampling import Estimate
from pruning.experiments.results import ArmResult, Results
from pruning.wording import plural

_DISAGREE = "Held-out loss and downstream accuracy disagree"


def findings(results: Results) -> list[str]:
    """Sentences for a reader, the warnings among them.

    Args:
      results: of the experiment.

    Returns:
      What is missing or does not count; one per arm that can be held against a random one of its
      rate; and where loss and accuracy disagree.
    """
    rows = {row.arm: row for row in results.arms}
    said = [f"{row.arm} has no finished run." for row in results.arms if not row.seeds]
    if results.plan.copies:
        said.append(
            f"{plural(results.plan.copies, 'held-out document')} stood in the pool as well, word for "
            "word, and did not count."
        )
    said += [_without_control(row) for row in results.arms if _lacks_control(row, results)]
    for row in results.arms:
        if row.control is not None and row.against_control:
            said.append(_against_random(row, rows[row.control]))
    return said + _disagreements(results, rows)


def separates(row: ArmResult, control: ArmResult, measure: str) -> bool | None:
    """Whether an arm differs from its random control by more than chance; None if unknowable.

    It does where the 95 % interval of the difference, over items and seeds, excludes 0. One seed
    says nothing about seeds.
    """
    if measure not in row.against_control or min(len(row.seeds), len(control.seeds)) < 2:
        return None
    return row.against_control[measure].excludes_zero


def _lacks_control(row: ArmResult, results: Results) -> bool:
    return bool(results.plan.random) and row.control is None and results.plan.has_control(row.arm)


def _without_control(row: ArmResult) -> str:
    return (
        f"{row.arm} trains on {100 * row.rate:.1f} % of the pool and no random arm on as much, so nothing "
        "says whether it is better than chance. A rate counts documents that have the score: leave "
        "out those without for all arms (--where), or take a random selection of that size as an arm."
    )


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
            parts.append(f"not separated in {_words(measure, found)}")
    return f"{row.arm} against {control.arm}: {'; '.join(parts)}."


def _words(measure: str, found: Estimate) -> str:
    name = {"loss": "held-out loss", "accuracy": "downstream accuracy"}[measure]
    factor, digits, unit = (1, 3, " nats") if measure == "loss" else (100, 1, " points")
    value, low, high = (f"{factor * x:+.{digits}f}" for x in (found.value, found.low, found.high))
    return f"{name} ({value}{unit}, {low} to {high})"


def _disagreements(results: Results, rows: Mapping[str, ArmResult]) -> list[str]:
    """Warnings where an arm's two differences from another point in opposite directions.

    A sentence for each at which both are more than chance, one for those at which they are not,
    and one for those of one seed, where nobody knows.
    """
    certain: list[str] = []
    doubtful: list[str] = []
    unknown: list[str] = []
    for row in results.arms:
        if row.arm == results.plan.larger:
            continue
        for other, against in (
            (row.control, row.against_control),
            (results.plan.full, row.against_full),
        ):
            if other is None or set(against) < {"loss", "accuracy"}:
                continue
            loss, accuracy = against["loss"], against["accuracy"]
            if loss.value * accuracy.value <= 0:  # lower loss and higher accuracy agree
                continue
            by_loss, by_accuracy = ("worse", "better") if loss.value > 0 else ("better", "worse")
            words = f"{row.arm} is {by_loss} than {other} by loss and {by_accuracy} by accuracy"
            if min(len(row.seeds), len(rows[other].seeds)) < 2:
                unknown.append(words)
            elif loss.excludes_zero and accuracy.excludes_zero:
                certain.append(words)
            else:
                doubtful.append(words)
    said = [f"{_DISAGREE}: {words}. Choose by what the model is for." for words in certain]
    if doubtful:
        said.append(f"{_DISAGREE}, though not both by more than chance: {'; '.join(doubtful)}.")
    if unknown:
        said.append(
            f"{_DISAGREE}, and of one seed nobody knows whether by more than chance: "
            f"{'; '.join(unknown)}."
        )
    return said
