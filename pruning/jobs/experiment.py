"""`prune experiment`: which part of the data gives the better model."""

from collections.abc import Sequence
from typing import Any, Literal


def experiment(
    source: str,
    output: str,
    *,
    arms: Sequence[str] = ("full", "random"),
    rates: Sequence[float] = (0.5,),
    seeds: Sequence[int] = (0, 1, 2),
    scores: Sequence[str] = (),
    references: Sequence[str] = (),
    reference_steps: int = 10_000,
    reference_fraction: float = 0.2,
    held_out: str | None = None,
    held_out_fraction: float = 0.1,
    where: str | None = None,
    tasks: Sequence[str] = (),
    minimal_pairs: int = 0,
    evaluations: int = 4,
    size: str = "tiny",
    larger_size: str | None = None,
    num_steps: int = 10_000,
    vocabulary: str | None = None,
    vocabulary_size: int = 8_000,
    objective: Literal["span_corruption", "prefix_lm", "causal_lm"] | None = None,
    window: int = 512,
    row_length: int | None = None,
    batch_rows: int = 32,
    optimizer: Literal["adafactor", "adamw", "lion"] | None = None,
    learning_rates: Sequence[str] = (),
    hold_steps: int = 10_000,
    linear_warmup_steps: int | None = None,
    dtype: str = "float32",
    text_field: str = "text",
    fields: Sequence[str] = ("domain",),
    split: str = "train",
    seed: int = 0,
    stage: Literal["all", "prepare", "train", "read"] = "all",
    arm: Sequence[str] = (),
    num_shards: int = 1,
    shard_index: int = 0,
    emit: Literal["t5x"] | None = None,
    t5x_size: str | None = None,
    t5x_pretrain: str = "gin/pretrain/t5_1_1_small_c4.gin",
    t5x_finetune: str | None = None,
    t5x_finetune_steps: int = 262_144,
    docs: str | None = None,
) -> Any:
    """Trains the same model on different parts of a corpus, and compares them; a stopped one goes on.

    A second call does what is missing: arms, seeds and tasks may be added. Random arms draw other
    documents for every seed, so their spread has that of the draw.

    Args:
      source: as of `prune score`.
      output: folder of everything, on a disk.
      arms: full, random, low:SCORE, middle:SCORE, high:SCORE, inverse:SCORE and the other weights of a sample, where SCORE is a column or expression over --scores and --references; or NAME=FOLDER of a selection. NAME=low:SCORE names an arm.
      rates: parts of the pool that rules keep; every rule is one arm per rate.
      seeds: one run of every arm for each.
      scores: score stores of the same source, as DIR or NAME=DIR.
      references: sizes of reference models, such as gpt_tiny or NAME=SIZE, to train on a part of its own and to score the pool with: columns NAME.nll and NAME.el2n.
      reference_steps: steps of each reference model.
      reference_fraction: part of the documents that they are trained on.
      held_out: folder of a selection whose documents no arm sees and all are evaluated on (with ! before it, those that it drops); by default a random part.
      held_out_fraction: that part.
      where: folder of a selection: only what it keeps, or with ! before it what it drops, is drawn into the parts. A vocabulary is still trained on all that is not held out, and --held_out still evaluated whole.
      tasks: JSON Lines of multiple choice with context, options and answer, as NAME=FILE or CATEGORY/NAME=FILE; or for FILE seqio:TASK or seqio:TASK@SPLIT, a registered task in seqio's form of rank classification.
      minimal_pairs: pairs of a held-out text and the same one damaged, so many of each kind.
      evaluations: checkpoints of each run that are kept and evaluated, evenly spaced.
      size: of the model that every arm trains, as of `prune train`.
      larger_size: the next larger model, trained on the full pool too, for over-scaling.
      num_steps: of every run.
      vocabulary: SentencePiece file, or `bytes`; without it one is trained on what is not held out.
      vocabulary_size: pieces of a vocabulary that is trained.
      objective: what the model learns to predict, as of `prune train`.
      window: longest input in tokens.
      row_length: as of `prune train`.
      batch_rows: packed rows per step.
      optimizer: as of `prune train`.
      learning_rates: SIZE=RATE, as --learning_rate of `prune train`; by default its own.
      hold_steps: as of `prune train`.
      linear_warmup_steps: as of `prune train`.
      dtype: of activations, float32 or bfloat16.
      text_field: field with the text.
      fields: fields of few values by which held-out loss is told apart, such as domain.
      split: of tfds and seqio sources.
      seed: of the splits, the pairs and the reference models.
      stage: prepare what the arms share, train and evaluate runs, or read what is finished; by default all three.
      arm: train only the arms of these names.
      num_shards: of the jobs of an array that share the runs, after one job with --stage prepare.
      shard_index: of this one, from 0.
      emit: t5x writes a gin file and a command for every run of --t5x_size instead of training.
      t5x_size: of the model in --t5x_pretrain and --t5x_finetune; by default --size. A second call with that of --larger_size emits the larger arm.
      t5x_pretrain: gin file with model, task and recipe that wants a SELECTION, such as those of gin/pretrain.
      t5x_finetune: gin file with model, task and recipe of fine-tuning, which every run is then put through; the scores of its seqio task come into the table.
      t5x_finetune_steps: of fine-tuning; by default the 2^18 of T5.
      docs: document that gets the table, between its lines `<!-- experiment NAME -->` and `<!-- end of experiment NAME -->`, where NAME is the last part of output.

    Returns:
      The results; of `--stage prepare` and `train`, and with `--emit`, None.

    Raises:
      ValueError: a setting cannot be used, or the folder belongs to another experiment.
    """
    from pruning.experiments.arms import parse_arms, runs_of
    from pruning.jobs import experiment_preparation, experiment_reading, experiment_run
    from pruning.jobs.cpu_devices import one_cpu_device
    from pruning.jobs.emit_t5x import emit_t5x
    from pruning.jobs.experiment_setting import Setting, named, named_tasks
    from pruning.jobs.size_by_t5x import check_can_be_emitted
    from pruning.object_stores import is_object
    from pruning.sharding import Shard

    if is_object(output):
        raise ValueError(
            f"An experiment does not write to an object store; got --output {output}. Expected a "
            "folder on a disk, which all jobs of an array see: write there, and copy it afterwards."
        )
    training = {
        "num_steps": num_steps,
        "vocabulary": vocabulary,
        "vocabulary_size": vocabulary_size,
        "objective": objective,
        "window": window,
        "row_length": row_length,
        "batch_rows": batch_rows,
        "optimizer": optimizer,
        "hold_steps": hold_steps,
        "linear_warmup_steps": linear_warmup_steps,
        "dtype": dtype,
    }
    setting = Setting(
        output=output,
        source=source,
        text_field=text_field,
        split=split,
        where=where,
        fields=tuple(fields),
        arms=parse_arms(arms, rates, larger_size=larger_size),
        seeds=tuple(seeds),
        scores=tuple(scores),
        references=named(references),
        training=training,
        learning_rates={k: float(v) for k, v in named(learning_rates).items()},
        size=size,
        evaluations=evaluations,
        tasks=named_tasks(tasks),
        minimal_pairs=minimal_pairs,
        held_out=held_out,
        held_out_fraction=held_out_fraction,
        reference_fraction=reference_fraction,
        reference_steps=reference_steps,
        finetune_steps=t5x_finetune_steps,
        seed=seed,
    )
    runs = runs_of(setting.arms, setting.seeds, only=arm, shard=Shard(shard_index, num_shards))
    if emit is not None:
        check_can_be_emitted(setting, t5x_size or size)
    one_cpu_device()
    if stage in ("all", "prepare"):
        experiment_preparation.prepare(setting)
    if stage in ("all", "train"):
        experiment_preparation.check_prepared(setting)
        if emit is not None:
            emit_t5x(
                setting,
                runs,
                size=t5x_size or size,
                pretrain=t5x_pretrain,
                finetune=t5x_finetune,
            )
            return None
        for number, run in enumerate(runs, start=1):
            print(f"\n{run.arm}, seed {run.seed}: run {number} of {len(runs)}.", flush=True)
            experiment_run.do_run(setting, run)
    if stage in ("prepare", "train"):
        return None
    results = experiment_reading.read_results(setting, larger_size)
    experiment_reading.write(setting, results, experiment_reading.command_line(output), docs)
    return results


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("experiment")
