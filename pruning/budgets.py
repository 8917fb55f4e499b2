"""How much to keep of every group, and which stretch of its ranking that is."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from pruning.selection import Rule

NO_VALUE = "(none)"
OTHERS = "(others)"


class Census(NamedTuple):
    """Groups by name, with their documents that have a score, and the tokens of these."""

    groups: Sequence[str]
    documents_G: np.ndarray
    tokens_G: np.ndarray

    def total(self, rule: Rule) -> np.ndarray:
        """What the rule's budget counts."""
        return self.tokens_G if rule.by_tokens else self.documents_G


def wanted(rule: Rule, census: Census) -> np.ndarray:
    """Documents, or tokens, to keep of every group, int64 [groups].

    Raises:
      ValueError: the budget, or what a quota gives to a group, exceeds what is there.
    """
    unit, total_G = "tokens" if rule.by_tokens else "documents", census.total(rule)
    if rule.quota is not None:
        amount_G = _by_quota(rule, census.groups, int(total_G.sum()))
    elif rule.fraction is not None:
        amount_G = np.array([_floor_share(rule.fraction, int(n)) for n in total_G], np.int64)
    else:
        budget = rule.tokens if rule.tokens is not None else rule.documents
        # A group none of whose documents has a score is nobody's want; a corpus is.
        is_there_G = (census.documents_G > 0) | (rule.per is None)
        amount_G = np.where(is_there_G, np.int64(budget or 0), 0)
    for name, amount, total in zip(census.groups, amount_G, total_G, strict=True):
        if amount > total:
            of = f"{rule.per} {name}, which" if rule.per else "the corpus, which"
            raise ValueError(
                f"The budget wants {amount:,} {unit} of {of} has {total:,} that are scored. "
                "Ask for less, or score more."
            )
    return amount_G


def stretches(rule: Rule, wanted_G: np.ndarray, total_G: np.ndarray) -> tuple[np.ndarray, ...]:
    """What is dropped before the stretch, and the running total at which it ends.

    Returns:
      drop_G: the stretch begins after the fewest documents that hold this much.
      up_to_G: it ends before the running total would exceed this.
    """
    if rule.keep in ("high", "sample"):
        return total_G - wanted_G, total_G
    if rule.keep != "middle":
        return np.zeros_like(total_G), wanted_G
    surplus_G = total_G - wanted_G
    if rule.by_tokens:
        drop_G = (surplus_G + 1) // 2
        return drop_G, total_G - drop_G
    return surplus_G // 2, surplus_G // 2 + wanted_G


def parse_quota(words: Sequence[str], flag: str = "--quota") -> dict[str, float]:
    """Reads `web=0.5 code=0.2`, which were given as `flag`.

    Raises:
      ValueError: a word is not NAME=SHARE, or a name comes twice.
    """
    quota: dict[str, float] = {}
    for word in words:
        name, _, share = word.rpartition("=")
        try:
            value = float(share)
        except ValueError:
            value = math.nan
        if not name or math.isnan(value) or name in quota:
            raise ValueError(
                f"{flag} takes NAME=SHARE, each name once, such as web=0.5 code=0.2; got {word!r}."
            )
        quota[name] = value
    return quota


def _by_quota(rule: Rule, groups: Sequence[str], total: int) -> np.ndarray:
    """Shares of the budget in whole documents or tokens: what rounding leaves goes to the
    largest remainders, so that they add up to it."""
    budget = rule.tokens if rule.tokens is not None else rule.documents
    if budget is None:
        budget = _floor_share(rule.fraction or 0, total)
    if budget > total:
        unit = "tokens" if rule.by_tokens else "documents"
        raise ValueError(
            f"The budget wants {budget:,} {unit} of the corpus, which has {total:,} that are scored."
        )
    shares = _shares(rule.quota or {}, groups)
    exact = [share * budget for share in shares]
    amounts = [int(amount) for amount in exact]
    by_remainder = sorted(range(len(groups)), key=lambda g: amounts[g] - exact[g])
    for g in by_remainder[: budget - sum(amounts)]:
        amounts[g] += 1
    return np.array(amounts, np.int64)


def _shares(quota: Mapping[str, float], groups: Sequence[str]) -> list[Decimal]:
    named = {name: Decimal(repr(float(share))) for name, share in quota.items()}
    left = 1 - sum(named.values(), Decimal(0))
    return [named.get(name, left) for name in groups]


def _floor_share(fraction: float, n: int) -> int:
    # As decimal: floor(0.29 * 100) must be 29, and in binary it is 28.
    return int(Decimal(repr(float(fraction))) * n)
