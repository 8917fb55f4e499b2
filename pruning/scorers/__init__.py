"""One scorer a file. SCORERS is the only list of them."""

from collections.abc import Callable, Sequence

from pruning.scorers.perplexity import Perplexity
from pruning.scorers.random_control import Random
from pruning.scorers.scorer import Column as Column
from pruning.scorers.scorer import ScorableDocuments as ScorableDocuments
from pruning.scorers.scorer import Scorer as Scorer

SCORERS: dict[str, Callable[..., Scorer]] = {
    "perplexity": lambda seed: Perplexity(),
    "random": lambda seed: Random(seed=seed),
}


def make_scorers(names: Sequence[str], *, seed: int = 0) -> list[Scorer]:
    """The scorers of these names, for one run that shares its forward pass.

    Args:
      names: keys of SCORERS, each once.
      seed: for scorers that draw.
    """
    for name in names:
        if name not in SCORERS:
            raise ValueError(f"Unknown scorer {name!r}; known are {', '.join(sorted(SCORERS))}.")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"Scorers are {list(names)}; give at least one, and each once.")
    return [SCORERS[name](seed=seed) for name in names]
