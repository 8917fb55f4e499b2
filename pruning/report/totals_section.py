"""How much every selection keeps, how often a run reads it, and what selections share."""

from collections.abc import Sequence

import numpy as np

from pruning.keep_bits import Selection
from pruning.report.composition import Counts
from pruning.report.heat_tables import heat_cell, heat_table
from pruning.report.markup import Html, element, join, percent, table
from pruning.training_plan import MOST_EPOCHS

COLOURS = 6


def totals_section(
    counts: Counts, selections: Sequence[Selection], training_tokens: int | None
) -> Html:
    """Documents and tokens that each selection keeps, and how often a run reads them."""
    has_tokens = bool(counts.tokens[0])
    rows = [_total("before", counts, 0, has_tokens, training_tokens)]
    rows += [
        _total(chip(selection, s), counts, s + 1, has_tokens, training_tokens)
        for s, selection in enumerate(selections)
    ]
    head = ["", "Documents", "Share", "Tokens", "Share", _epochs_head(training_tokens)]
    parts: list[Html | None] = [
        element("p", _totals_how(has_tokens, training_tokens), class_="how"),
        element(
            "div", table(head if has_tokens else head[:3], rows, class_="numbers"), class_="scroll"
        ),
    ]
    if has_tokens and training_tokens is not None:
        parts += [_warning(s, counts, i, training_tokens) for i, s in enumerate(selections)]
    return join(parts)


def overlap_section(counts: Counts, selections: Sequence[Selection]) -> Html | None:
    """A row and a column a selection: the share of the row's documents that the column keeps."""
    if len(selections) < 2:
        return None
    kept, n = counts.documents[1:], counts.documents[0]
    names = [chip(selection, s) for s, selection in enumerate(selections)]
    rows = [
        [
            names[a],
            *(
                heat_cell(
                    percent(counts.shared[a, b], kept[a]),
                    counts.shared[a, b] / max(kept[a], 1),
                    small=f"{counts.shared[a, b]:,}; by chance {percent(kept[b], n)}",
                )
                for b in range(len(selections))
            ),
        ]
        for a in range(len(selections))
    ]
    return join(
        [
            element("h3", "Selection against selection"),
            element(
                "p",
                "Each cell is the share of the row's documents that the column keeps, too, counted "
                "from the bits; two selections that know nothing of each other share what “by "
                "chance” says.",
                class_="how",
            ),
            element("div", heat_table(names, rows), class_="scroll"),
        ]
    )


def chip(selection: Selection, number: int) -> Html:
    """The name of a selection in its colour."""
    return element("span", selection.folder.name, class_=f"chip c{number % COLOURS}")


def _total(
    name: Html | str, counts: Counts, row: int, has_tokens: bool, training_tokens: int | None
) -> list:
    documents, tokens = counts.documents, counts.tokens
    cells = [name, f"{documents[row]:,}", percent(documents[row], documents[0])]
    if has_tokens:
        cells += [
            f"{tokens[row]:,}",
            percent(tokens[row], tokens[0]),
            _epochs(tokens[row], training_tokens),
        ]
    return cells


def _totals_how(has_tokens: bool, training_tokens: int | None) -> str:
    text = "What each selection keeps of the documents that have a score."
    if has_tokens and training_tokens is not None:
        text += " Epochs are how often the run reads it."
    elif has_tokens:
        text += (
            f" The last column is the longest run that reads what is kept at most {MOST_EPOCHS} times; "
            "give --training_tokens for the epochs of yours."
        )
    return text


def _epochs_head(training_tokens: int | None) -> str:
    if training_tokens is None:
        return f"{MOST_EPOCHS} epochs are"
    return f"Epochs of {training_tokens:,} tokens"


def _epochs(tokens: int, training_tokens: int | None) -> str:
    if training_tokens is None:
        return f"{MOST_EPOCHS * tokens:,} tokens"
    return f"{training_tokens / tokens:,.2f}" if tokens else "–"


def _warning(selection: Selection, counts: Counts, s: int, training_tokens: int) -> Html | None:
    epochs = training_tokens / counts.tokens[s + 1] if counts.tokens[s + 1] else np.inf
    if epochs <= MOST_EPOCHS:
        return None
    return element(
        "p",
        f"{selection.folder.name}: {epochs:,.2f} epochs. Beyond {MOST_EPOCHS} epochs pruning no longer "
        "helped in “Perplexed by Perplexity” (data-constrained pruning). Keep more, or train for less.",
        class_="warn",
    )
