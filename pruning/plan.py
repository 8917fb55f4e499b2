"""What scoring a corpus takes, from rows a second; and what pretraining it takes."""

import dataclasses

from pruning.objectives import Objective

# Share of positions that hold a token after packing; measured on C4: 95.5 % of Ask-LLM's, 99.3 %
# of windows.
FILL = 0.95
# Share of the peak that pretraining reaches. Published runs of dense models reach 0.3 to 0.55.
TRAINING_UTILIZATION = 0.4


def documents_per_row(objective: Objective, tokens_per_document: float) -> float:
    """How many documents a row has on average, or which share of one.

    Args:
      objective: that says how long a row of one window is.
      tokens_per_document: mean of the corpus, in the model's tokens. Of a document that is
        truncated the window counts; where some are and others are not, this is a lower bound.
    """
    if not objective.is_packed:
        return 1.0
    window = max(objective.lengths)
    room = getattr(objective, "window_tokens", window - 1)
    if getattr(objective, "long_documents", "truncate") == "windows":
        return FILL * room / tokens_per_document
    # What is not room for the document is a prompt around it, or its end.
    return FILL * window / (min(tokens_per_document, room) + window - room)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """Of work on some chips.

    Attributes:
      hours: of all of them together.
      chip_hours: hours times chips.
      dollars: None without a price.
    """

    hours: float
    chip_hours: float
    dollars: float | None


def cost(seconds: float, chips: int, price: float | None) -> Cost:
    """What chips cost for a time.

    Args:
      seconds: that all chips work.
      chips: how many.
      price: of a chip, US dollars an hour.
    """
    chip_hours = seconds / 3600 * chips
    return Cost(
        hours=seconds / 3600,
        chip_hours=chip_hours,
        dollars=None if price is None else chip_hours * price,
    )


def pretraining_flops(parameters: float, tokens: float, *, has_encoder: bool) -> float:
    """Operations of a pretraining run: six for each parameter that a token meets.

    Two in the forward pass, twice that in the backward pass. A token goes through one of an
    encoder-decoder's two stacks, which are taken for equal.

    Args:
      parameters: without the table that embeds tokens, which multiplies nothing.
      tokens: of encoder and decoder, all epochs.
      has_encoder: whether the model is an encoder-decoder.
    """
    return 6 * parameters * tokens / (2 if has_encoder else 1)
