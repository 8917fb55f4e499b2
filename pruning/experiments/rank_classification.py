"""Multiple choice without training: the option that a model finds most likely in its context.

The option with the lowest mean nll per token is the answer given. Which tokens count is ours: the
option's own, given the context, without an end of sequence. "Perplexed by Perplexity" words it as
the lowest perplexity per token of query and choice together.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from etils import epath

from pruning.objectives import Example
from pruning.packing import RowShape, fill_rows
from pruning.scoring import TokenStatistics
from pruning.tokenization import EOS_ID, Vocabulary

# How a model reads a question: the context in the encoder and the option as targets; the option
# as what stood at a sentinel behind the context, as a T5 of span corruption has learnt it; or
# both in one sequence without an encoder.
Reads = Literal["encoder", "blank", "prefix"]

_NAMES = {
    "context": ("context", "query"),
    "options": ("options", "choices"),
    "answer": ("answer", "gold"),
}
_QUESTIONS_TOGETHER = 1_000


@dataclasses.dataclass(frozen=True)
class Question:
    """A context, ways to go on, and which of them is right, from 0."""

    context: str
    options: tuple[str, ...]
    answer: int


class OptionExample(NamedTuple):
    """An example, and the first of its targets that belongs to the option."""

    example: Example
    first: int


def read_questions(path: str) -> tuple[list[Question], str]:
    """Questions of a JSON Lines file, and the digest of its bytes.

    Args:
      path: each line has `context`, `options` and `answer` (or `query`, `choices` and `gold`).

    Raises:
      ValueError: names the line that is no question.
    """
    data = epath.Path(path).read_bytes()
    questions = [
        check_question(_parsed(line), f"{path}:{number}")
        for number, line in enumerate(data.split(b"\n"), start=1)
        if line.strip()
    ]
    if not questions:
        raise ValueError(
            f"{path} has no question. Expected JSON Lines with context, options, answer."
        )
    return questions, hashlib.sha256(data).hexdigest()


def option_examples(
    question: Question, vocabulary: Vocabulary, window: int, reads: Reads
) -> list[OptionExample]:
    """The question with each option. A context that does not fit loses its beginning.

    Args:
      question: to ask.
      vocabulary: of the model.
      window: most positions of the encoder, and of the decoder.
      reads: how the model was trained to read.
    """
    context = vocabulary.encode([question.context])[0]
    # Vocabularies of pieces begin every text with a space; bytes do not.
    joined = reads == "prefix" and question.context and not question.context[-1].isspace()
    words = [f" {option}" if joined else option for option in question.options]
    options = vocabulary.encode(words)
    if reads == "prefix":
        return [_prefix(context, option[:window], window) for option in options]
    sentinel = [vocabulary.vocab_size - 1] if reads == "blank" else []
    kept = context[max(0, len(context) - (window - 1 - len(sentinel))) :]
    inputs = np.concatenate([kept, sentinel, [EOS_ID]]).astype(np.int32)
    return [
        OptionExample(_example(inputs, [sentinel, option[: window - len(sentinel)]]), len(sentinel))
        for option in options
    ]


def option_nlls(
    questions: Sequence[Question],
    *,
    vocabulary: Vocabulary,
    window: int,
    reads: Reads,
    model: TokenStatistics,
    batch_rows: int,
) -> list[np.ndarray]:
    """Mean nll of every option given its context, nats per token.

    Args:
      questions: to ask.
      vocabulary, window, reads: of the model.
      model: from a packed batch to `nll` [B, T].
      batch_rows: B.

    Returns:
      float64 [O] of each question.
    """
    shape = RowShape(0 if reads == "prefix" else window, window)
    found: list[np.ndarray] = []
    for first in range(0, len(questions), _QUESTIONS_TOGETHER):
        asked = [
            option_examples(question, vocabulary, window, reads)
            for question in questions[first : first + _QUESTIONS_TOGETHER]
        ]
        flat = [option for options in asked for option in options]
        packed = fill_rows([option.example for option in flat], shape)
        values = [np.asarray(model(batch)["nll"]) for batch in packed.batches(batch_rows)]
        nll = np.concatenate(values).reshape(-1)[packed.target_positions].astype(np.float64)
        ends = packed.target_ends
        begins = np.concatenate([[0], ends[:-1]]) + [option.first for option in flat]
        means = [nll[begin:end].mean() for begin, end in zip(begins, ends, strict=True)]
        cuts = np.cumsum([len(options) for options in asked])[:-1]
        found.extend(np.split(np.array(means), cuts))
    return found


def _prefix(context: np.ndarray, option: np.ndarray, window: int) -> OptionExample:
    kept = context[max(0, len(context) - (window - len(option))) :]
    return OptionExample(_example(np.zeros(0, np.int32), [kept, option]), len(kept))


def _example(inputs: np.ndarray, targets: Sequence[Any]) -> Example:
    joined = np.concatenate(targets).astype(np.int32)
    return Example(inputs, joined, len(joined), len(joined))


def check_question(record: Any, where: str) -> Question:
    """A question of what a file or a task has.

    Args:
      record: mapping with `context`, `options` and `answer` (or `query`, `choices` and `gold`).
      where: it was found, for messages.

    Raises:
      ValueError: it is no question.
    """
    try:
        found = {key: _value(record, names) for key, names in _NAMES.items()}
        options = tuple(found["options"])
        question = Question(found["context"], options, found["answer"])
        is_right = (
            isinstance(question.context, str)
            and all(isinstance(option, str) and option.strip() for option in options)
            and len(options) > 1
            and type(question.answer) is int
            and 0 <= question.answer < len(options)
        )
    except (TypeError, KeyError):
        is_right = False
    if not is_right:
        raise ValueError(
            f"{where} is no question: {record!r:.200}. Expected an object with "
            "context (text), options (two or more texts) and answer (the index of the right one, "
            "from 0); query, choices and gold are read too."
        )
    return question


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return line.decode(errors="replace")


def _value(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    return record[next((name for name in names if name in record), names[0])]
