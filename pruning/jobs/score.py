"""`prune score`: scores for every document of a source."""

from collections.abc import Sequence
from typing import Any, Literal

import pruning
from pruning.documents import DEFAULT_UNIT_ROWS, Source, SourceFile
from pruning.score_store import ScoreStore

# Looked at before a run, for a text field that is not there.
FIRST_RECORDS = 100


def score(
    scorers: Sequence[str],
    source: str,
    output: str,
    *,
    model: str | None = None,
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
    text_field: str = "text",
    fields: Sequence[str] = (),
    split: str = "train",
    where: str | None = None,
    sample: float | None = None,
    seed: int = 0,
    unit_rows: int = DEFAULT_UNIT_ROWS,
    max_document_bytes: int = 1_000_000,
    strict: bool = False,
) -> dict[str, Any]:
    """Scores a corpus into a score store, or continues one.

    Args:
      scorers: names: ask_llm, perplexity, random; one forward pass serves all.
      source: jsonl:PATTERN, parquet:PATTERN, text:PATTERN, tfds:NAME/CONFIG:VERSION, seqio:TASK or python_docs:
      output: folder of the score store; a killed run continues in it.
      model: folder of `prune train`, t5x checkpoint, or Hugging Face folder or name.
      vocabulary: SentencePiece file, or `bytes`; by default the one beside the model.
      objective: what the model predicts for perplexity; by default what it was trained on, else span_corruption.
      window: longest input in tokens; by default what the model was trained on, else 512.
      long_documents: cut documents longer than the window into windows whose losses add up, or truncate them; ask_llm always truncates.
      prompt: of ask_llm: text file with {document} where the document goes; by default what the model was trained to answer, else the prompt of the paper.
      yes: spellings of ask_llm's yes, each one token, whose probabilities add up; by default yes.
      no: spellings of its no; by default no.
      cut: what ask_llm reads of a document too long for the window: its first tokens, or their text tokenized again as nano-askllm does; by default tokens.
      row_length: positions of a packed row's longer side, the other in proportion; by default one window.
      batch_rows: rows that the model computes at a time; by default what suits the device.
      dtype: of activations, float32 or bfloat16; accumulation is always float32.
      attention: cudnn is a fused kernel of NVIDIA GPUs, in bfloat16 only; not measured yet.
      text_field: field with the text.
      fields: other fields to carry along with the scores, such as domain and url.
      split: of tfds and seqio sources.
      where: folder of a selection: score only what it keeps, or with ! before it only what it drops.
      sample: score this share of the units first; a later run without it continues the store.
      seed: of the random scorer and of the sample.
      unit_rows: records per unit, which is what a run resumes by.
      max_document_bytes: documents of this size or larger are counted and not scored.
      strict: make the first bad record an error.

    Returns:
      The store's counts, as in its _SUCCESS.
    """
    from pruning.jobs.open_question import question_to_ask
    from pruning.jobs.open_source import open_source
    from pruning.jobs.open_where import open_where
    from pruning.prepared_units import Preparation
    from pruning.score_store import create_or_continue, make_manifest
    from pruning.scorers import make_scorers
    from pruning.scoring import sampled_units, score_units
    from pruning.store_counts import count

    question = question_to_ask(
        scorers, model, objective=objective, prompt=prompt, yes=yes, no=no, cut=cut
    )
    chosen = make_scorers(scorers, seed=seed, question=question)
    corpus = open_source(source, text_field=text_field, fields=fields, split=split)
    earlier = _earlier_store(output)
    known = None if earlier is None else {f.path: f for f in earlier.files.values()}
    files = corpus.files(known)
    _look_at_fields(corpus, files, text_field)
    rows_taken = open_where(where, files)
    how = Preparation(
        source=corpus,
        long_documents=long_documents,
        where=rows_taken,
        max_document_bytes=max_document_bytes,
        strict=strict,
    )
    settings: dict[str, Any] = {
        "code_version": pruning.__version__,
        "where": None if rows_taken is None else rows_taken.describe(),
        "max_document_bytes": max_document_bytes,
    }
    statistics = None
    batch_rows = batch_rows or (earlier and earlier.manifest.get("batch_rows"))
    if any(scorer.needs for scorer in chosen):
        from pruning.jobs.scoring_model import open_scoring_model

        opened = open_scoring_model(
            model,
            vocabulary=vocabulary,
            objective=objective,
            question=question,
            window=window,
            row_length=row_length,
            batch_rows=batch_rows,
            dtype=dtype,
            attention=attention,
        )
        how = opened.prepare_with(how)
        settings |= {**opened.describe(), "long_documents": how.long_documents}
        statistics, batch_rows = opened.token_statistics, opened.batch_rows
    elif vocabulary is not None:
        raise ValueError(
            f"--vocabulary {vocabulary} is given, but none of the scorers {list(scorers)} uses a model."
        )
    manifest = make_manifest(
        files=files,
        source=corpus.describe(),
        unit_rows=unit_rows,
        scorers={s.name: s.settings() for s in chosen},
        columns=[vars(column) for s in chosen for column in s.columns],
        settings=settings,
    )
    store = create_or_continue(output, manifest)
    units = sampled_units(store.units, sample, seed)
    if sample is not None:
        print(
            f"--sample {sample}: {len(units):,} of {len(store.units):,} units of up to "
            f"{unit_rows:,} records.",
            flush=True,
        )
    done = score_units(
        store,
        units,
        how=how,
        scorers=chosen,
        model=statistics,
        batch_rows=batch_rows or 1,
    )
    _check_unchanged(corpus, store)
    counts = count(store)
    missing = len(store.missing_units())
    if not missing:
        store.write_success(counts)
    print(_summary(output, counts, missing, len(store.units)))
    if done.allocated_positions:
        print(
            f"This run: {done.documents:,} documents, {done.tokens:,} tokens in {done.seconds:.1f} s "
            f"({done.tokens_per_second:,.0f} tokens/s), fill {done.fill:.1%}."
        )
    return counts


