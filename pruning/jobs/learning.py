"""Scorers that look at the whole corpus first: from learners to scorers."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from pruning.artifacts import Fitted, FittedOn, check_fitted, fit, load_fitted, save_fitted
from pruning.documents import SourceFile, Unit
from pruning.prepared_units import Preparation
from pruning.score_store import FITTED
from pruning.scorers import is_learner
from pruning.scorers.scorer import Corpus, Scorer
from pruning.sharding import Shard


def learn(
    scorers: Sequence[Any],
    corpus: Corpus,
    fitted_on: FittedOn,
    *,
    fitted: Sequence[str],
    output: str,
    shard: Shard,
) -> tuple[list[Scorer], dict[str, str]]:
    """Makes scorers of learners: from files, or by learning now, which is kept in `output`.

    Args:
      scorers: scorers, which stay as they are, and learners.
      corpus: to learn from.
      fitted_on: the corpus by name, digest and units.
      fitted: files of `prune fit`.
      output: folder of the score store.
      shard: of the process.

    Returns:
      The scorers in their order, and the digest of what each learner has learnt, by name.

    Raises:
      ValueError: a file is of no learner here, was fitted with other settings or on another
        corpus; or several processes would learn at a time.
    """
    given = {path: load_fitted(path) for path in fitted}
    learners = {scorer.name: scorer for scorer in scorers if is_learner(scorer)}
    for path, artifact in given.items():
        if artifact.learner not in learners:
            raise ValueError(
                f"--fitted {path} was fitted for {artifact.learner}, and the scorers that learn are "
                f"{[*learners] or 'none'}. Leave it out."
            )
        check_fitted(artifact, learners[artifact.learner], fitted_on, where=path)
    by_name = {artifact.learner: artifact for artifact in given.values()}
    for name, learner in learners.items():
        if name not in by_name:
            by_name[name] = _learn(learner, corpus, fitted_on, output, shard)
    made = [
        scorer.scorer(by_name[scorer.name].arrays) if is_learner(scorer) else scorer
        for scorer in scorers
    ]
    return made, {name: artifact.digest for name, artifact in by_name.items()}


def source_fitted_on(
    files: Sequence[SourceFile], units: Sequence[Unit], how: Preparation
) -> FittedOn:
    """A source as what a learner has seen; the same wherever it lies."""
    seen: Mapping[str, Any] = {
        "files": [[f.path, f.size, f.mark, f.num_rows, f.first_row, f.end_row] for f in files],
        "where": how.where and how.where.describe(),
        "max_document_bytes": how.max_document_bytes,
    }
    digest = hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()
    return FittedOn(name=how.source.describe()["spec"], digest=digest, units=tuple(units))


def _learn(learner: Any, corpus: Corpus, fitted_on: FittedOn, output: str, shard: Shard) -> Fitted:
    path = epath.Path(output) / FITTED / f"{learner.name}.npz"
    if path.exists():
        artifact = load_fitted(path)
        check_fitted(artifact, learner, fitted_on, where=os.fspath(path))
        return artifact
    if shard.count > 1:
        raise ValueError(
            f"{learner.name} looks at the whole corpus first, which {shard.count} processes would each "
            f"do. Run `prune fit {learner.name}` once and give every process its file as --fitted."
        )
    artifact = fit(learner, corpus, fitted_on)
    save_fitted(path, artifact)
    return artifact
