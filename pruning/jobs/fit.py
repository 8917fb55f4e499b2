"""`prune fit`: what a scorer learns from a whole corpus first, as a file."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pruning.documents import DEFAULT_UNIT_ROWS

if TYPE_CHECKING:
    from pruning.artifacts import Fitted, FittedOn
    from pruning.scorers import Corpus, Learner
    from pruning.sharding import Shard


def fit(
    learner: str,
    output: str,
    *,
    embeddings: str | None = None,
    source: str | None = None,
    merge: Sequence[str] = (),
    settings: Sequence[str] = (),
    seed: int = 0,
    num_shards: int = 1,
    shard_index: int = 0,
    text_field: str = "text",
    split: str = "train",
    where: str | None = None,
    unit_rows: int = DEFAULT_UNIT_ROWS,
    max_document_bytes: int = 1_000_000,
) -> str:
    """Lets a scorer learn from a whole corpus, or merges what it has learnt of parts.

    Args:
      learner: name of the scorer that learns.
      output: file to write; `prune score --fitted FILE` takes it.
      embeddings: store of `prune score embedding` to learn from.
      source: texts to learn from, as `prune score` takes them.
      merge: files of this command, fitted on parts of one corpus that share no unit.
      settings: of the learner as NAME=VALUE, such as bandwidth=0.1; when merging, those of the files.
      seed: of the learner, where it draws.
      num_shards: of parts of the corpus; learn from one, and merge them afterwards.
      shard_index: which part, from 0; it has the units whose number is that modulo num_shards.
      text_field: field with the text.
      split: of tfds and seqio sources.
      where: folder of a selection: learn only from what it keeps, or with ! before it only from what it drops.
      unit_rows: records per unit, as in the scores that this is for.
      max_document_bytes: documents of this size or larger are not learnt from.

    Returns:
      The digest of what was learnt.
    """
    from pruning.artifacts import fit as fit_learner
    from pruning.artifacts import load_fitted, merge_fitted, save_fitted
    from pruning.jobs.arguments import parse_settings
    from pruning.scorers import SCORERS, is_learner, make_scorers
    from pruning.sharding import Shard
    from pruning.wording import plural

    learners = sorted(name for name, scorer in SCORERS.items() if is_learner(scorer))
    if learner not in learners:
        raise ValueError(f"{learner!r} learns nothing; what does is {', '.join(learners)}.")
    if sum((embeddings is not None, source is not None, bool(merge))) != 1:
        raise ValueError("Give one of --embeddings STORE, --source SOURCE and --merge FILE FILE ….")
    shard = Shard(shard_index, num_shards)
    if merge:
        parts = [load_fitted(path) for path in merge]
        fitted = merge_fitted(_learner_of(parts[0], learner, merge[0]), parts, list(merge))
    else:
        (made,) = make_scorers([learner], parse_settings(settings), seed=seed)
        _check_reads(made, "text" if embeddings is None else "embedding")
        if embeddings is not None:
            corpus, fitted_on = _stored(embeddings, shard)
        else:
            corpus, fitted_on = _texts(
                str(source),
                shard,
                text_field=text_field,
                split=split,
                where=where,
                unit_rows=unit_rows,
                max_document_bytes=max_document_bytes,
            )
        fitted = fit_learner(made, corpus, fitted_on)
    save_fitted(output, fitted)
    size = sum(array.nbytes for array in fitted.arrays.values())
    print(
        f"{output}: {learner} of {plural(len(fitted.corpus.units), 'unit')} of {fitted.corpus.name}, "
        f"{size / 1e6:,.1f} MB, digest {fitted.digest[:12]}…."
    )
    return fitted.digest


def _learner_of(part: "Fitted", name: str, path: str) -> "Learner":
    """The learner that a part was fitted with."""
    from pruning.scorers import SCORERS

    if part.learner != name:
        raise ValueError(f"{path} was fitted for {part.learner}, not for {name}.")
    fields = {field.name for field in dataclasses.fields(SCORERS[name])}
    return SCORERS[name](**{k: v for k, v in part.settings.items() if k in fields})


def _check_reads(learner: "Learner", what: str) -> None:
    if learner.reads - {what}:
        flag = "--embeddings STORE" if "embedding" in learner.reads else "--source SOURCE"
        raise ValueError(f"{learner.name} learns from {' and '.join(learner.reads)}: give {flag}.")


def _stored(folder: str, shard: "Shard") -> tuple["Corpus", "FittedOn"]:
    from pruning.stored_embeddings import open_embeddings

    corpus = open_embeddings(folder).part(shard)
    return corpus, corpus.fitted_on


def _texts(
    spec: str,
    shard: "Shard",
    *,
    text_field: str,
    split: str,
    where: str | None,
    unit_rows: int,
    max_document_bytes: int,
) -> tuple["Corpus", "FittedOn"]:
    from pruning.documents import cut_into_units
    from pruning.jobs.learning import source_fitted_on
    from pruning.jobs.open_source import open_source
    from pruning.jobs.open_where import open_where
    from pruning.prepared_units import Preparation
    from pruning.text_corpus import TextCorpus

    source = open_source(spec, text_field=text_field, split=split)
    files = source.files()
    how = Preparation(
        source=source, where=open_where(where, files), max_document_bytes=max_document_bytes
    )
    all_units = cut_into_units(files, unit_rows)
    units = shard.units(all_units, all_units)
    return TextCorpus(units=units, how=how), source_fitted_on(files, units, how)


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("fit")
