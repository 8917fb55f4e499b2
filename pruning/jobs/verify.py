"""`prune verify`: is the corpus still the one that was scored?"""

from collections.abc import Mapping
from typing import Any


def verify(
    *, selection: str | None = None, scores: str | None = None, source: str | None = None
) -> int:
    """Re-hashes every row of the corpus against a selection or a score store.

    Args:
      selection: folder of a selection; names the files that differ.
      scores: folder of a score store; names the rows that differ.
      source: where the corpus is now, or export:DIR for what was exported of it; by default where it was scored.

    Returns:
      How many rows or files differ.
    """
    from pruning.jobs.open_source import open_source
    from pruning.keep_bits import read_selection
    from pruning.score_store import open_store
    from pruning.verification import verify_selection, verify_store

    if selection is not None and scores is None:
        chosen = read_selection(selection)
        found = verify_selection(chosen, open_source(**_moved(chosen.source, source)))
    elif scores is not None and selection is None:
        store = open_store(scores)
        found = verify_store(store, open_source(**_moved(store.manifest["source"], source)))
    else:
        raise ValueError(
            f"Give --selection or --scores, one of them; got {selection!r} and {scores!r}."
        )
    for difference in found.differences:
        print(difference)
    more = found.num_different - len(found.differences)
    print(
        f"{found.rows:,} rows compared, {found.num_different:,} differences"
        + (f" ({more:,} not listed)." if more else ".")
    )
    if found.num_different:
        raise SystemExit(1)
    return 0


def _moved(description: Mapping[str, Any], spec: str | None) -> dict[str, Any]:
    return {**description, "spec": spec or description["spec"]}


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("verify")
