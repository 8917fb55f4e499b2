"""The tables of an experiment, as cells and as Markdown."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from pruning.experiments.findings import separates
from pruning.experiments.resampling import Estimate
from pruning.experiments.results import ArmCost, ArmResult, Results

_NONE = "–"


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells as text, the head first."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        numbers = len(self.head) - 1
        lines = [self.head, ("---", *["---:"] * numbers), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tables(results: Results) -> list[Table]:
    """The main table, then accuracies by category and task, losses by group, fine-tuned scores, costs.

    Numbers are `mean ± spread of the seeds [95 % interval]`.
    """
    rows = {row.arm: row for row in results.arms}
    found = [_main(results, rows)]
    for title, part, factor, digits in (
        ("Normalised accuracy by category, points", "categories", 100, 1),
        ("Normalised accuracy by task, points", "tasks", 100, 1),
        ("Held-out loss by domain, nats per predicted token", "groups", 1, 3),
        ("After fine-tuning, scores of t5x", "finetuned", 1, 3),
    ):
        names = list(dict.fromkeys(n for row in results.arms for n in getattr(row, part)))
        if names:
            found.append(_detail(title, results.arms, names, part, factor, digits))
    if results.plan.costs:
        found.append(_costs(results.plan.costs))
    return found


def _main(results: Results, rows: Mapping[str, ArmResult]) -> Table:
    head = ["arm", "data", "seeds", "held-out loss", "loss − random", "accuracy"]
    head += ["accuracy − random", "apart", "steps to full by loss", "by accuracy"]
    if results.plan.larger:
        head.append("over-scaling, %")
    lines = []
    for row in results.arms:
        loss, accuracy = row.numbers.get("loss"), row.numbers.get("accuracy")
        line = [
            row.arm,
            f"{100 * row.rate:.3g} %",
            str(len(row.seeds)),
            cell(loss, 1, 3),
            _difference(row.against_control.get("loss"), 1, 3),
            cell(accuracy, 100, 1),
            _difference(row.against_control.get("accuracy"), 100, 1),
            _apart(row, rows),
            *(_steps(row, measure) for measure in ("loss", "accuracy")),
        ]
        lines.append((*line, _shares(row)) if results.plan.larger else tuple(line))
    return Table("Arms", tuple(head), tuple(lines))


def _detail(
    title: str,
    arms: Sequence[ArmResult],
    names: Sequence[str],
    part: str,
    factor: float,
    digits: int,
) -> Table:
    rows = [(a.arm, *(cell(getattr(a, part).get(n), factor, digits) for n in names)) for a in arms]
    return Table(title, ("arm", *names), tuple(rows))


def _costs(costs: Mapping[str, ArmCost]) -> Table:
    head = ("arm", "documents", "tokens, about", "epochs", "FLOP of a run", "of its reference")
    rows = tuple(
        (
            arm,
            f"{cost.documents:,}",
            _NONE if cost.tokens is None else f"{cost.tokens:,}",
            _NONE if cost.epochs is None else f"{cost.epochs:.2g}",
            f"{cost.flops:.2g}",
            f"{cost.reference_flops:.2g}" if cost.reference_flops else _NONE,
        )
        for arm, cost in costs.items()
    )
    return Table("What an arm reads and costs", head, rows)


def cell(found: Estimate | None, factor: float, digits: int) -> str:
    """`mean ± spread [low, high]`, without an interval that has no width."""
    if found is None or math.isnan(found.value):
        return _NONE
    value, low, high, spread = (
        f"{factor * x:.{digits}f}" for x in (found.value, found.low, found.high, found.spread)
    )
    about = "" if math.isnan(found.spread) else f" ± {spread}"
    between = "" if low == high else f" [{low}, {high}]"
    return f"{value}{about}{between}".replace("-", "−")


def _difference(found: Estimate | None, factor: float, digits: int) -> str:
    if found is None:
        return _NONE
    value, low, high = (f"{factor * x:+.{digits}f}" for x in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]".replace("-", "−")


def _apart(row: ArmResult, rows: Mapping[str, ArmResult]) -> str:
    if row.control is None or not row.against_control:
        return _NONE
    apart = {m: separates(row, rows[row.control], m) for m in row.against_control}
    if None in apart.values():
        return "one seed"
    return ", ".join(m for m, is_apart in apart.items() if is_apart) or "no"


def _steps(row: ArmResult, measure: str) -> str:
    if measure not in row.steps_to_full:
        return _NONE
    steps = row.steps_to_full[measure]
    return "never" if steps is None else f"{steps:,}"


def _shares(row: ArmResult) -> str:
    finite = [share for share in row.over_scaling if math.isfinite(share)]
    if not finite:
        return _NONE
    ends = f" ({min(finite):.0f} to {max(finite):.0f})" if len(finite) > 1 else ""
    return f"{sum(finite) / len(finite):.0f}{ends}".replace("-", "−")
