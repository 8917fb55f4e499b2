"""From evaluations of single checkpoints to numbers of arms."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pruning.experiments.resampling import (
    RESAMPLES,
    Estimate,
    Sampled,
    difference,
    estimate,
    mean_of,
    of_seeds,
    sample_means,
)
from pruning.experiments.results import (
    MEASURES,
    ArmResult,
    Curve,
    Evaluation,
    HeldOut,
    Plan,
    Results,
)
from pruning.experiments.statistics import normalised_accuracy, over_scaling, steps_to_reach

# A field of more values, such as an address, is no way to tell losses apart.
MOST_GROUPS = 50


def results_of(evaluations: Iterable[Evaluation], plan: Plan) -> Results:
    """Sums up an experiment, finished or not.

    Args:
      evaluations: in any order, one per arm, seed and step.
      plan: what was to be run; an arm without a finished run has a row without numbers.
    """
    by_arm: dict[str, list[Evaluation]] = {arm: [] for arm in plan.rates}
    for evaluation in sorted(evaluations, key=lambda e: (e.seed, e.step)):
        if evaluation.arm in by_arm:
            by_arm[evaluation.arm].append(evaluation)
    final = {arm: [e for e in found if e.step == plan.num_steps] for arm, found in by_arm.items()}
    sampled = {arm: _sampled(found, plan) for arm, found in final.items()}
    curves = {
        measure: {
            arm: curve
            for arm, found in by_arm.items()
            if (curve := _curve(found, measure, plan)) is not None
        }
        for measure in MEASURES
    }
    rows = [_row(arm, final, sampled, curves, plan) for arm in plan.rates]
    return Results(plan=plan, arms=tuple(rows), curves=curves)


def _sampled(found: Sequence[Evaluation], plan: Plan) -> dict[str, Sampled]:
    """The two measures of an arm's final checkpoints, and each task's normalised accuracy."""
    tasks = _tasks(found, plan)
    sampled = {f"task {name}": value for name, value in tasks.items()}
    categories = _categories(tasks, plan)
    sampled |= {f"category {name}": value for name, value in categories.items()}
    if categories and set(tasks) == set(plan.tasks):
        sampled["accuracy"] = mean_of([*categories.values()])
    for name in dict.fromkeys(name for e in found for name in e.finetuned):
        if all(name in e.finetuned for e in found):
            sampled[f"finetuned {name}"] = of_seeds([e.finetuned[name] for e in found])
    losses = [e.held_out for e in found if e.held_out is not None]
    if losses and len(losses) == len(found):
        sampled["loss"] = _loss(losses, np.ones(len(losses[0].nll_I), bool), "held out")
        for field, values_I in losses[0].fields.items():
            values = sorted({str(v) for v in values_I})
            for value in values if 1 < len(values) <= MOST_GROUPS else []:
                key = f"{field}={value}"
                sampled[f"group {key}"] = _loss(losses, values_I == value, key)
    return sampled


def _tasks(
    found: Sequence[Evaluation], plan: Plan, resamples: int = RESAMPLES
) -> dict[str, Sampled]:
    tasks = {}
    for name, task in plan.tasks.items():
        credits = [e.credits[name] for e in found if name in e.credits]
        if credits and len(credits) == len(found) and task.chance < 1:
            means = sample_means(np.stack(credits), name, possible=(0.0, 1.0), resamples=resamples)
            slope = 1 / (1 - task.chance)
            tasks[name] = means.scaled(slope, normalised_accuracy(0.0, task.chance))
    return tasks


def _categories(tasks: Mapping[str, Sampled], plan: Plan) -> dict[str, Sampled]:
    names = dict.fromkeys(plan.tasks[task].category for task in tasks)
    return {
        name: mean_of([tasks[task] for task in tasks if plan.tasks[task].category == name])
        for name in names
    }


def _loss(losses: Sequence[HeldOut], take_I: np.ndarray, name: str) -> Sampled:
    values_SI = np.stack([loss.nll_I[take_I] for loss in losses])
    return sample_means(values_SI, name, weights_I=losses[0].tokens_I[take_I])


def _curve(found: Sequence[Evaluation], measure: str, plan: Plan) -> Curve | None:
    """Over the steps at which every seed was evaluated that is finished, or every one if none is."""
    value = _loss_of if measure == "loss" else _accuracy_of
    points = {(e.seed, e.step): number for e in found if (number := value(e, plan)) is not None}
    finished = {seed for seed, step in points if step == plan.num_steps}
    seeds = sorted(finished or {seed for seed, _ in points})
    steps = sorted({step for _, step in points if all((s, step) in points for s in seeds)})
    if not steps:
        return None
    by_seed = {seed: tuple(points[seed, step] for step in steps) for seed in seeds}
    mean = np.mean([*by_seed.values()], axis=0)
    return Curve(steps=tuple(steps), mean=tuple(float(x) for x in mean), by_seed=by_seed)


def _loss_of(evaluation: Evaluation, plan: Plan) -> float | None:
    del plan
    held_out = evaluation.held_out
    if held_out is None:
        return None
    return float(np.average(held_out.nll_I, weights=held_out.tokens_I))


def _accuracy_of(evaluation: Evaluation, plan: Plan) -> float | None:
    if not plan.tasks or not set(plan.tasks) <= set(evaluation.credits):
        return None
    tasks = _tasks([evaluation], plan, resamples=1)
    return float(mean_of([*_categories(tasks, plan).values()]).point_S[0]) if tasks else None


def _row(
    arm: str,
    final: Mapping[str, Sequence[Evaluation]],
    sampled: Mapping[str, Mapping[str, Sampled]],
    curves: Mapping[str, Mapping[str, Curve]],
    plan: Plan,
) -> ArmResult:
    own = sampled[arm]
    control = plan.control_of(arm)
    shares, num_tasks = _over_scaling(arm, sampled, plan)

    def against(other: str | None) -> dict[str, Estimate]:
        theirs = sampled.get(other or "", {})
        both = [m for m in MEASURES if m in own and m in theirs and other != arm]
        return {measure: difference(own[measure], theirs[measure]) for measure in both}

    def named(prefix: str) -> dict[str, Estimate]:
        return {
            name.removeprefix(prefix): estimate(value)
            for name, value in own.items()
            if name.startswith(prefix)
        }

    return ArmResult(
        arm=arm,
        rate=plan.rates[arm],
        seeds=tuple(e.seed for e in final[arm]),
        numbers={measure: estimate(own[measure]) for measure in MEASURES if measure in own},
        tasks=named("task "),
        categories=named("category "),
        groups=named("group "),
        finetuned=named("finetuned "),
        control=control,
        against_control=against(control),
        against_full=against(plan.full),
        steps_to_full=_steps_to_full(arm, sampled, curves, plan),
        over_scaling=shares,
        over_scaling_tasks=num_tasks,
    )


def _steps_to_full(
    arm: str,
    sampled: Mapping[str, Mapping[str, Sampled]],
    curves: Mapping[str, Mapping[str, Curve]],
    plan: Plan,
) -> dict[str, int | None]:
    full = sampled.get(plan.full or "", {})
    return {
        measure: steps_to_reach(
            curves[measure][arm].steps,
            curves[measure][arm].mean,
            float(full[measure].point_S.mean()),
            higher_is_better=measure == "accuracy",
        )
        for measure in MEASURES
        if measure in full and arm in curves[measure] and arm != plan.larger
    }


def _over_scaling(
    arm: str, sampled: Mapping[str, Mapping[str, Sampled]], plan: Plan
) -> tuple[tuple[float, ...], int]:
    """By seed of the arm, against the means over seeds of the full arm and of the larger model."""
    if plan.larger is None or plan.full is None or arm == plan.larger:
        return (), 0

    def metrics(of: str, seed: int | None = None) -> dict[str, float]:
        return {
            name: float(value.point_S.mean() if seed is None else value.point_S[seed])
            for name, value in sampled[of].items()
            if name.startswith(("task ", "finetuned "))
        }

    full, larger = metrics(plan.full), metrics(plan.larger)
    num_seeds = max((len(v.point_S) for v in sampled[arm].values()), default=0)
    found = [over_scaling(metrics(arm, seed), full, larger) for seed in range(num_seeds)]
    return tuple(share for share, _ in found), max((n for _, n in found), default=0)
