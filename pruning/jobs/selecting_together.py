"""`prune select --together`: one threshold for several sources, such as the tasks of a mixture."""

import re
from collections.abc import Sequence
from typing import Literal

from pruning.selection import Rule


def select_together(
    scores: Sequence[str],
    output: str,
    *,
    rule: Rule,
    score: str | None,
    unit: Literal["documents", "tokens"],
    rates: Sequence[str] | None,
) -> None:
    """Writes a selection for each source, below `output` and under the source's name.

    Args:
      scores: folders of score stores as NAME=DIR; the names may be those of seqio tasks.
      output: folder of the selections.
      rule: with a fraction.
      score, unit, rates: as of `prune select`.

    Raises:
      ValueError: a store has no name, there is no fraction, or as of `common_threshold`.
      FileExistsError: the folder exists.
    """
    from pruning.budgets import parse_quota
    from pruning.common_threshold import select_together as write
    from pruning.jobs.make_selection import composition, summary
    from pruning.score_store import open_store

    stores = {name: open_store(folder) for name, folder in _named(scores).items()}
    chosen = write(
        stores,
        output,
        keep=rule.keep,  # type: ignore[arg-type]
        fraction=rule.fraction,  # type: ignore[arg-type]
        score=score or next(iter(next(iter(stores.values())).score_columns)),
        unit=unit,
        rates=parse_quota(rates, "--rates") if rates else None,
    )
    for selection in chosen.values():
        print(summary(selection))
    counts = {name: selection.info["counts"] for name, selection in chosen.items()}
    table = composition("source", {n: c | {"documents": c["scored"]} for n, c in counts.items()})
    print("\n".join(table))


def _named(words: Sequence[str]) -> dict[str, str]:
    """Unlike in expressions, any name will do."""
    folders: dict[str, str] = {}
    for word in words:
        named = re.fullmatch(r"([^=/]+)=(.+)", word)
        if not named or named[1] in folders:
            raise ValueError(
                f"--together takes --scores as NAME=DIR, each name once, such as web=scores/web "
                f"books=scores/books; got {word!r}."
            )
        folders[named[1]] = named[2]
    return folders
