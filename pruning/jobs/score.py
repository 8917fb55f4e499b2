"""`prune score`: scores for every document of a source."""

import time
from collections.abc import Sequence
from typing import Any, Literal

import pruning
from pruning.documents import DEFAULT_UNIT_ROWS, cut_into_units
from pruning.jobs.processes import ends_at_once, this_shard


@ends_at_once
def score(
    scorers: Sequence[str],
    source: str | None,
    output: str,
    *,
    embeddings: str | None = None,
    model: Sequence[str] = (),
    vocabulary: str | None = None,
    objective: Literal["span_corruption", "prefix_lm", "causal_lm"] | None = None,
    window: int | None = None,
    long_documents: Literal["windows", "truncate"] = "windows",
    prompt: str | None = None,
    yes: Sequence[str] = (),
    no: Sequence[str] = (),
    cut: Literal["tokens", "text"] | None = None,
    row_length: int | None = None,
    batch_rows: int | None = None,
    dtype: str = "float32",
    attention: Literal["xla", "cudnn"] = "xla",
    model_devices: int | None = None,
    settings: Sequence[str] = (),
    fitted: Sequence[str] = (),
    text_field: str = "text",
    fields: Sequence[str] = (),
    split: str = "train",
    where: str | None = None,
    sample: float | None = None,
    num_shards: int = 1,
    shard_index: int = 0,
    distributed: str | None = None,
    seed: int = 0,
    unit_rows: int = DEFAULT_UNIT_ROWS,
    max_document_bytes: int = 1_000_000,
    strict: bool = False,
) -> dict[str, Any]:
    """Scores a corpus into a score store, or continues one.

    Args:
      scorers: names; one forward pass serves all.
      source: jsonl:PATTERN, parquet:PATTERN, text:PATTERN, tfds:NAME/CONFIG:VERSION, seqio:TASK or python_docs:
      output: folder of the score store; a killed run continues in it.
      embeddings: in its place, for density, semdedup and prototypes: store of `prune score embedding`.
      model: folder of `prune train`, t5x checkpoint, or Hugging Face folder or name; of perplexity and el2n several, whose statistics are averaged.
      vocabulary: SentencePiece file, or `bytes`; by default the one beside the model.
      objective: what the model predicts for perplexity; by default what it was trained on, else span_corruption.
      window: longest input in tokens; by default what the model was trained on, else 512.
      long_documents: cut documents longer than the window into windows whose losses add up, or truncate them; all but perplexity and el2n always truncate.
      prompt: of ask_llm: text file with {document} where the document goes; by default what the model was trained to answer, else the prompt of the paper.
      yes: spellings of ask_llm's yes, each one token, whose probabilities add up; by default yes.
      no: spellings of its no; by default no.
      cut: what ask_llm reads of a document too long for the window: its first tokens, or their text tokenized again as nano-askllm does; by default tokens.
      row_length: positions of a packed row's longer side, the other in proportion; by default one window (memorization always has a row a document).
      batch_rows: rows that the model computes at a time; by default what suits the device.
      dtype: of activations, float32 or bfloat16; accumulation is always float32.
      attention: cudnn is a fused kernel of NVIDIA GPUs, in bfloat16 only; not measured yet.
      model_devices: devices that share a copy of the model; by default one, or as many as its memory needs. More than a process has are those of neighbouring processes of --distributed, which then take the same units. Scores are the same within rounding.
      settings: settings of scorers as NAME=VALUE, such as continuation_tokens=16.
      fitted: files of `prune fit`, of scorers that look at the whole corpus first; by default they do so now, and keep what they learn in output.
      text_field: field with the text.
      fields: other fields to carry along with the scores, such as domain and url.
      split: of tfds and seqio sources.
      where: folder of a selection: score only what it keeps, or with ! before it only what it drops.
      sample: score this share of the units first; a later run without it continues the store.
      num_shards: of processes or jobs that share the units; in any order, also one after the other.
      shard_index: of this one, from 0; unit number i goes to i modulo num_shards.
      distributed: auto on TPU pods, Slurm and Open MPI, or HOST:PORT of the first process: JAX joins the processes, and ends all when one dies; a model that exceeds the devices of one is shared by several.
      seed: of the random scorer and of the sample.
      unit_rows: records per unit, which is what a run resumes by.
      max_document_bytes: documents of this size or larger are counted and not scored.
      strict: make the first bad record an error.

    Returns:
      The store's counts, as in its _SUCCESS, and `this_run` with its documents, tokens and seconds.
    """
    from pruning.jobs import scoring_model
    from pruning.jobs.arguments import parse_settings
    from pruning.jobs.filling_a_store import (
        check_unchanged,
        earlier_store,
        finish,
        look_at_fields,
        print_plan,
    )
    from pruning.jobs.forward_passes import forward_pass_of
    from pruning.jobs.learning import learn, source_fitted_on
    from pruning.jobs.open_question import question_to_ask
    from pruning.jobs.open_source import open_source
    from pruning.jobs.open_where import open_where
    from pruning.jobs.rescore import rescore
    from pruning.lockstep import Lockstep
    from pruning.manifests import columns_of, make_manifest
    from pruning.prepared_units import Preparation
    from pruning.run_costs import noting_cost, this_cpu
    from pruning.score_store import create_or_continue
    from pruning.scorers import check_names, make_scorers
    from pruning.scoring import score_units
    from pruning.sharding import sampled_units
    from pruning.text_corpus import TextCorpus

    begun = time.monotonic()
    check_names(scorers)
    shard = this_shard(num_shards, shard_index, distributed)
    models = [model] if isinstance(model, str) else list(model)
    question = question_to_ask(
        scorers, models, objective=objective, prompt=prompt, yes=yes, no=no, cut=cut
    )
    size = scoring_model.embedding_size(models) if "embedding" in scorers else None
    chosen = make_scorers(
        scorers, parse_settings(settings), seed=seed, question=question, size=size
    )
    if (source is None) == (embeddings is None):
        raise ValueError(
            f"Give --source SOURCE or --embeddings STORE, one of the two; got {source} and {embeddings}."
        )
    if embeddings is not None:
        if sample is not None or where is not None:
            raise ValueError(
                "--embeddings are scored whole, since what is learnt is of all of them: leave out --sample "
                "and --where here; `prune select --where` leaves documents out later."
            )
        return rescore(chosen, embeddings, output, fitted=fitted, shard=shard)
    assert source is not None
    if by_embedding := [s.name for s in chosen if "embedding" in s.reads]:
        raise ValueError(
            f"{', '.join(by_embedding)} needs vectors: run `prune score embedding` on the source first, "
            "and give its store as --embeddings in place of --source."
        )
    corpus = open_source(source, text_field=text_field, fields=fields, split=split)
    earlier = earlier_store(output)
    known = None if earlier is None else {f.path: f for f in earlier.files.values()}
    files = corpus.files(known)
    look_at_fields(corpus, files, text_field)
    rows_taken = open_where(where, files)
    how = Preparation(
        source=corpus, where=rows_taken, max_document_bytes=max_document_bytes, strict=strict
    )
    recorded: dict[str, Any] = {
        "code_version": pruning.__version__,
        "where": None if rows_taken is None else rows_taken.describe(),
        "max_document_bytes": max_document_bytes,
    }
    statistics, lockstep, devices = None, Lockstep(), this_cpu()
    if forward_pass_of(chosen):
        opened = scoring_model.open_scoring_model(
            models,
            chosen,
            vocabulary=vocabulary,
            objective=objective,
            question=question,
            window=window,
            long_documents=long_documents,
            row_length=row_length,
            batch_rows=batch_rows or (earlier.manifest.get("batch_rows") if earlier else None),
            dtype=dtype,
            attention=attention,
            model_devices=model_devices,
        )
        how, recorded = opened.prepare_with(how), recorded | opened.describe()
        statistics, batch_rows = opened.token_statistics, opened.batch_rows
        lockstep, devices = opened.lockstep, opened.devices
    elif vocabulary is not None:
        raise ValueError(
            f"--vocabulary {vocabulary} is given, but none of the scorers {list(scorers)} uses a model."
        )
    all_units = cut_into_units(files, unit_rows)
    made, learnt = learn(
        chosen,
        TextCorpus(units=all_units, how=how),
        source_fitted_on(files, all_units, how),
        fitted=fitted,
        output=output,
        shard=shard,
    )
    if learnt:
        recorded["fitted"] = learnt
    manifest = make_manifest(
        files=files,
        source=corpus.describe(),
        unit_rows=unit_rows,
        scorers={s.name: s.settings() for s in made},
        columns=columns_of(made, learnt),
        settings=recorded,
    )
    store = create_or_continue(output, manifest)
    shard = lockstep.share(shard)
    units = shard.units(sampled_units(store.units, sample, seed), store.units)
    print_plan(store, units, shard)
    with lockstep.explaining_errors(), noting_cost(store.folder, devices, begun) as note:
        done = score_units(
            store,
            units,
            how=how,
            scorers=made,
            model=statistics,
            batch_rows=batch_rows or 1,
            lockstep=lockstep,
            note=note,
        )
    check_unchanged(corpus, store)
    return finish(store, done)


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("score")
