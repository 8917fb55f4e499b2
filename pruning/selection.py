"""Selection rules: what to keep of a ranking, as a person asks for it.

Documents are ranked by (score, hash(id, seed)), which no two share but by a
collision of 64 bits. A rule keeps one stretch of that ranking, of the whole corpus
or of every group of it; `pruning.cuts` finds the ends.
"""

import dataclasses
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal, get_args

Keep = Literal["low", "middle", "high", "random", "threshold", "sample"]
KEEPS: tuple[Keep, ...] = get_args(Keep)
Weights = Literal["inverse", "proportional", "softmax"]
WEIGHTS: tuple[Weights, ...] = get_args(Weights)
BUDGETS = ("fraction", "documents", "tokens")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """Which stretch of the ranking to keep.

    Attributes:
      keep: `low`, `middle` or `high` part by score; `random`, the part that comes
        first by hash(id, seed), among documents that have a score; `threshold`,
        all with min_score <= score <= max_score; `sample`, drawn without replacement
        by `weights`.
      fraction: of the documents that have a score; k = floor(fraction * n). The
        middle begins at floor((n - k) / 2). "When Less is More" section 3.3 counts
        sequences and "Perplexed by Perplexity" section 2 samples; we count documents.
      documents: as many as this.
      tokens: the longest stretch whose tokens do not exceed this. The middle drops at
        either end the fewest documents that hold half of the surplus.
      min_score, max_score: of `threshold`, either may be absent.
      weights: of `sample`: a document's chance is as 1 / score (`inverse`), as the score
        (`proportional`), or as exp(score / temperature) (`softmax`).
      temperature: of `softmax`, 1 by default.
      seed: breaks ties and draws.
      per: column; the rule holds within each of its values, with the whole budget for each.
      quota: shares of the budget by value of `per`. Values that are not named share
        what is left, ranked together.
    """

    keep: Keep
    fraction: float | None = None
    documents: int | None = None
    tokens: int | None = None
    min_score: float | None = None
    max_score: float | None = None
    weights: Weights | None = None
    temperature: float | None = None
    seed: int = 0
    per: str | None = None
    quota: Mapping[str, float] | None = None

    def __post_init__(self):
        if self.keep not in KEEPS:
            raise ValueError(f"Unknown rule {self.keep!r}; known are {', '.join(KEEPS)}.")
        _check_limits(self)
        _check_budget(self)
        _check_weights(self)
        _check_quota(self)

    @property
    def by_tokens(self) -> bool:
        """Whether the budget is one of tokens."""
        return self.tokens is not None


def _check_limits(rule: Rule) -> None:
    limits = (rule.min_score, rule.max_score)
    given = [limit for limit in limits if limit is not None]
    if any(math.isnan(limit) for limit in given) or given != sorted(given):
        raise ValueError(
            f"min_score is {limits[0]} and max_score {limits[1]}; they are numbers, and the "
            "first is not the larger one."
        )
    if bool(given) != (rule.keep == "threshold"):
        wants = "--min_score or --max_score" if rule.keep == "threshold" else "neither limit"
        raise ValueError(
            f"--keep {rule.keep} takes {wants}; got min_score {limits[0]}, max_score {limits[1]}."
        )


def _check_budget(rule: Rule) -> None:
    given = {name: getattr(rule, name) for name in BUDGETS if getattr(rule, name) is not None}
    found = ", ".join(f"{name} {value}" for name, value in given.items()) or "none of them"
    if rule.keep == "threshold":
        if given or rule.per:
            raise ValueError(
                "--keep threshold takes no --fraction, --documents, --tokens or --per, for its "
                f"limits say what stays; got {f'per {rule.per}' if rule.per else found}."
            )
        return
    if len(given) != 1:
        raise ValueError(
            f"--keep {rule.keep} takes one of --fraction, --documents and --tokens; got {found}."
        )
    if rule.fraction is not None and not 0 < rule.fraction <= 1:
        raise ValueError(f"--fraction is above 0 and at most 1; got {found}.")
    if rule.fraction is None and min(given.values()) < 1:
        raise ValueError(f"A budget is at least 1; got {found}.")


def _check_weights(rule: Rule) -> None:
    if (rule.weights is not None) != (rule.keep == "sample"):
        wants = "--weights" if rule.keep == "sample" else "no --weights"
        raise ValueError(f"--keep {rule.keep} takes {wants}; got {rule.weights}.")
    if rule.weights is not None and rule.weights not in WEIGHTS:
        raise ValueError(f"Unknown weights {rule.weights!r}; known are {', '.join(WEIGHTS)}.")
    if rule.temperature is None:
        return
    if rule.weights != "softmax" or not 0 < rule.temperature < math.inf:
        raise ValueError(
            f"--temperature is a number above 0, for --weights softmax; got {rule.temperature} "
            f"with weights {rule.weights}."
        )


def _check_quota(rule: Rule) -> None:
    if rule.quota is None:
        return
    if rule.per is None:
        raise ValueError("--quota takes shares by value of a column: name it by --per.")
    shares = [share for share in rule.quota.values() if 0 <= share <= 1]
    # As decimals: in binary, 0.7 + 0.2 + 0.1 is not 1.
    total = sum(Decimal(repr(share)) for share in shares)
    if len(shares) < len(rule.quota) or total > 1:
        listed = ", ".join(f"{name}={share}" for name, share in rule.quota.items())
        raise ValueError(
            f"--quota has shares of what stays: from 0 to 1, and at most 1 together; got {listed}."
        )
