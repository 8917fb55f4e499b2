"""One scorer a file. SCORERS is the only list of them."""

import dataclasses
import difflib
import inspect
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from pruning.scorers.ask_llm import AskLLM
from pruning.scorers.density import Density
from pruning.scorers.duplicates import Duplicates
from pruning.scorers.el2n import EL2N
from pruning.scorers.embedding import Embedding
from pruning.scorers.importance import Importance
from pruning.scorers.memorization import Memorization
from pruning.scorers.near_duplicates import NearDuplicates
from pruning.scorers.perplexity import Perplexity
from pruning.scorers.prototypes import Prototypes
from pruning.scorers.random_control import Random
from pruning.scorers.scorer import Artifact as Artifact
from pruning.scorers.scorer import Column as Column
from pruning.scorers.scorer import Corpus as Corpus
from pruning.scorers.scorer import Learner as Learner
from pruning.scorers.scorer import ScorableDocuments as ScorableDocuments
from pruning.scorers.scorer import Scorer as Scorer
from pruning.scorers.semdedup import SemDeDup
from pruning.scorers.unigram_prior import UnigramPrior

SCORERS: dict[str, type[Any]] = {
    scorer.name: scorer
    for scorer in (
        AskLLM,
        Density,
        Duplicates,
        EL2N,
        Embedding,
        Importance,
        Memorization,
        NearDuplicates,
        Perplexity,
        Prototypes,
        Random,
        SemDeDup,
        UnigramPrior,
    )
}


def is_learner(scorer: Any) -> bool:
    """Whether a member of SCORERS, or what `make_scorers` made of it, learns first."""
    return hasattr(scorer, "fit")


def check_names(names: Sequence[str]) -> None:
    """Refuses what cannot be scored in one run.

    Args:
      names: keys of SCORERS, each once.

    Raises:
      ValueError: a name is unknown or stands twice, or two scorers cannot share a
        forward pass.
    """
    for name in names:
        if name not in SCORERS:
            close = difflib.get_close_matches(name, SCORERS, n=1)
            meant = f" Did you mean {close[0]}?" if close else ""
            raise ValueError(
                f"Unknown scorer {name!r}.{meant} Known are {', '.join(sorted(SCORERS))}."
            )
    if not names or len(set(names)) < len(names):
        raise ValueError(f"Scorers are {list(names)}; give at least one, and each once.")
    # Each of these has inputs of its own; what needs no model goes with any.
    passes: dict[str, list[str]] = {}
    for name in names:
        if forward_pass := getattr(SCORERS[name], "forward_pass", None):
            passes.setdefault(forward_pass, []).append(name)
    if len(passes) > 1:
        groups = [*passes.values()]
        commands = " and ".join(f"`prune score {' '.join(group)}`" for group in groups)
        raise ValueError(
            f"{' and '.join(name for group in groups for name in group)} need different forward "
            f"passes, and a store is made in one. Run {commands} into {len(groups)} stores."
        )


def make_scorers(
    names: Sequence[str], settings: Mapping[str, str] | None = None, **given: Any
) -> list[Any]:
    """The scorers and learners of these names, for one run that shares its forward pass.

    Args:
      names: keys of SCORERS, each once.
      settings: fields of any of them, as text; all that have such a field get it.
      given: values of fields that come from elsewhere (`seed`, `question`, `size`); those
        that have no such field, and values of None, are passed over.

    Raises:
      ValueError: as `check_names`; or a setting is unknown or of another type.
    """
    check_names(names)
    classes = [SCORERS[name] for name in names]
    left = dict(settings or {})
    made = []
    for scorer in classes:
        fields = setting_types(scorer)
        values = {f: v for f, v in given.items() if f in _fields(scorer) and v is not None}
        for name in [*left]:
            if name in fields:
                values[name] = _parsed(name, (settings or {})[name], fields[name])
        made.append(scorer(**values))
    known = {name for scorer in classes for name in setting_types(scorer)}
    if unknown := [name for name in left if name not in known]:
        raise ValueError(
            f"--settings {unknown[0]}=…: none of the scorers {list(names)} has such a setting; known are "
            f"{', '.join(sorted(known)) or 'none'}."
        )
    return made


def setting_types(scorer: type[Any]) -> dict[str, Any]:
    """The settings of a scorer that `--settings` can change, with their types."""
    hints = typing.get_type_hints(scorer)
    return {name: hints[name] for name in _fields(scorer) if hints[name] in (int, float, bool, str)}


def describe_settings() -> str:
    """The settings of all scorers and their defaults, as a person reads them."""
    described = []
    for name, scorer in sorted(SCORERS.items()):
        parameters = inspect.signature(scorer).parameters
        shown = [
            f"{n}={parameters[n].default}"
            for n in setting_types(scorer)
            if parameters[n].default is not inspect.Parameter.empty
        ]
        if shown:
            described.append(f"{name}: {', '.join(shown)}")
    return "; ".join(described)


def _fields(scorer: type[Any]) -> list[str]:
    return [f.name for f in dataclasses.fields(scorer) if f.init]


def _parsed(name: str, text: str, kind: Any) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"--settings {name}={text}: it is true or false.")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"--settings {name}={text}: it must be of type {kind.__name__}.") from None
