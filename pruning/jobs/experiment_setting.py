"""Everything that says what an experiment is, and where its parts lie."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from pruning.experiments.arms import FULL, RANDOM, Arm, Run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """An experiment, as `prune experiment` was asked for it.

    Attributes:
      output: folder of all.
      source, text_field, split, where, fields: the corpus, as of `prune score`.
      arms, seeds: to train.
      scores: user's stores, `[NAME=]DIR`.
      references: sizes of reference models by name, trained and scored with here.
      training: settings that every run shares, as of `prune train`.
      learning_rates: by size.
      size: of the model in every arm.
      evaluations: checkpoints of each run that are evaluated, evenly spaced.
      tasks: file, or seqio task, by `CATEGORY/NAME`.
      minimal_pairs: of each kind of damage.
      held_out: folder of a selection, or None to draw one.
      held_out_fraction, reference_fraction: of the documents.
      reference_steps: of a reference model.
      finetune_steps: that t5x fine-tunes every run.
      seed: of the splits, the pairs and the reference models.
    """

    output: str
    source: str
    text_field: str
    split: str
    where: str | None
    fields: tuple[str, ...]
    arms: Sequence[Arm]
    seeds: Sequence[int]
    scores: Sequence[str]
    references: Mapping[str, str]
    training: Mapping[str, Any]
    learning_rates: Mapping[str, float]
    size: str
    evaluations: int
    tasks: Mapping[str, str]
    minimal_pairs: int
    held_out: str | None
    held_out_fraction: float
    reference_fraction: float
    reference_steps: int
    finetune_steps: int
    seed: int

    def __post_init__(self) -> None:
        for name in ("held_out_fraction", "reference_fraction"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(
                    f"--{name} is {getattr(self, name)}; it is a part of the documents, between 0 and 1."
                )
        if self.held_out_fraction + self.reference_fraction >= 1 and self.references:
            raise ValueError(
                f"--held_out_fraction {self.held_out_fraction} and --reference_fraction "
                f"{self.reference_fraction} leave nothing to train on. Use smaller ones."
            )
        if not 1 <= self.evaluations <= self.num_steps:
            raise ValueError(
                f"--evaluations is {self.evaluations}; it is at least 1 and at most --num_steps "
                f"{self.num_steps}."
            )
        if not self.seeds or not self.arms:
            raise ValueError("An experiment has at least one of --arms and one of --seeds.")
        ranked = [arm.name for arm in self.arms if arm.fraction and arm.rule != RANDOM]
        if ranked and not self.stores:
            raise ValueError(
                f"Arm {ranked[0]} ranks by a score, and there is none: give --scores, or --references "
                "to train reference models."
            )

    @property
    def num_steps(self) -> int:
        return self.training["num_steps"]

    @property
    def finetuned_steps(self) -> int:
        """At the end of fine-tuning: t5x counts on."""
        return self.num_steps + self.finetune_steps

    @property
    def checkpoint_period(self) -> int:
        """Steps between two evaluations; a remainder goes to the last."""
        return -(-self.num_steps // self.evaluations)

    @property
    def corpus(self) -> dict[str, Any]:
        """The source, as `prune train` and `prune score` take it."""
        return {"source": self.source, "text_field": self.text_field, "split": self.split}

    def record(self) -> dict[str, Any]:
        """What may not change while an experiment grows. Arms, seeds and tasks may be added."""
        return {
            "source": self.source,
            "text_field": self.text_field,
            "split": self.split,
            "where": self.where,
            "fields": list(self.fields),
            "held_out": self.held_out,
            "held_out_fraction": self.held_out_fraction,
            "references": dict(self.references),
            "reference_fraction": self.reference_fraction if self.references else None,
            "reference_steps": self.reference_steps if self.references else None,
            "size": self.size,
            "training": dict(self.training),
            "learning_rates": dict(self.learning_rates),
            "evaluations": self.evaluations,
            "minimal_pairs": self.minimal_pairs,
            "seed": self.seed,
        }

    def path(self, *names: str) -> str:
        return os.path.join(self.output, *names)

    @property
    def pool(self) -> str:
        """Selection of the documents that the arms take from."""
        return self.path("splits", "pool")

    @property
    def held_out_selection(self) -> str:
        return self.held_out or self.path("splits", "held_out")

    @property
    def not_held_out(self) -> str:
        """As `--where` takes it: a `!` before a `!` is none."""
        held_out = self.held_out_selection
        return held_out[1:] if held_out.startswith("!") else f"!{held_out}"

    @property
    def pairs(self) -> str:
        return self.path("pairs", "pairs.jsonl")

    @property
    def stores(self) -> list[str]:
        """`[NAME=]DIR` of every store that rules may rank by."""
        return [*self.scores, *(f"{n}={self.path('scores', n)}" for n in self.references)]

    def arm(self, name: str) -> Arm:
        return next(arm for arm in self.arms if arm.name == name)

    def size_of(self, arm: str) -> str:
        return self.arm(arm).size or self.size

    def selection(self, run: Run) -> str:
        """Folder of what a run trains on."""
        arm = self.arm(run.arm)
        if arm.rule == FULL:
            return self.pool
        return self.path("selections", f"{arm.name}_seed{run.seed}" if arm.is_drawn else arm.name)

    def run_folder(self, run: Run) -> str:
        return self.path("arms", run.arm, f"seed{run.seed}")


def named(words: Sequence[str]) -> dict[str, str]:
    """Reads `NAME=VALUE`, or `VALUE` under its own name.

    Raises:
      ValueError: two have one name.
    """
    pairs = [word.partition("=") for word in words]
    values = {name: value if equals else name for name, equals, value in pairs}
    if len(values) < len(words):
        raise ValueError(
            f"Of {', '.join(words)}, two have one name. Give each another: NAME=VALUE."
        )
    return values


def named_tasks(words: Sequence[str]) -> dict[str, str]:
    """Reads `[CATEGORY/]NAME=FILE` or `=seqio:TASK`; without a category it is `tasks`.

    Raises:
      ValueError: a word is of another form, or two have one name.
    """
    if unnamed := [word for word in words if "=" not in word]:
        raise ValueError(
            f"--tasks {unnamed[0]} is not NAME=FILE or CATEGORY/NAME=FILE, where a seqio task may stand for FILE."
        )
    files = named(words)
    return {name if "/" in name else f"tasks/{name}": file for name, file in files.items()}
