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
    from pruning.jobs.make_selection import select
    from pruning.keep_bits import read_selection
    from pruning.score_store import open_store
    from pruning.several_stores import parse_stores
    from pruning.store_digests import manifest_digest

    if not os.path.exists(output):
        select(scores, output, score=score, where=where, **dataclasses.asdict(rule))
        return
    info = read_selection(output).info
    chosen = None if where is None else read_selection(where.removeprefix("!")).digest
    wanted = {
        "rule": rule,
        "score": score or info["score"],
        "stores": [manifest_digest(open_store(f)) for f in parse_stores(scores).values()],
        "where": None if chosen is None else {"digest": chosen, "inverted": where.startswith("!")},  # type: ignore[union-attr]
    }
    found = {
        "rule": Rule(**info["rule"]),
        "score": info["score"],
        "stores": [store["manifest"] for store in info["stores"]],
        "where": info["where"],
    }
    for name, value in wanted.items():
        if found[name] != value:
            raise ValueError(
                f"{output} was selected with {name} {found[name]}, and this run has {value}. Give another "
                "--output, or delete the folder."
            )
