"""Gin files and commands by which t5x trains the arms of an experiment; and what it says of them."""

import glob
import json
import os
import re
import shlex
from collections.abc import Sequence

from pruning.experiments.arms import Run, all_runs
from pruning.jobs.experiment_preparation import vocabulary
from pruning.jobs.experiment_setting import Setting

FINETUNED = "_finetuned"
# Of the names of seqio's files of metrics.
_METRICS = "-metrics.jsonl"


def emit_t5x(
    setting: Setting, runs: Sequence[Run], *, size: str, pretrain: str, finetune: str | None = None
) -> None:
    """Writes `t5x/ARM_seedS.gin` for the runs of a size, and a line for each in `t5x/commands.sh`.

    Vocabulary, rows of the table, steps, batch and seed are those of the experiment. Every run, the
    full one too, trains on the task without what its selection drops, so that no arm sees what is
    held out. The commands are those of earlier calls, too.

    Args:
      setting: the experiment, prepared.
      runs: to write; those of another size are left out, and named.
      size: of the model in `pretrain` and `finetune`; see `size_by_t5x.check_can_be_emitted`.
      pretrain: gin file with model, task and recipe that wants a SELECTION and a MODEL_DIR, as
        those of gin/pretrain.
      finetune: gin file with model, task and recipe of fine-tuning that wants an
        INITIAL_CHECKPOINT_PATH, a MODEL_DIR and TRAIN_STEPS.
    """
    from etils import epath

    from pruning.publishing import publish_bytes

    folder = setting.path("t5x")
    os.makedirs(folder, exist_ok=True)
    for run in runs:
        other = setting.size_of(run.arm)
        if other != size:
            print(
                f"{run.arm}, seed {run.seed}, is of size {other}, not {size}, and is left out. Emit "
                f"it, too: --t5x_size {other}, with a --t5x_pretrain of that size."
            )
            continue
        texts = {"": pretrain_gin(setting, run, pretrain)}
        if finetune is not None:
            texts[FINETUNED] = finetune_gin(setting, run, finetune)
        for suffix, text in texts.items():
            publish_bytes(epath.Path(gin_file(setting, run, suffix)), text.encode())
    commands = _commands(setting)
    text = "\n".join(["set -e", *commands]) + "\n"
    publish_bytes(epath.Path(f"{folder}/commands.sh"), text.encode())
    print(f"{folder}/commands.sh: {len(commands)} commands.")


def gin_file(setting: Setting, run: Run, suffix: str = "") -> str:
    """Where the gin file of a run stands."""
    return os.path.abspath(setting.path("t5x", f"{run.arm}_seed{run.seed}{suffix}.gin"))


def finetuned_scores(setting: Setting, run: Run) -> dict[str, float]:
    """What t5x measured at the end of a run's fine-tuning, by `TASK METRIC`.

    The end is that of the run's gin file. Where it is not measured, that is said.
    """
    scores: dict[str, float] = {}
    gin = gin_file(setting, run, FINETUNED)
    is_emitted = os.path.exists(gin)
    end = _last_step(gin) if is_emitted else setting.finetuned_steps
    folder = f"{_model(setting, run)}{FINETUNED}/inference_eval"
    paths = sorted(glob.glob(f"{glob.escape(folder)}/*{_METRICS}"))
    if is_emitted and not paths:
        print(f"{run.arm}, seed {run.seed}, is not fine-tuned: nothing is measured in {folder}.")
    for path in paths:
        task = os.path.basename(path).removesuffix(_METRICS)
        with open(path) as file:
            measured = [json.loads(line) for line in file if line.strip()]
        at_end = [found for found in measured if found["step"] == end]
        if not at_end:
            last = max((found["step"] for found in measured), default=None)
            print(
                f"{path} ends at step {last}, and the fine-tuning of {run.arm}, seed {run.seed}, at "
                f"{end}: it is not in the table."
            )
        for found in at_end:
            numbers = {k: v for k, v in found.items() if k != "step" and isinstance(v, int | float)}
            scores |= {f"{task} {metric}": float(v) for metric, v in numbers.items()}
    return scores


