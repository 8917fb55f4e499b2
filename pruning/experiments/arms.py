"""Arms of an experiment: what part of the pool each trains on."""

import dataclasses
import os
import re
from collections.abc import Sequence
from typing import get_args

from pruning.selection import Rule, Weights
from pruning.sharding import Shard

FULL = "full"
RANDOM = "random"
# Rules by which an arm takes part of the pool, as a user writes them.
_ENDS = ("low", "middle", "high")
_WEIGHTS: tuple[str, ...] = get_args(Weights)
_RULES = (RANDOM, *_ENDS, *_WEIGHTS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """One part of the pool to train on.

    Attributes:
      name: of the arm, and of its folder.
      rule: `full`, `random`, `low`, `middle`, `high`, or the weights of a sample; None for a
        selection that is there.
      fraction: of the pool's documents, of a rule other than `full`.
      score: expression to rank by; None for the only store's main column.
      folder: of a selection that is there.
      size: of the model, where it is not the experiment's.
    """

    name: str
    rule: str | None = None
    fraction: float | None = None
    score: str | None = None
    folder: str | None = None
    size: str | None = None

    @property
    def is_drawn(self) -> bool:
        """Whether every seed draws its own part, so that the seeds' spread has that of the draw."""
        return self.rule == RANDOM or self.rule in _WEIGHTS

    def selection_rule(self, seed: int) -> Rule:
        """As `prune select` takes it."""
        if self.rule in _WEIGHTS:
            return Rule(keep="sample", weights=self.rule, fraction=self.fraction, seed=seed)  # type: ignore[arg-type]
        return Rule(
            keep=self.rule,  # type: ignore[arg-type]
            fraction=self.fraction,
            seed=seed if self.is_drawn else 0,
        )


@dataclasses.dataclass(frozen=True, order=True)
class Run:
    """One training run."""

    arm: str
    seed: int


def parse_arms(
    words: Sequence[str], rates: Sequence[float], *, larger_size: str | None = None
) -> list[Arm]:
    """Reads `[NAME=]full`, `[NAME=]RULE[:SCORE]` and `[NAME=]FOLDER`.

    A rule stands for one arm per rate, and its name ends with the rate in percent.

    Args:
      words: such as `full random low:gpt.nll asked=high:ask.log_p_yes mine=selections/mine`.
      rates: fractions of the pool to keep.
      larger_size: of the next larger model, which is trained on the full pool for over-scaling.

    Raises:
      ValueError: a word cannot be read, a rate is not a part, or two arms have one name.
    """
    if bad := [rate for rate in rates if not 0 < rate < 1]:
        raise ValueError(f"--rates are parts of the pool, above 0 and below 1; got {bad[0]}.")
    arms = [arm for word in words for arm in _arms(word, rates)]
    if larger_size is not None:
        arms.append(Arm(name=larger_name(larger_size), rule=FULL, size=larger_size))
    names = [arm.name for arm in arms]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"Two arms have the name {twice[0]}. Give one another: NAME={twice[0].rstrip('0123456789.')}."
        )
    return arms


def larger_name(size: str) -> str:
    """Name of the arm that trains the next larger model on the full pool."""
    return f"{FULL}_{size}"


def all_runs(arms: Sequence[Arm], seeds: Sequence[int]) -> list[Run]:
    """Every run, seed by seed, so that an experiment that is stopped has all arms of some seeds."""
    return [Run(arm.name, seed) for seed in seeds for arm in arms]


def runs_of(
    arms: Sequence[Arm],
    seeds: Sequence[int],
    *,
    only: Sequence[str] = (),
    shard: Shard | None = None,
) -> list[Run]:
    """The runs that one job takes.

    Args:
      arms, seeds: of the experiment.
      only: names of arms; all by default.
      shard: of a job array, which shares those.

    Raises:
      ValueError: no arm has such a name.
    """
    names = [arm.name for arm in arms]
    for name in only:
        if name not in names:
            raise ValueError(f"There is no arm {name!r}; the arms are {', '.join(names)}.")
    runs = [run for run in all_runs(arms, seeds) if not only or run.arm in only]
    shard = shard or Shard()
    return runs[shard.index :: shard.count]


def _arms(word: str, rates: Sequence[float]) -> list[Arm]:
    named = re.fullmatch(r"([\w.-]+)=(.+)", word)
    name, what = named.groups() if named else (None, word)
    if what == FULL:
        return [Arm(name=name or FULL, rule=FULL)]
    rule, _, score = what.partition(":")
    if rule in _RULES:
        if score and rule == RANDOM:
            raise ValueError(f"Arm {word!r} is drawn, and not ranked by {score!r}: write random.")
        return [
            Arm(name=f"{name or rule}{100 * r:g}", rule=rule, fraction=r, score=score or None)
            for r in rates
        ]
    if os.sep in what or named:
        return [Arm(name=name or os.path.basename(what.rstrip(os.sep)), folder=what)]
    raise ValueError(
        f"Arm {word!r} cannot be read. Expected full, a folder of `prune select` (NAME=DIR), or one of "
        f"{', '.join(_RULES)}, with the score to rank by behind a colon, such as low:nll."
    )
