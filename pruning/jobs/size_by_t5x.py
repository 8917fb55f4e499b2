"""Whether the model that t5x trains for an experiment is of the size that its arm names."""

import os

from pruning.jobs.experiment_setting import Setting

# What the shapes in a checkpoint tell, but the rows of the table: those may be padded.
_FIELDS = (
    "d_model",
    "num_heads",
    "head_dim",
    "d_ff",
    "num_encoder_layers",
    "num_decoder_layers",
    "relative_attention_num_buckets",
    "position_bias",
    "mlp",
    "tied_embedding",
)


def check_can_be_emitted(setting: Setting, size: str) -> None:
    """Refuses a size that t5x's T5 is not, or that no arm trains.

    Args:
      setting: the experiment.
      size: that the gin file is said to train.

    Raises:
      ValueError: says what it is, and what to give.
    """
    from models.configs import T5Config, named_config

    sizes = sorted({setting.size_of(arm.name) for arm in setting.arms})
    if size not in sizes:
        raise ValueError(
            f"--t5x_size is {size}, and no arm is of that size; they are of {', '.join(sizes)}. "
            "Give one of these."
        )
    if not isinstance(named_config(size), T5Config):
        raise ValueError(
            f"Size {size} has no encoder, and --emit t5x writes gin files for t5x's T5, which has "
            "one. Give a T5 size such as t5_1_1_small, or leave --emit away to train it here."
        )


def check_trained(checkpoint: str, size: str) -> None:
    """Refuses a checkpoint of t5x whose shapes are not those of a size.

    Args:
      checkpoint: folder; its arrays are not read.
      size: of the arm, as of `models.configs.named_config`.

    Raises:
      ValueError: names every field that differs, with both values.
    """
    from models.checkpoints import open_model
    from models.configs import named_config

    found, expected = open_model(checkpoint).config, named_config(size)
    values = [(name, getattr(found, name, None), getattr(expected, name)) for name in _FIELDS]
    differing = [f"{name} {has}, not {wanted}" for name, has, wanted in values if has != wanted]
    if differing:
        raise ValueError(
            f"{checkpoint}, which t5x trained, is not of size {size}: it has {'; '.join(differing)}. "
            f"Delete {os.path.dirname(checkpoint)} and emit the run again with a --t5x_pretrain "
            "whose model is of that size, or begin another experiment with the size that it has."
        )