def _earlier_store(output: str):
    from etils import epath

    from pruning.score_store import open_store

    return open_store(output) if (epath.Path(output) / "manifest.json").exists() else None


def _look_at_fields(corpus: Source, files: Sequence[SourceFile], text_field: str) -> None:
    """Refuses a text field that none of the first records has, and names other such fields."""
    first = next((file for file in files if file.num_rows), None)
    if first is None:
        return
    documents = list(corpus.read(first.path, 0, min(first.num_rows, FIRST_RECORDS)))
    if len(documents) == FIRST_RECORDS and all(d.reason == "missing_field" for d in documents):
        raise ValueError(
            f"None of the first {FIRST_RECORDS} records of {first.path} has a field {text_field!r}. "
            "Give --text_field the name of the field that holds the text."
        )
    for name in corpus.describe()["fields"]:
        if all(document.fields.get(name) is None for document in documents):
            print(
                f"None of the first {len(documents)} records of {first.path} has a field {name!r}."
            )


def _check_unchanged(corpus: Source, store: ScoreStore) -> None:
    """A file that was written to while it was read has rows that nobody can vouch for."""
    known = store.files
    for file in corpus.files(known):
        if file != known.get(file.path):
            raise ValueError(
                f"{file.path} changed while it was scored: it was {known.get(file.path)}, and is {file}. "
                f"Delete {store.folder} and score the corpus when nothing writes to it."
            )


def _summary(output: str, counts: dict[str, Any], missing: int, units: int) -> str:
    lines = [
        f"{output}: {counts['scored']:,} of {counts['rows']:,} documents scored, "
        f"{counts['n_tokens']:,} tokens."
    ]
    if counts["truncated"]:
        lines.append(f"  {counts['truncated']:,} longer than the window, scored on their beginning")
    for what, numbers in (("without a score", counts["unscored"]), ("noted", counts["notes"])):
        for key, n in numbers.items():
            ids = counts["examples"].get(key, [])
            lines.append(f"  {n:,} {what}: {key}" + (f" (such as {', '.join(ids)})" if ids else ""))
    if missing:
        lines.append(
            f"  {missing:,} of {units:,} units are still to do; the same command without --sample "
            "does them."
        )
    return "\n".join(lines)


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("score")
