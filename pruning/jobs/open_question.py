"""The question of `ask_llm`: from flags, or from the model that was trained to answer it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from etils import epath

from pruning.asked_documents import AskedDocument
from pruning.prompts import Question, read_template


def question_to_ask(
    scorers: Sequence[str],
    models: Sequence[str],
    *,
    objective: str | None,
    prompt: str | None,
    yes: Sequence[str],
    no: Sequence[str],
    cut: Literal["tokens", "text"] | None,
) -> Question | None:
    """What is not given is the model's own, if it was trained to answer, and the paper's if not.

    Args:
      scorers: names; without ask_llm there is no question.
      models: of which the first is asked.
      objective: as given, which must not be.
      prompt: template file.
      yes, no: spellings of the answers.
      cut: how a long document is cut.

    Raises:
      FileNotFoundError: there is no such template file.
      ValueError: nobody asks, or the question is none.
    """
    given = _given(prompt, yes, no, cut)
    if AskedDocument.name not in scorers:
        if given:
            raise ValueError(
                "--prompt, --yes, --no and --cut belong to ask_llm, and the scorers are "
                f"{list(scorers)}. Leave them out, or score with ask_llm."
            )
        return None
    if objective is not None:
        raise ValueError(f"ask_llm asks its own question: leave out --objective {objective}.")
    # What is on a hub was not trained here, and should not be downloaded before all is checked.
    if not models or not epath.Path(models[0]).exists():
        return Question(**given)
    from pruning.jobs.reference_model import find_recipe

    return _check_learnt(given, find_recipe(models[0]), models[0])


def question_to_learn(
    objective: str,
    *,
    answer_yes: str | None,
    prompt: str | None,
    yes: Sequence[str],
    no: Sequence[str],
) -> Question | None:
    """The question that a model is trained to answer, the paper's where nothing is given.

    Raises:
      ValueError: something is given, but the objective is another; or it is not said
        which documents are answered with yes.
    """
    given = _given(prompt, yes, no)
    if objective != AskedDocument.name:
        if given or answer_yes:
            raise ValueError(
                f"--answer_yes, --prompt, --yes and --no belong to --objective {AskedDocument.name}, and "
                f"this run has {objective}."
            )
        return None
    if answer_yes is None:
        raise ValueError(
            f"--objective {AskedDocument.name} learns answers that are known. Give --answer_yes FIELD=VALUE "
            "for the documents whose answer is yes, such as damage=none."
        )
    return Question(**given)


def _given(
    prompt: str | None, yes: Sequence[str], no: Sequence[str], cut: str | None = None
) -> dict[str, Any]:
    """Fields of a `Question`."""
    flags = {
        "template": read_template(prompt) if prompt else None,
        "yes": tuple(yes),
        "no": tuple(no),
        "cut": cut,
    }
    return {name: value for name, value in flags.items() if value}


def _check_learnt(given: Mapping[str, Any], recipe: Mapping[str, Any], model: str) -> Question:
    if "question" not in recipe:
        return Question(**given)
    learnt = recipe["question"]
    own = {
        "template": learnt["prompt"],
        "yes": tuple(learnt["yes"]),
        "no": tuple(learnt["no"]),
        "cut": learnt["cut"],
    }
    for name, value in given.items():
        if value != own[name]:
            flag = "prompt" if name == "template" else name
            print(
                f"Model {model} was trained to answer with --{flag} {own[name]!r}; this run asks "
                f"with {value!r}. Leave --{flag} out to ask what it was trained on.",
                flush=True,
            )
    return Question(**{**own, **given})