def pretrain_gin(setting: Setting, run: Run, pretrain: str) -> str:
    """One run as t5x takes it; the lengths of inputs and targets are those of its recipe."""
    return f"""# {run.arm}, seed {run.seed}.
from __gin__ import dynamic_registration

import __main__ as train_script
from t5x import utils

include {_whole(pretrain)!r}

{_vocabulary(setting)}
{_objective(setting)}
SELECTION = {os.path.abspath(setting.selection(run))!r}
MODEL_DIR = {_model(setting, run)!r}
TRAIN_STEPS = {setting.num_steps}
BATCH_SIZE = {setting.training["batch_rows"]}
RANDOM_SEED = {run.seed}
train/utils.DatasetConfig.seed = {run.seed}
# t5x wants one of the two periods to be a multiple of the other.
train_script.train.eval_period = {setting.checkpoint_period}
utils.SaveCheckpointConfig.period = {setting.checkpoint_period}
utils.SaveCheckpointConfig.keep = {setting.evaluations}
"""


def finetune_gin(setting: Setting, run: Run, finetune: str) -> str:
    """Fine-tuning of a run's last checkpoint."""
    checkpoint = f"{_model(setting, run)}/checkpoint_{setting.num_steps}"
    return f"""# {run.arm}, seed {run.seed}, fine-tuned.
from __gin__ import dynamic_registration

from t5x import utils

include {_whole(finetune)!r}

{_vocabulary(setting)}
INITIAL_CHECKPOINT_PATH = {checkpoint!r}
MODEL_DIR = {_model(setting, run) + FINETUNED!r}
# Not relative: a run that was stopped would begin to count anew.
TRAIN_STEPS_RELATIVE = None
TRAIN_STEPS = {setting.finetuned_steps}
RANDOM_SEED = {run.seed}
train/utils.DatasetConfig.seed = {run.seed}
"""


def _commands(setting: Setting) -> list[str]:
    """Of every gin file that is there, a run's fine-tuning after the run."""
    from pruning.jobs.run_job import gin_root

    commands = []
    for run in all_runs(setting.arms, setting.seeds):
        for suffix in ("", FINETUNED):
            file = gin_file(setting, run, suffix)
            if os.path.exists(file):
                finished = f"{_model(setting, run)}{suffix}/checkpoint_{_last_step(file)}"
                commands.append(
                    f"test -d {shlex.quote(finished)} || python -m t5x.train "
                    f"--gin_search_paths={shlex.quote(os.fspath(gin_root()))} "
                    f"--gin_file={shlex.quote(file)}"
                )
    return commands


def _last_step(gin: str) -> int:
    """At which t5x ends by a file that was written here."""
    with open(gin) as file:
        (steps,) = re.findall(r"^TRAIN_STEPS = (\d+)$", file.read(), re.MULTILINE)
    return int(steps)


def _model(setting: Setting, run: Run) -> str:
    """Where `prune experiment` looks for the run's checkpoints, too."""
    return os.path.abspath(os.path.join(setting.run_folder(run), "model"))


def _vocabulary(setting: Setting) -> str:
    """The one of the experiment, and a table as `prune train` makes it."""
    from pruning.jobs.reference_model import table_rows
    from pruning.tokenization import open_vocabulary

    path = vocabulary(setting)
    rows = table_rows(open_vocabulary(path))
    return f"VOCABULARY_FILE = {_whole(path)!r}\nVOCABULARY_ROWS = {rows}"


def _objective(setting: Setting) -> str:
    """As the tasks of gin/pretrain take it."""
    objective = setting.training["objective"]
    return f"OBJECTIVE = {objective!r}" if objective else ""


def _whole(path: str) -> str:
    """The path from the root, if it is one from here: t5x may be started elsewhere."""
    return os.path.abspath(path) if os.path.isfile(path) else path
