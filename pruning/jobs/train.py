"""`prune train`: a reference model."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from pruning.documents import DEFAULT_UNIT_ROWS
from pruning.wording import plural


def train(
    source: str,
    output: str,
    *,
    size: str | None = None,
    num_steps: int = 10_000,
    vocabulary: str | None = None,
    vocabulary_size: int = 8_000,
    objective: Literal["span_corruption", "prefix_lm", "causal_lm", "ask_llm"] | None = None,
    answer_yes: str | None = None,
    prompt: str | None = None,
    yes: Sequence[str] = (),
    no: Sequence[str] = (),
    initial_checkpoint: str | None = None,
    window: int = 512,
    row_length: int | None = None,
    batch_rows: int = 32,
    optimizer: Literal["adafactor", "adamw", "lion"] | None = None,
    learning_rate: float | None = None,
    hold_steps: int = 10_000,
    linear_warmup_steps: int | None = None,
    dropout_rate: float = 0.0,
    dtype: str = "float32",
    where: str | None = None,
    text_field: str = "text",
    split: str = "train",
    seed: int = 0,
    unit_rows: int = DEFAULT_UNIT_ROWS,
    max_document_bytes: int = 1_000_000,
    checkpoint_period: int | None = None,
    keep: int = 1,
    strict: bool = False,
) -> str:
    """Trains a reference model on a source, or one that answers ask_llm; a stopped run goes on.

    Args:
      source: as of `prune score`.
      output: folder of the model: t5x checkpoints, config.json, vocabulary, TensorBoard.
      size: tiny, mini, or a public one such as t5_1_1_small; decoder-only: gpt_124m, mpt_125m and more; by default tiny, or that of initial_checkpoint.
      num_steps: training steps in all.
      vocabulary: SentencePiece file, or `bytes`; without it one is trained on the source.
      vocabulary_size: pieces of a vocabulary that is trained.
      objective: what the model learns to predict: the text, or for ask_llm the answer to a question about it; by default span_corruption, and causal_lm without an encoder.
      answer_yes: FIELD=VALUE, such as damage=none: ask_llm answers yes for documents whose field has this value, and no for others.
      prompt: of ask_llm: text file with {document} where the document goes; by default the prompt of the paper.
      yes: spellings of ask_llm's yes, each one token; the first is what the model learns to say; by default yes.
      no: spellings of its no; by default no.
      initial_checkpoint: model to start from, as of `prune score`, with its vocabulary; by default random parameters.
      window: longest input in tokens.
      row_length: positions of a packed row's longer side, the other in proportion; by default one window.
      batch_rows: packed rows per step.
      optimizer: by default adafactor for a T5, adamw for gpt, lion for mpt.
      learning_rate: of adafactor, multiplier of T5's schedule 1 / sqrt(max(step, hold_steps)), by default 1; of the others the peak of a cosine that ends with the run, by default 1.5e-4 and 2e-4.
      hold_steps: steps for which the schedule stays at its first value; t5x calls it warmup_steps.
      linear_warmup_steps: steps over which the rate rises from 0; by default none, and 2 percent of the run for adamw and lion.
      dropout_rate: in training.
      dtype: of activations, float32 or bfloat16; parameters are float32.
      where: folder of a selection: train only on what it keeps, or with ! before it on what it drops.
      text_field: field with the text.
      split: of tfds and seqio sources.
      seed: of initialisation, shuffling and noise masks.
      unit_rows: records that are shuffled and packed together, eight such units at a time.
      max_document_bytes: documents of this size or larger are left out.
      checkpoint_period: steps between checkpoints; by default a tenth of the run, at most 1,000.
      keep: how many of the latest checkpoints stay.
      strict: make the first bad record an error.

    Returns:
      The last checkpoint's folder.

    Raises:
      ValueError: a setting cannot be used, or the folder belongs to another run.
    """
    from models.checkpoints.t5x_orbax import check_writable
    from models.configs import T5Config, check_dtype
    from models.partitioning import make_mesh
    from models.training import train as train_model
    from pruning.asked_documents import KnownAnswer, ask_about
    from pruning.documents import cut_into_units
    from pruning.jobs.compiled_programs import cache_compiled_programs
    from pruning.jobs.open_question import question_to_learn
    from pruning.jobs.open_source import open_source
    from pruning.jobs.open_where import open_where
    from pruning.jobs.reference_model import corpus_record, find_or_train_vocabulary
    from pruning.jobs.scoring_model import row_shape
    from pruning.jobs.starting_point import starting_point
    from pruning.jobs.training_recipe import optimizer_and_rate
    from pruning.prepared_units import Preparation
    from pruning.text_objectives import make_objective
    from pruning.tokenization import ByteVocabulary
    from pruning.training_batches import TrainingBatches

    # Whatever can be refused is, before minutes go into a vocabulary.
    if checkpoint_period is None:
        checkpoint_period = min(1_000, max(1, num_steps // 10))
    _check_positive(
        num_steps=num_steps, batch_rows=batch_rows, checkpoint_period=checkpoint_period, keep=keep
    )
    check_dtype(dtype)
    check_writable(output)
    start = starting_point(
        size, initial_checkpoint, vocabulary, output=output, dtype=dtype, dropout_rate=dropout_rate
    )
    has_encoder = isinstance(start.config, T5Config)
    objective = objective or ("span_corruption" if has_encoder else "causal_lm")
    if not has_encoder and objective != "causal_lm":
        raise ValueError(
            f"{start.name} has no encoder and learns by causal_lm: leave out --objective {objective}."
        )
    question = question_to_learn(objective, answer_yes=answer_yes, prompt=prompt, yes=yes, no=no)
    known_answer = KnownAnswer.parse(answer_yes) if answer_yes else None
    chosen, rate = optimizer_and_rate(
        start.config,
        optimizer,
        learning_rate=learning_rate,
        hold_steps=hold_steps,
        linear_warmup_steps=linear_warmup_steps,
        num_steps=num_steps,
    )
    if question is None:
        # Every vocabulary has as many sentinels as that of bytes, and no more is looked at here.
        row_shape(make_objective(objective, ByteVocabulary(), window), row_length)
    fields = [known_answer.field] if known_answer else []
    corpus = open_source(source, text_field=text_field, fields=fields, split=split)
    files = corpus.files()
    units = cut_into_units(files, unit_rows)
    how = Preparation(
        source=corpus,
        where=open_where(where, files),
        max_document_bytes=max_document_bytes,
        strict=strict,
    )
    trained_on = corpus_record(how, files, unit_rows=unit_rows) | {
        "vocabulary_size": vocabulary_size if start.vocabulary is None else None
    }
    cache_compiled_programs()
    opened, name = find_or_train_vocabulary(
        output, start.vocabulary, how=how, units=units, trained_on=trained_on, question=question
    )
    goal = (
        make_objective(objective, opened, window, has_encoder=has_encoder)
        if question is None
        else ask_about(question, opened, window, known_answer)
    )
    shape = row_shape(goal, row_length)
    batches = TrainingBatches(
        dataclasses.replace(how, vocabulary=opened, objective=goal, shape=shape),
        units,
        batch_rows=batch_rows,
        seed=seed,
    )
    recipe = trained_on | {
        "vocabulary": name,
        "vocabulary_digest": opened.digest,
        "objective": objective,
        "window": window,
        "row": vars(shape),
        "batch_rows": batch_rows,
        **start.describe(),
    }
    if question is not None:
        recipe |= {"question": question.describe(), "answer_yes": answer_yes}
    with contextlib.closing(batches), _progress(output, num_steps) as on_step:
        checkpoint = train_model(
            start.config_with(opened),
            batches,
            output=output,
            num_steps=num_steps,
            recipe=recipe,
            initial_params=start.params,
            optimizer=chosen,
            learning_rate=rate,
            seed=seed,
            checkpoint_period=checkpoint_period,
            keep=keep,
            mesh=make_mesh(),
            on_step=on_step,
        )
    print(f"{output}: {start.name} model, {plural(num_steps, 'step')}, in {checkpoint.name}.")
    return os.fspath(checkpoint)


def _check_positive(**settings: int) -> None:
    for name, value in settings.items():
        if value < 1:
            raise ValueError(f"--{name} is {value}; it must be at least 1.")


@contextlib.contextmanager
def _progress(output: str, num_steps: int) -> Iterator[Callable[[int, dict[str, float]], None]]:
    from models.checkpoints import t5x_orbax
    from pruning.progress import progress

    reported = max(t5x_orbax.steps(output), default=0)
    with progress("train", num_steps, "steps", done=reported) as advance:

        def on_step(step: int, metrics: dict[str, float]) -> None:
            nonlocal reported
            advance(
                step - reported,
                loss=f"{metrics['loss']:.3f}",
                tokens=f"{metrics['tokens_per_second']:,.0f}/s",
            )
            reported = step

        yield on_step


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("train")
