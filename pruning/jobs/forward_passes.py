"""What each forward pass gives a model to read, and what it has the model compute."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jax.sharding import Mesh

from pruning.asked_documents import AskedDocument, ask_about
from pruning.continuation import Continuation
from pruning.embedded_documents import EmbeddedDocument
from pruning.objectives import LongDocuments, Objective
from pruning.prompts import Question
from pruning.scorers import Scorer
from pruning.scorers.memorization import Memorization
from pruning.span_corruption import SpanCorruption
from pruning.text_objectives import CausalLM, make_objective
from pruning.tokenization import Vocabulary

if TYPE_CHECKING:
    from models.batch_fn import BatchFn


def make_objective_of(
    scorers: Sequence[Scorer],
    recipe: Mapping[str, Any],
    path: str,
    *,
    config: Any,
    vocabulary: Vocabulary,
    objective: str | None,
    question: Question | None,
    window: int,
    long_documents: LongDocuments,
) -> Objective:
    """How documents become what these scorers' model reads.

    Args:
      scorers: that share a forward pass.
      recipe: that the model was trained by.
      path: of the model, for messages.
      config: of the model.
      vocabulary: of the model.
      objective: what is predicted; by default what the model was trained on.
      question: what is asked.
      window: longest input in tokens.
      long_documents: what becomes of longer ones where a document is predicted.

    Raises:
      ValueError: the model cannot do this, or the window is too short.
    """
    from models.configs import T5Config

    is_t5 = isinstance(config, T5Config)
    forward_pass = forward_pass_of(scorers)
    if objective is not None and forward_pass != "predict":
        raise ValueError(
            f"--objective {objective} says what is predicted, and {[s.name for s in scorers]} predict "
            "nothing by it. Leave it out."
        )
    if not is_t5 and forward_pass in ("ask", "embed"):
        raise ValueError(
            f"Model {path} has no encoder, and {[s.name for s in scorers]} read documents with one. "
            "Give a T5."
        )
    if forward_pass == "ask":
        assert question is not None
        return ask_about(question, vocabulary, window)
    if forward_pass == "embed":
        return EmbeddedDocument(window=window)
    if forward_pass == "continue":
        (scorer,) = (s for s in scorers if isinstance(s, Memorization))
        return Continuation(
            prompt_tokens=scorer.prompt_tokens,
            continuation_tokens=scorer.continuation_tokens,
            ends_inputs=is_t5,
        )
    if not is_t5 and objective not in (None, CausalLM.name):
        raise ValueError(f"Model {path} has no encoder: it predicts by causal_lm, not {objective}.")
    name = objective or (_learnt(recipe, path) if is_t5 else CausalLM.name)
    return make_objective(name, vocabulary, window, long_documents, has_encoder=is_t5)


def make_model_fn(
    scorers: Sequence[Scorer], objective: Objective, config: Any, params: Sequence[Any], mesh: Mesh
) -> "BatchFn":
    """The compiled function of a batch that gives what these scorers need.

    Args:
      scorers: that share a forward pass.
      objective: of the batches.
      config: of the models.
      params: of one model, or where documents are predicted of several, whose statistics
        are averaged.
      mesh: devices.
    """
    from models.embeddings import make_embedding_fn
    from models.greedy_match import make_greedy_match_fn
    from models.scoring_model import make_answer_log_prob_fn, make_token_statistics_fn

    forward_pass = forward_pass_of(scorers)
    if forward_pass == "predict":
        needs = tuple(sorted({name for scorer in scorers for name in scorer.needs}))
        return make_token_statistics_fn(config, params, mesh, names=needs)
    if forward_pass == "ask":
        assert isinstance(objective, AskedDocument)
        return make_answer_log_prob_fn(
            config, params[0], mesh, yes_ids=objective.yes_ids, no_ids=objective.no_ids
        )
    if forward_pass == "embed":
        return make_embedding_fn(config, params[0], mesh)
    return make_greedy_match_fn(config, params[0], mesh)


def forward_pass_of(scorers: Sequence[Any]) -> str | None:
    """The one forward pass of scorers that can share it; None if none needs a model."""
    passes = {getattr(scorer, "forward_pass", None) for scorer in scorers} - {None}
    return passes.pop() if passes else None


def _learnt(recipe: Mapping[str, Any], path: str) -> str:
    name = recipe.get("objective", SpanCorruption.name)
    if name == AskedDocument.name:
        raise ValueError(
            f"Model {path} was trained to answer a question about documents, not to predict them. "
            "Score with ask_llm, or give --objective span_corruption to go on all the same."
        )
    return name
