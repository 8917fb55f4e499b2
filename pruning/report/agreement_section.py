"""Scorer against scorer."""

from collections.abc import Mapping

import numpy as np

from pruning.report.agreement import kendall_taus, pairs, rank_map, ranks
from pruning.report.heat_tables import heat_cell, heat_table
from pruning.report.markup import Html, element, join
from pruning.report.pictures import heat_map


def agreement_section(scores: Mapping[str, np.ndarray], sampled: str) -> Html | None:
    """Kendall's tau of every two scores, and where their ranks meet.

    Args:
      scores: of the sample, by column.
      sampled: which documents these are, in words.
    """
    if len(scores) < 2:
        return None
    taus, names = kendall_taus(scores), list(scores)
    rows = [
        [name, *(heat_cell(_signed(tau), tau) for tau in of_name)]
        for name, of_name in zip(names, taus, strict=True)
    ]
    rank = {name: ranks(score_N) for name, score_N in scores.items()}
    maps = [
        _map(a, b, rank_map(rank[a], rank[b]), taus[names.index(a), names.index(b)])
        for a, b in pairs(names)
    ]
    return join(
        [
            element("h3", "Kendall’s τ"),
            element(
                "p",
                "Take two documents at random: τ is how much more often both scores order them "
                "alike than not, 1 for always, 0 for no relation, −1 for always the other way "
                f"round. From {sampled}.",
                class_="how",
            ),
            element("div", heat_table(names, rows), class_="scroll"),
            element("h3", "Rank against rank"),
            element(
                "p",
                "Documents by their ranks in two scores, lowest at the left and at the bottom, in "
                "stronger colour where there are more: a rising diagonal is agreement, a falling one the opposite, an "
                "even shade no relation.",
                class_="how",
            ),
            element("div", maps, class_="maps"),
        ]
    )


def _map(across: str, up: str, counts: np.ndarray, tau: float) -> Html:
    return element(
        "figure",
        element("div", f"↑ {up}", class_="unit"),
        heat_map(counts),
        element("figcaption", element("span", f"{across} →"), element("b", f"τ {_signed(tau)}")),
    )


def _signed(tau: float) -> str:
    # Adding 0 makes a rounded -0 plain.
    return "–" if np.isnan(tau) else f"{round(tau, 2) + 0.0:.2f}".replace("-", "−")
