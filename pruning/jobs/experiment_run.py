"""One run of an experiment: train, then evaluate every checkpoint that was kept."""

import json
import os
from collections.abc import Sequence

from pruning.experiments.arms import Run
from pruning.jobs.experiment_preparation import is_complete, training_of, vocabulary
from pruning.jobs.experiment_setting import Setting

HELD_OUT, PAIRS = "held_out", "pairs"


def do_run(setting: Setting, run: Run) -> None:
    """Trains and evaluates, or goes on where an earlier call stopped."""
    from models.checkpoints import t5x_orbax
    from pruning.jobs.emit_t5x import gin_file
    from pruning.jobs.size_by_t5x import check_trained
    from pruning.jobs.train import train

    size = setting.size_of(run.arm)
    model = os.path.join(setting.run_folder(run), "model")
    by_t5x = gin_file(setting, run)
    is_trained = setting.num_steps in t5x_orbax.steps(model)
    if not is_trained and os.path.exists(by_t5x):
        print(
            f"t5x trains this run, and has not finished it: python -m t5x.train --gin_file={by_t5x}"
        )
    elif not is_trained:
        train(
            output=model,
            **setting.corpus,
            where=setting.selection(run),
            seed=run.seed,
            checkpoint_period=setting.checkpoint_period,
            keep=setting.evaluations,
            **training_of(setting, size),
        )
    for step in t5x_orbax.steps(model):
        checkpoint = f"{model}/checkpoint_{step}"
        if os.path.exists(by_t5x):
            check_trained(checkpoint, size)
        evaluate(setting, checkpoint, evaluation_folder(setting, run, step))


def evaluation_folder(setting: Setting, run: Run, step: int) -> str:
    return os.path.join(setting.run_folder(run), "evaluations", str(step))


def task_file(folder: str, task: str) -> str:
    """Where the nll of a task's options lie."""
    return os.path.join(folder, f"{task.replace('/', '.')}.json")


def is_evaluated(setting: Setting, folder: str) -> bool:
    """Whether nothing of an evaluation is missing."""
    stores = [HELD_OUT, *([PAIRS] if setting.minimal_pairs else [])]
    return all(is_complete(os.path.join(folder, store)) for store in stores) and all(
        os.path.exists(task_file(folder, task)) for task in setting.tasks
    )


def evaluate(setting: Setting, checkpoint: str, folder: str) -> None:
    """Losses of held-out documents and pairs as score stores, and options as JSON."""
    from pruning.jobs.score import score

    # A checkpoint of t5x does not say what it was trained with.
    how = {
        "model": [checkpoint],
        "vocabulary": vocabulary(setting),
        "objective": setting.training["objective"],
        "window": setting.training["window"],
        "dtype": setting.training["dtype"],
    }
    held_out, pairs = (os.path.join(folder, name) for name in (HELD_OUT, PAIRS))
    if not is_complete(held_out):
        score(
            ["perplexity"],
            output=held_out,
            **setting.corpus,
            where=setting.held_out_selection,
            fields=setting.fields,
            **how,
        )
    if setting.minimal_pairs and not is_complete(pairs):
        score(["perplexity"], f"jsonl:{setting.pairs}", pairs, fields=("pair",), **how)
    missing = [task for task in setting.tasks if not os.path.exists(task_file(folder, task))]
    if missing:
        _ask(setting, missing, checkpoint, folder)


def _ask(setting: Setting, tasks: Sequence[str], checkpoint: str, folder: str) -> None:
    from etils import epath

    from pruning.experiments.rank_classification import option_nlls
    from pruning.jobs.questions import open_questions
    from pruning.jobs.scoring_model import open_scoring_model
    from pruning.publishing import publish_bytes
    from pruning.scorers import make_scorers

    model = open_scoring_model(
        [checkpoint],
        make_scorers(["perplexity"]),
        vocabulary=vocabulary(setting),
        objective=setting.training["objective"],
        window=setting.training["window"],
        row_length=None,
        batch_rows=None,
        dtype=setting.training["dtype"],
    )
    os.makedirs(folder, exist_ok=True)
    for task in tasks:
        questions, digest = open_questions(setting.tasks[task])
        nlls = option_nlls(
            questions,
            vocabulary=model.vocabulary,
            window=setting.training["window"],
            reads=how_it_reads(model.objective),
            model=model.token_statistics,
            batch_rows=model.batch_rows,
        )
        found = {
            "questions": digest,
            "answers": [question.answer for question in questions],
            "nll": [nll_O.tolist() for nll_O in nlls],
        }
        publish_bytes(epath.Path(task_file(folder, task)), (json.dumps(found) + "\n").encode())


def how_it_reads(objective):
    """How a model that was trained by an objective reads a context and an option."""
    from pruning.span_corruption import SpanCorruption

    if not getattr(objective, "has_encoder", True):
        return "prefix"
    return "blank" if objective.name == SpanCorruption.name else "encoder"
