"""`prune score --embeddings`: scores of what a store of embeddings has."""

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pruning.sharding import Shard


def rescore(
    scorers: Sequence[Any],
    embeddings: str,
    output: str | os.PathLike,
    *,
    fitted: Sequence[str],
    shard: "Shard",
) -> dict[str, Any]:
    """Scores a store of embeddings into a score store, or continues one.

    Args:
      scorers: scorers and learners, as `make_scorers` gives them.
      embeddings: folder of the store.
      output: folder of the score store.
      fitted: files of `prune fit` for learners; what has none is fitted now.
      shard: of the process.

    Returns:
      As `prune score`.

    Raises:
      ValueError: a scorer needs more than embeddings, or a file does not fit.
    """
    from pruning.jobs.filling_a_store import finish, print_plan
    from pruning.jobs.learning import learn
    from pruning.rescoring import rescore_units, rescoring_manifest
    from pruning.run_costs import noting_cost, this_cpu
    from pruning.score_store import create_or_continue
    from pruning.scorers.density import DensityScorer, spread
    from pruning.stored_embeddings import open_embeddings

    begun = time.monotonic()
    for scorer in scorers:
        if getattr(scorer, "needs", None) or scorer.reads - {"embedding"}:
            raise ValueError(
                f"{scorer.name} needs more than --embeddings {embeddings} has: it scores a --source. "
                "Run it without --embeddings, into another store."
            )
    there = open_embeddings(embeddings)
    made, learnt = learn(
        scorers, there, there.fitted_on, fitted=fitted, output=os.fspath(output), shard=shard
    )
    store = create_or_continue(output, rescoring_manifest(there.store, made, learnt))
    part = there.part(shard)
    print_plan(store, part.units, shard)
    with noting_cost(store.folder, this_cpu(), begun) as note:
        done = rescore_units(store, part, scorers=made, note=note)
    counts = finish(store, done)
    column = DensityScorer.columns[0].name
    if column in store.score_columns:
        print(spread(table[column].to_numpy() for _, table in store.tables([column])))
    return counts
