"""Multiple choice as a user names it: a JSON Lines file, or a seqio task."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pruning.experiments.rank_classification import Question, check_question, read_questions

SEQIO = "seqio:"
DEFAULT_SPLIT = "validation"


def open_questions(spec: str) -> tuple[list[Question], str]:
    """Questions, and a digest of all that they ask.

    Args:
      spec: JSON Lines as of `read_questions`, or `seqio:TASK[@SPLIT]` of a registered task.

    Raises:
      ValueError: an example is no question, or there is no such task or split.
    """
    if not spec.startswith(SEQIO):
        return read_questions(spec)
    task, _, split = spec.removeprefix(SEQIO).partition("@")
    questions = questions_of(_examples(task, split or DEFAULT_SPLIT), spec)
    asked = json.dumps([(q.context, q.options, q.answer) for q in questions])
    return questions, hashlib.sha256(asked.encode()).hexdigest()


def questions_of(examples: Iterable[Mapping[str, Any]], spec: str) -> list[Question]:
    """Questions from the examples of a seqio task, in their order.

    Args:
      examples: in seqio's rank-classification form, an example per option with `idx` (question and
        option), `is_correct`, and `inputs` and `targets` as text (or as `inputs_pretokenized` and
        `targets_pretokenized`, which `seqio.preprocessors.tokenize` keeps); or a whole question
        each, with the fields that `read_questions` takes.
      spec: for messages.

    Raises:
      ValueError: names the example that is neither.
    """
    questions: list[Question] = []
    by_index: dict[int, list[Mapping[str, Any]]] = {}
    for number, example in enumerate(examples):
        if "idx" in example and "is_correct" in example:
            by_index.setdefault(int(example["idx"][0]), []).append(example)
        else:
            questions.append(check_question(_plain(example), f"{spec}, example {number}"))
    for index, options in sorted(by_index.items()):
        options.sort(key=lambda option: tuple(option["idx"]))
        questions.append(check_question(_joined(options), f"{spec}, question {index}"))
    if not questions:
        raise ValueError(f"{spec} has no example. Choose a split that has: {SEQIO}TASK@SPLIT.")
    return questions


def _joined(options: list[Mapping[str, Any]]) -> dict[str, Any]:
    """One question of its options; without an answer or context if that is not one alone."""
    contexts = {_text(option, "inputs") for option in options}
    right = [number for number, option in enumerate(options) if option["is_correct"]]
    return {
        "context": contexts.pop() if len(contexts) == 1 else sorted(map(str, contexts)),
        "options": [_text(option, "targets") for option in options],
        "answer": right[0] if len(right) == 1 else right,
    }


def _text(example: Mapping[str, Any], feature: str) -> Any:
    return _plain(example).get(f"{feature}_pretokenized", _plain(example).get(feature))


def _plain(example: Mapping[str, Any]) -> dict[str, Any]:
    """Bytes and arrays as JSON has them."""
    values = {k: v.tolist() if hasattr(v, "tolist") else v for k, v in example.items()}
    return {
        k: [_decoded(part) for part in v] if isinstance(v, list) else _decoded(v)
        for k, v in values.items()
    }


def _decoded(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _examples(name: str, split: str) -> Iterable[Mapping[str, Any]]:
    try:
        import seqio
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            f"{SEQIO}{name} needs seqio and TensorFlow, and one is missing: {error}. Install them, or give "
            "--tasks a JSON Lines file."
        ) from error
    # TensorFlow only reads here, and would take the memory of a GPU that JAX needs.
    tf.config.set_visible_devices([], "GPU")
    known = sorted(seqio.TaskRegistry.names())
    if name not in known:
        raise ValueError(
            f"There is no seqio task {name!r}; known are {', '.join(known) or 'none'}. Import the module "
            "that registers it: --module_import."
        )
    task = seqio.TaskRegistry.get(name)
    if split not in task.splits:
        raise ValueError(
            f"Task {name} has no split {split!r}, but {', '.join(task.splits)}. Say which: "
            f"{SEQIO}{name}@SPLIT."
        )
    return task.get_dataset(None, split=split, shuffle=False).as_numpy_iterator()
