"""How well scores see documents that were damaged on purpose."""

import numpy as np

from pruning.report.auc import auc
from pruning.report.histograms import NO_VALUE, scores_by_value
from pruning.report.markup import Html, element, join, table
from pruning.score_store import ScoreStore

# Carried field with the kind of damage, and its value where nothing was done.
DAMAGE_FIELD = "damage"
INTACT = "none"


def damage_section(store: ScoreStore) -> Html | None:
    """How well each column tells documents damaged on purpose from intact ones."""
    by_value = scores_by_value(store, DAMAGE_FIELD, list(store.score_columns))
    intact = {
        name: np.concatenate(
            [by_value.get(v, {}).get(name, np.zeros(0)) for v in (INTACT, NO_VALUE)]
        )
        for name in store.score_columns
    }
    kinds = sorted(set(by_value) - {INTACT, NO_VALUE})
    if not kinds:
        return None
    rows = [
        (
            kind.replace("_", " "),
            f"{max(len(scores) for scores in by_value[kind].values()):,}",
            *(_auc_cell(auc(by_value[kind][name], intact[name])) for name in store.score_columns),
        )
        for kind in kinds
    ]
    return join(
        [
            element(
                "p",
                "Some documents were damaged on purpose. Each number is the probability that a random "
                "document damaged in this way has a higher score than a random intact one (area under "
                "the ROC curve, ties count half): 0.5 means that the score does not see the damage, "
                "1 that damage always raises it, 0 that it always lowers it.",
                class_="how",
            ),
            element(
                "div",
                table(["Damage", "Documents", *store.score_columns], rows, class_="numbers"),
                class_="scroll",
            ),
        ]
    )


def _auc_cell(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"
