"""One scorer a file. SCORERS is the only list of them."""

from collections.abc import Callable, Sequence

from pruning.prompts import Question
from pruning.scorers.ask_llm import AskLLM
from pruning.scorers.perplexity import Perplexity
from pruning.scorers.random_control import Random
from pruning.scorers.scorer import Column as Column
from pruning.scorers.scorer import ScorableDocuments as ScorableDocuments
from pruning.scorers.scorer import Scorer as Scorer

SCORERS: dict[str, Callable[..., Scorer]] = {
    "ask_llm": lambda seed, question: AskLLM(question),
    "perplexity": lambda seed, question: Perplexity(),
    "random": lambda seed, question: Random(seed=seed),
}


def make_scorers(
    names: Sequence[str], *, seed: int = 0, question: Question | None = None
) -> list[Scorer]:
    """The scorers of these names, for one run that shares its forward pass.

    Args:
      names: keys of SCORERS, each once.
      seed: for scorers that draw.
      question: for scorers that ask; that of the paper by default.

    Raises:
      ValueError: a name is unknown or stands twice, or two scorers cannot share a
        forward pass.
    """
    for name in names:
        if name not in SCORERS:
            raise ValueError(f"Unknown scorer {name!r}; known are {', '.join(sorted(SCORERS))}.")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"Scorers are {list(names)}; give at least one, and each once.")
    scorers = [SCORERS[name](seed=seed, question=question or Question()) for name in names]
    # A model that is asked reads other inputs than one that predicts the document.
    predicting = [s.name for s in scorers if s.needs and s.name != AskLLM.name]
    if AskLLM.name in names and predicting:
        raise ValueError(
            f"{AskLLM.name} and {', '.join(predicting)} need different forward passes, and a store "
            f"is made in one. Run `prune score {AskLLM.name}` and `prune score "
            f"{' '.join(predicting)}` into two stores."
        )
    return scorers
