"""Gin files and commands by which t5x trains the arms of an experiment."""

import os
import shlex
from collections.abc import Sequence

from pruning.experiments.arms import Run
from pruning.jobs.experiment_setting import Setting


def emit_t5x(
    setting: Setting, runs: Sequence[Run], *, pretrain: str, finetune: str | None = None
) -> None:
    """Writes `t5x/ARM_seedS.gin` for every run, and `t5x/commands.sh` with a line for each.

    Every run, the full one too, trains on the task without what its selection drops, so that no
    arm sees what is held out.

    Args:
      setting: the experiment, prepared.
      runs: to write; those of another size than the experiment's are left out.
      pretrain: gin file with model, task and recipe that wants a SELECTION and a MODEL_DIR, as
        those of gin/pretrain.
      finetune: gin file with model, task and recipe of fine-tuning that wants an
        INITIAL_CHECKPOINT_PATH and a MODEL_DIR.
    """
    from etils import epath

    from pruning.jobs.run_job import gin_root
    from pruning.publishing import publish_bytes

    folder = setting.path("t5x")
    os.makedirs(folder, exist_ok=True)
    lines = ["set -e"]
    for run in runs:
        if setting.arm(run.arm).size is not None:
            print(f"{run.arm} is of another size than {pretrain}: it needs a gin file of its own.")
            continue
        texts = {"": pretrain_gin(setting, run, pretrain)}
        if finetune is not None:
            texts["_finetuned"] = finetune_gin(setting, run, finetune)
        for suffix, text in texts.items():
            file = f"{folder}/{run.arm}_seed{run.seed}{suffix}.gin"
            publish_bytes(epath.Path(file), text.encode())
            lines.append(
                f"python -m t5x.train --gin_search_paths={shlex.quote(os.fspath(gin_root()))} "
                f"--gin_file={shlex.quote(file)}"
            )
    publish_bytes(epath.Path(f"{folder}/commands.sh"), ("\n".join(lines) + "\n").encode())
    print(f"{folder}/commands.sh: {len(lines) - 1} commands.")


def pretrain_gin(setting: Setting, run: Run, pretrain: str) -> str:
    """One run as t5x takes it; the lengths of inputs and targets are those of its recipe."""
    return f"""# {run.arm}, seed {run.seed}.
from __gin__ import dynamic_registration

from t5x import utils

include {pretrain!r}

SELECTION = {os.path.abspath(setting.selection(run))!r}
MODEL_DIR = {_model(setting, run)!r}
TRAIN_STEPS = {setting.num_steps}
BATCH_SIZE = {setting.training["batch_rows"]}
RANDOM_SEED = {run.seed}
train/utils.DatasetConfig.seed = {run.seed}
utils.SaveCheckpointConfig.period = {setting.checkpoint_period}
utils.SaveCheckpointConfig.keep = {setting.evaluations}
"""


def finetune_gin(setting: Setting, run: Run, finetune: str) -> str:
    """Fine-tuning of a run's last checkpoint."""
    checkpoint = f"{_model(setting, run)}/checkpoint_{setting.num_steps}"
    return f"""# {run.arm}, seed {run.seed}, fine-tuned.
from __gin__ import dynamic_registration

include {finetune!r}

INITIAL_CHECKPOINT_PATH = {checkpoint!r}
MODEL_DIR = {_model(setting, run) + "_finetuned"!r}
RANDOM_SEED = {run.seed}
"""


def _model(setting: Setting, run: Run) -> str:
    """Where `prune experiment` looks for the run's checkpoints, too."""
    return os.path.abspath(os.path.join(setting.run_folder(run), "model"))
