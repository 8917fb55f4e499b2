"""`prune select`, unless an earlier call selected the same."""

import dataclasses
import os
from collections.abc import Sequence

from pruning.selection import Rule


def select_once(
    scores: Sequence[str],
    output: str,
    rule: Rule,
    *,
    score: str | None = None,
    where: str | None = None,
) -> None:
    """Selects into a folder, or takes what is there if it came about in the same way.

    Args:
      scores, output, score, where: as of `prune select`.
      rule: to select by.

    Raises:
      ValueError: the folder holds a selection by another rule, of other stores or documents.
    """
    from pruning.expression_grammar import parse_expression
    from pruning.jobs.make_selection import select
    from pruning.keep_bits import read_selection
    from pruning.score_store import open_store
    from pruning.several_stores import SeveralStores, parse_stores
    from pruning.store_digests import manifest_digest

    if not os.path.exists(output):
        select(scores, output, score=score, where=where, **dataclasses.asdict(rule))
        return
    info = read_selection(output).info
    chosen = None if where is None else read_selection(where.removeprefix("!")).digest
    stores = {name: open_store(folder) for name, folder in parse_stores(scores).items()}
    wanted = {
        "rule": rule,
        "score": parse_expression(score, SeveralStores(stores).scores).text
        if score
        else info["score"],
        "stores": [[name, manifest_digest(store)] for name, store in stores.items()],
        "where": None if chosen is None else {"digest": chosen, "inverted": where.startswith("!")},  # type: ignore[union-attr]
    }
    found = {
        "rule": Rule(**info["rule"]),
        "score": info["score"],
        "stores": [[store.get("name", ""), store["manifest"]] for store in info["stores"]],
        "where": info["where"],
    }
    for name, value in wanted.items():
        if found[name] != value:
            raise ValueError(
                f"{output} was selected with {name} {found[name]}, and this run has {value}. Give another "
                "--output, or delete the folder."
            )
