"""What the arms of an experiment read, and what they and their reference models cost."""

import re

from pruning.experiments.arms import Arm, Run, all_runs
from pruning.experiments.results import ArmCost
from pruning.jobs.experiment_preparation import is_complete, vocabulary
from pruning.jobs.experiment_run import HELD_OUT, evaluation_folder
from pruning.jobs.experiment_setting import Setting


def arm_costs(setting: Setting) -> dict[str, ArmCost]:
    """By arm; nothing before the first run is finished.

    Tokens are estimated from bytes, at the rate of the held-out documents: not every store counts
    them.
    """
    from pruning.keep_bits import read_selection
    from pruning.score_store import open_store
    from pruning.store_counts import count as store_counts

    runs = all_runs(setting.arms, setting.seeds)
    stores = [f"{evaluation_folder(setting, run, setting.num_steps)}/{HELD_OUT}" for run in runs]
    finished = [store for store in stores if is_complete(store)]
    if not finished:
        return {}
    counts = store_counts(open_store(finished[0]))
    per_byte = counts["n_tokens"] / counts["n_bytes"]
    found = {}
    for arm in setting.arms:
        kept = read_selection(setting.selection(Run(arm.name, setting.seeds[0])))
        size = kept.info.get("counts", {}).get("kept_bytes")
        flops, read = _training(
            setting, setting.size_of(arm.name), setting.num_steps, setting.training["objective"]
        )
        found[arm.name] = ArmCost(
            documents=kept.num_kept,
            tokens=None if size is None else round(size * per_byte),
            epochs=None if size is None else read / (size * per_byte),
            flops=flops,
            reference_flops=_references(setting, arm, per_byte),
        )
    return found


def _references(setting: Setting, arm: Arm, tokens_per_byte: float) -> float:
    """To train and to score the pool with the references that the arm ranks by."""
    from pruning.keep_bits import read_selection

    pool = read_selection(setting.pool).info["counts"]["kept_bytes"] * tokens_per_byte
    total = 0.0
    for name, size in setting.references.items():
        if arm.rule is not None and re.search(rf"\b{re.escape(name)}\.", arm.score or ""):
            flops, read = _training(setting, size, setting.reference_steps, None)
            # Scoring is a forward pass, a third of a step of training.
            total += flops + flops / read * pool / 3
    return total


def _training(
    setting: Setting, size: str, num_steps: int, objective: str | None
) -> tuple[float, float]:
    """Operations of a run, and the tokens of text it reads: the positions of the longer side.

    Without an objective it is the one of the model's family.
    """
    from models.configs import T5Config, named_config
    from models.mesh_choice import num_parameters
    from pruning.jobs.reference_model import model_config
    from pruning.jobs.scoring_model import row_shape
    from pruning.plan import pretraining_flops
    from pruning.text_objectives import make_objective
    from pruning.tokenization import ByteVocabulary, open_vocabulary

    config = model_config(named_config(size), open_vocabulary(vocabulary(setting)))
    has_encoder = isinstance(config, T5Config)
    objective = objective or ("span_corruption" if has_encoder else "causal_lm")
    made = make_objective(
        objective, ByteVocabulary(), setting.training["window"], has_encoder=has_encoder
    )
    shape = row_shape(made, setting.training["row_length"])
    lengths = (shape.encoder_length, shape.decoder_length)
    rows = num_steps * setting.training["batch_rows"]
    # A table that is the head, too, is multiplied with.
    table = 0 if getattr(config, "tied_embedding", True) else config.vocab_size * config.d_model
    parameters = num_parameters(config) - table
    flops = pretraining_flops(parameters, rows * sum(lengths), has_encoder=has_encoder)
    return flops, rows * max(lengths)
