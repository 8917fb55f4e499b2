"""How well scores see documents that were damaged on purpose."""

from collections.abc import Mapping

import numpy as np

from pruning.report.auc import auc
from pruning.report.categories import NO_VALUE
from pruning.report.markup import Html, element, join, table
from pruning.sources.damage import INTACT


def damage_section(
    scores: Mapping[str, np.ndarray], damage_N: np.ndarray, sampled: str
) -> Html | None:
    """How well each column tells documents damaged on purpose from intact ones.

    Args:
      scores: of the sample, by column.
      damage_N: kind of damage of each document; None where there was none.
      sampled: which documents these are, in words.
    """
    kind_N = np.array([NO_VALUE if kind is None else kind for kind in damage_N], object)
    intact_N = np.isin(kind_N, [INTACT, NO_VALUE])
    kinds = sorted({*kind_N} - {INTACT, NO_VALUE})
    if not kinds:
        return None
    rows = [
        (
            kind.replace("_", " "),
            f"{(kind_N == kind).sum():,}",
            *(
                _cell(auc(score_N[kind_N == kind], score_N[intact_N]))
                for score_N in scores.values()
            ),
        )
        for kind in kinds
    ]
    how = (
        "Some documents were damaged on purpose. Each number is the probability that a random "
        "document damaged in this way has a higher score than a random intact one (area under "
        "the ROC curve, ties count half): 0.5 means that the score does not see the damage, "
        f"1 that damage always raises it, 0 that it always lowers it. From {sampled}."
    )
    numbers = table(["Damage", "Documents", *scores], rows, class_="numbers")
    return join([element("p", how, class_="how"), element("div", numbers, class_="scroll")])


def _cell(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"
