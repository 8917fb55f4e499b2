"""How often a run reads what a selection keeps."""

from collections.abc import Mapping
from typing import Any

# "Perplexed by Perplexity", section 3.5 on data-constrained pruning: pruning by half helps while
# the run repeats its data up to 4 times after pruning, and no longer beyond.
MOST_EPOCHS = 4


def training_plan(training_tokens: int | None, counts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Epochs that a run makes over the kept documents; None where none is planned.

    Args:
      training_tokens: that the run sees.
      counts: of the selection; tokens are of whole texts, before a run cuts or packs them.

    Raises:
      ValueError: the number is none above 0, or the stores have no tokens.
    """
    if training_tokens is None:
        return None
    if training_tokens < 1:
        raise ValueError(f"--training_tokens is at least 1; got {training_tokens}.")
    if not counts["kept_tokens"]:
        raise ValueError(
            "--training_tokens needs the tokens of what is kept, and the stores count none. Add a "
            "store whose scorer has a vocabulary, such as perplexity."
        )
    epochs = training_tokens / counts["kept_tokens"]
    return {"training_tokens": training_tokens, "epochs": epochs, "most_epochs": MOST_EPOCHS}


def plan_sentence(plan: Mapping[str, Any]) -> str:
    """The plan in words, with a warning where pruning is not known to help."""
    sentence = f"{plan['training_tokens']:,} training tokens are {plan['epochs']:.2f} epochs."
    if plan["epochs"] > plan["most_epochs"]:
        sentence += (
            f" Warning: beyond {plan['most_epochs']} epochs pruning no longer helped in "
            '"Perplexed by Perplexity" (data-constrained pruning). Keep more.'
        )
    return sentence
