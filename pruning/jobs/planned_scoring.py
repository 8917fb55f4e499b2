"""The program that a scorer would run, for a model of which only the shape is known."""

import os
from typing import Any

from pruning.jobs.forward_passes import forward_pass_of, make_model_fn
from pruning.objectives import Objective
from pruning.scorers import SCORERS, make_scorers
from pruning.span_corruption import SpanCorruption
from pruning.text_objectives import CausalLM

# Of the default prompt in T5's vocabulary: tokens before and after the document, yes and no.
_PROMPT = (2, 77)
_ANSWERS = (4273, 150)


def open_config(model: str) -> Any:
    """The shape of a public size, or of a model on disk or on the hub.

    Raises:
      ValueError: the name is of no known size, and there is no such folder.
    """
    from models.checkpoints import open_model
    from models.configs import named_config

    return open_model(model).config if os.path.exists(model) else named_config(model)


def planned_scorer(name: str, config: Any) -> Any:
    """The scorer of that name.

    Raises:
      ValueError: it runs no model, or one of another family.
    """
    from models.configs import T5Config

    known = [key for key, scorer in SCORERS.items() if hasattr(scorer, "forward_pass")]
    if name not in known:
        raise ValueError(
            f"--scorer {name} runs no model, so there is nothing to plan. Give one of: "
            f"{', '.join(known)}."
        )
    (scorer,) = make_scorers([name], size=config.d_model)
    if not isinstance(config, T5Config) and scorer.forward_pass in ("ask", "embed"):
        raise ValueError(f"--scorer {name} reads documents with an encoder. Give a T5 as --model.")
    return scorer


def planned_objective(scorer: Any, config: Any, window: int) -> Objective:
    """How documents would become what the model reads: what decides the length of rows.

    Args:
      scorer: of `planned_scorer`.
      config: of the model.
      window: longest input in tokens.
    """
    from models.configs import T5Config
    from pruning.asked_documents import AskedDocument
    from pruning.continuation import Continuation
    from pruning.embedded_documents import EmbeddedDocument

    is_t5 = isinstance(config, T5Config)
    if scorer.forward_pass == "ask":
        (yes, no), (before, after) = _ANSWERS, _PROMPT
        return AskedDocument(
            window=window,
            yes_ids=(yes % config.vocab_size,),
            no_ids=(no % config.vocab_size,),
            question=scorer.question,
            vocabulary=None,  # type: ignore[arg-type]  # no document is read
            before=(0,) * before,
            after=(0,) * after,
        )
    if scorer.forward_pass == "embed":
        return EmbeddedDocument(window=window)
    if scorer.forward_pass == "continue":
        return Continuation(
            prompt_tokens=scorer.prompt_tokens,
            continuation_tokens=scorer.continuation_tokens,
            ends_inputs=is_t5,
        )
    if is_t5:
        return SpanCorruption(
            vocab_size=config.vocab_size, num_sentinels=config.vocab_size, window=window
        )
    return CausalLM(has_encoder=False, window=window)


def maker(scorer: Any, objective: Objective) -> Any:
    """Of (config, parameter shapes, mesh): the function of a batch that this scorer needs."""
    assert forward_pass_of([scorer])

    def make(config: Any, params: Any, mesh: Any) -> Any:
        return make_model_fn([scorer], objective, config, [params], mesh)

    return make
