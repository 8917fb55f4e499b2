"""What an experiment gives: evaluations of checkpoints, and what is made of them."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from pruning.experiments.resampling import Estimate

MEASURES = ("loss", "accuracy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Losses of a checkpoint on the held-out documents.

    Attributes:
      nll_I: nats per predicted token of each document.
      tokens_I: predicted of each, by which a corpus' loss weighs them.
      fields: values by carried field, each [I].
    """

    nll_I: np.ndarray
    tokens_I: np.ndarray
    fields: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """Questions that count as one task.

    Attributes:
      category: tasks are averaged within it, and categories over all.
      chance: accuracy of guessing.
    """

    category: str
    chance: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What one checkpoint of one run can do.

    Attributes:
      arm, seed, step: of the checkpoint.
      held_out: losses; None where they are missing.
      credits: of each question, in [0, 1], by task.
      finetuned: scores after fine-tuning, by task and metric.
    """

    arm: str
    seed: int
    step: int
    held_out: HeldOut | None = None
    credits: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    finetuned: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArmCost:
    """What an arm reads and costs.

    Attributes:
      documents: that it may read.
      tokens: of these, about; None where the selection does not count bytes.
      epochs: times that a run reads them, about.
      flops: of one run, without its evaluation.
      reference_flops: once, to train and to score with the references that it ranks by.
    """

    documents: int
    tokens: int | None
    epochs: float | None
    flops: float
    reference_flops: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What was to be run.

    Attributes:
      rates: part of the pool that each arm trains on, by arm, in the order of the table.
      num_steps: of every run; only evaluations at this step are compared.
      tasks: by name.
      full: the arm of all data.
      random: arms that are random parts, against which those of the same rate are held.
      larger: the arm of the next larger model.
      costs: by arm, where they are known.
      copies: held-out documents that do not count, since the pool has their texts too.
    """

    rates: Mapping[str, float]
    num_steps: int
    tasks: Mapping[str, Task] = dataclasses.field(default_factory=dict)
    full: str | None = None
    random: Sequence[str] = ()
    larger: str | None = None
    costs: Mapping[str, ArmCost] = dataclasses.field(default_factory=dict)
    copies: int = 0

    def control_of(self, arm: str) -> str | None:
        """The random arm of the same rate."""
        if not self.has_control(arm):
            return None
        near = [r for r in self.random if abs(self.rates[r] - self.rates[arm]) < 0.01]
        return near[0] if near else None

    def has_control(self, arm: str) -> bool:
        """Whether it should have one."""
        return arm not in (*self.random, self.full, self.larger)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArmResult:
    """One row of the table. What is missing is None or not in its mapping.

    Attributes:
      arm, rate: which, and its part of the pool.
      seeds: that are finished.
      numbers: held-out `loss` and overall normalised `accuracy`.
      tasks, categories: normalised accuracies.
      groups: held-out loss by `field=value`.
      finetuned: scores after fine-tuning, as their task measures them.
      control: random arm of the same rate.
      against_control, against_full: `loss` and `accuracy` less those of the control, or of the
        full arm.
      steps_to_full: steps at which the mean curve reaches the full arm's final `loss` and
        `accuracy`; None where it never does.
      over_scaling: percent of the way to the larger model, mean over tasks and scores after
        fine-tuning, by seed; and the number of these.
    """

    arm: str
    rate: float
    seeds: tuple[int, ...] = ()
    numbers: Mapping[str, Estimate] = dataclasses.field(default_factory=dict)
    tasks: Mapping[str, Estimate] = dataclasses.field(default_factory=dict)
    categories: Mapping[str, Estimate] = dataclasses.field(default_factory=dict)
    groups: Mapping[str, Estimate] = dataclasses.field(default_factory=dict)
    finetuned: Mapping[str, Estimate] = dataclasses.field(default_factory=dict)
    control: str | None = None
    against_control: Mapping[str, Estimate] = dataclasses.field(default_factory=dict)
    against_full: Mapping[str, Estimate] = dataclasses.field(default_factory=dict)
    steps_to_full: Mapping[str, int | None] = dataclasses.field(default_factory=dict)
    over_scaling: tuple[float, ...] = ()
    over_scaling_tasks: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """A measure of one arm by step: the mean over seeds, and each seed's own values."""

    steps: tuple[int, ...]
    mean: tuple[float, ...]
    by_seed: Mapping[int, tuple[float, ...]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that a reader is shown."""

    plan: Plan
    arms: tuple[ArmResult, ...]
    curves: Mapping[str, Mapping[str, Curve]]
