"""How `prune train` learns: the optimizer and the learning rate of a family of models."""

from typing import Any, Literal

OptimizerName = Literal["adafactor", "adamw", "lion"]

# Peaks for 124M and 125M: "When Less is More" section 3.1, "Perplexed by Perplexity" section 3.1.
PEAKS = {"adamw": 1.5e-4, "lion": 2e-4}
# A cosine's warmup, where nobody says how long: this part of the run.
WARMUP_SHARE = 0.02


def optimizer_and_rate(
    config: Any,
    name: OptimizerName | None,
    *,
    learning_rate: float | None,
    hold_steps: int,
    linear_warmup_steps: int | None,
    num_steps: int,
) -> tuple[Any, Any]:
    """The optimizer and the learning rate by step.

    Args:
      config: of the model. By default a T5 learns by Adafactor, GPT by AdamW, MPT by Lion, as in
        the papers.
      name: of the optimizer.
      learning_rate: of Adafactor the multiplier of T5's schedule, 1 by default; of the others the
        peak of a cosine that ends with the run at a tenth.
      hold_steps: of T5's schedule.
      linear_warmup_steps: over which the rate rises from 0.
      num_steps: of the run.
    """
    from models.configs import T5Config
    from models.moment_optimizers import AdamW, Lion, WarmupCosine
    from models.optimizer import Adafactor, LearningRate

    if name is None and isinstance(config, T5Config):
        name = "adafactor"
    name = name or ("adamw" if config.architecture == "gpt2" else "lion")
    if name == "adafactor":
        return Adafactor(), LearningRate(
            multiplier=1.0 if learning_rate is None else learning_rate,
            hold_steps=hold_steps,
            linear_warmup_steps=linear_warmup_steps or 0,
        )
    if linear_warmup_steps is None:
        linear_warmup_steps = int(WARMUP_SHARE * num_steps)
    return (AdamW() if name == "adamw" else Lion()), WarmupCosine(
        peak=PEAKS[name] if learning_rate is None else learning_rate,
        warmup_steps=linear_warmup_steps,
        total_steps=num_steps,
    )
