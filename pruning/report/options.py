"""What a reader chooses."""

import dataclasses
from collections.abc import Sequence

SAMPLE = 20_000  # documents


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What a reader chooses.

    Attributes:
      documents_each: documents to show of every kind.
      at: quantiles to show documents of, beside the ends.
      searched: documents of the sample that can be searched.
      sample: documents of the sample.
      seed: of what is drawn.
      training_tokens: of the run that will read what is kept.
    """

    documents_each: int = 3
    at: Sequence[float] = (0.5,)
    searched: int = 200
    sample: int = SAMPLE
    seed: int = 0
    training_tokens: int | None = None
