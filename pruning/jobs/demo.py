"""`prune demo`: from text on this machine to a pruned seqio task, in minutes."""

import os
import pathlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass

# What the demo's corpus carries beside its text.
FIELDS = ("domain", "damage")


def demo(
    output: str = "demo",
    *,
    source: str = "python_docs:",
    num_steps: int = 400,
    vocabulary_size: int = 4_000,
    window: int = 256,
    batch_rows: int = 16,
    learning_rate: float = 5.0,
    fraction: float = 0.5,
    seed: int = 0,
) -> dict[str, Any]:
    """Trains a reference model on half of a corpus, scores the other half, prunes it, reads it as a seqio task.

    Each step is one of the other commands, which is printed before it runs. A
    second call goes on where the first one stopped.

    Args:
      output: folder for everything.
      source: the embedded corpus, made of the documentation that comes with Python.
      num_steps: training steps of the reference model.
      vocabulary_size: pieces of its vocabulary.
      window: longest input in tokens.
      batch_rows: packed rows per training step.
      learning_rate: multiplier of T5's schedule; a short run wants more than 1.
      fraction: of the scored documents to keep, from the middle.
      seed: of everything that draws.

    Returns:
      AUC by kind of damage, and the name of the pruned task.
    """
    from pruning.jobs.export import export
    from pruning.jobs.report import report
    from pruning.jobs.score import score
    from pruning.jobs.select_once import select_once
    from pruning.jobs.train import train
    from pruning.selection import Rule

    folder = pathlib.Path(output)
    random_half, half = os.fspath(folder / "scores_random"), os.fspath(folder / "reference_half")
    model, scores = os.fspath(folder / "reference"), os.fspath(folder / "scores")
    kept, tfrecords = os.fspath(folder / "middle"), os.fspath(folder / "tfrecords")
    page = os.fspath(folder / "report.html")

    _say(f"prune score random --source {source} --fields {' '.join(FIELDS)} --output {random_half}")
    score(["random"], source, random_half, fields=FIELDS, seed=seed)

    _say(f"prune select --scores {random_half} --keep low --fraction 0.5 --output {half}")
    select_once([random_half], half, Rule(keep="low", fraction=0.5, seed=seed))

    _say(f"prune train --source {source} --where {half} --num_steps {num_steps} --output {model} …")
    train(
        source,
        model,
        where=half,
        num_steps=num_steps,
        vocabulary_size=vocabulary_size,
        window=window,
        batch_rows=batch_rows,
        learning_rate=learning_rate,
        seed=seed,
    )

    _say(
        f"prune score perplexity --source {source} --where '!{half}' --model {model} --output {scores}"
    )
    score(["perplexity"], source, scores, model=model, where=f"!{half}", fields=FIELDS, seed=seed)

    _say(f"prune select --scores {scores} --keep middle --fraction {fraction} --output {kept}")
    select_once([scores], kept, Rule(keep="middle", fraction=fraction, seed=seed))

    _say(f"prune report --scores {scores} --selection {kept} --output {page}")
    report([scores], page, selection=[kept])

    _say(f"prune export --source {source} --output {tfrecords}")
    export(source, tfrecords, fields=FIELDS)

    _say("seqio_tasks.pruned_task(base='python_docs', selection=…)")
    name = _read_pruned_task(tfrecords, kept, os.path.join(model, "spiece.model"))
    auc = _print_auc(scores)
    print(f"\nOpen {page} to see what was kept.")
    return {"auc": auc, "task": name}


def _say(command: str) -> None:
    print(f"\n\033[1m$ {command}\033[0m" if os.isatty(1) else f"\n$ {command}", flush=True)


def _print_auc(scores: str) -> dict[str, float]:
    """How well nll tells damaged documents from intact ones: 0.5 is chance, 1 is perfect."""
    import numpy as np

    from pruning.report import auc
    from pruning.score_store import open_store

    tables = [table for _, table in open_store(scores).tables(["nll", "damage"])]
    nll_N = np.concatenate([table["nll"].to_numpy() for table in tables])
    damage_N = np.concatenate([table["damage"].to_numpy() for table in tables])
    print("\nChance that a damaged document has a higher nll than an intact one (0.5 is a coin):\n")
    kinds = sorted({str(kind) for kind in damage_N} - {"none"})
    found = {kind: auc(nll_N[damage_N == kind], nll_N[damage_N == "none"]) for kind in kinds}
    for kind, value in found.items():
        print(f"  {kind:<20} {value:.3f}")
    return found


def _read_pruned_task(tfrecords: str, selection: str, vocabulary: str) -> str:
    """Registers the exported corpus and its pruned task, and prints a first batch."""
    import seqio

    from seqio_tasks.pretraining import text_task
    from seqio_tasks.pruned import pruned_task

    base = text_task(
        "python_docs",
        tfrecords={"train": f"{tfrecords}/*.tfrecord"},
        vocabulary=vocabulary,
        objective="causal_lm",
    )
    name = pruned_task(base, selection)
    dataset = seqio.get_dataset(
        name,
        task_feature_lengths={"inputs": 8, "targets": 128},
        dataset_split="train",
        feature_converter=seqio.EncDecFeatureConverter(pack=False),
        shuffle=True,
        seed=0,
    )
    batch = next(dataset.batch(4).as_numpy_iterator())
    number = seqio.get_mixture_or_task(name).num_input_examples("train")
    print(f"seqio task {name}: {number:,} documents. Its first batch:\n")
    for feature, values in sorted(batch.items()):
        print(f"  {feature:<24} {values.dtype} {list(values.shape)}")
    opened = seqio.SentencePieceVocabulary(vocabulary)
    for row, targets in enumerate(batch["decoder_target_tokens"]):
        text = opened.decode([int(t) for t in targets])
        print(f"  targets of row {row}: {' '.join(text.split())[:80]!r}")
    return name
