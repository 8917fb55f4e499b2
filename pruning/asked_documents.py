"""A document inside a prompt, as an objective: one question, one answer."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np

from pruning.objectives import Example
from pruning.prompts import FENCE, Question, answer_ids, prompt_tokens
from pruning.tokenization import EOS_ID, Vocabulary


@dataclasses.dataclass(frozen=True, kw_only=True)
class AskedDocument:
    """The prompt with the document in it is the input, one token of an answer the target.

    The prompt is never cut; the document is, to what then fits into the window, and
    is never read in several windows. "How to Train Data-Efficient LLMs" section 3.1
    does not say how long an input is.

    Attributes:
      question: the prompt, its answers, and how a long document is cut.
      vocabulary: of prompt and documents.
      window: longest input in tokens, end of sequence included.
      before, after: token ids of the prompt around the document.
      yes_ids, no_ids: token ids of the answers; the first of each is what a model is
        trained to say.
      known_answer: to train; documents without its field are left out.
    """

    name: ClassVar[str] = "ask_llm"
    is_packed: ClassVar[bool] = True
    window: int = 512
    yes_ids: tuple[int, ...]
    no_ids: tuple[int, ...]
    question: Question = dataclasses.field(repr=False)
    vocabulary: Vocabulary = dataclasses.field(repr=False)
    before: tuple[int, ...] = dataclasses.field(repr=False)
    after: tuple[int, ...] = dataclasses.field(repr=False)
    known_answer: "KnownAnswer | None" = dataclasses.field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.window_tokens < 1:
            raise ValueError(
                f"--window {self.window} leaves no room for a document: the prompt has "
                f"{self._prompt_length} tokens, the end of sequence included. Use a --window of at "
                f"least {self._prompt_length + 1}, or a shorter --prompt."
            )

    @property
    def window_tokens(self) -> int:
        """Tokens of a document that fit into the window."""
        return self.window - self._prompt_length

    @property
    def lengths(self) -> tuple[int, int]:
        # A row has a decoder position for each of the shortest documents that fill it.
        return self.window, max(1, self.window // (self._prompt_length + 1))

    def problem(self, n_tokens: int, fields: Mapping[str, str | None]) -> str | None:
        del n_tokens
        is_unknown = self.known_answer is not None and self.known_answer.of(fields) is None
        return "missing_field" if is_unknown else None

    def examples(
        self, tokens: np.ndarray, seed: int, fields: Mapping[str, str | None]
    ) -> list[Example]:
        """The question; its target is the known answer, or yes where nobody knows it."""
        del seed  # nothing is random
        document = self._cut(tokens)
        inputs = np.concatenate([self.before, document, self.after, [EOS_ID]]).astype(np.int32)
        says_yes = self.known_answer is None or self.known_answer.of(fields)
        target = np.array([(self.yes_ids if says_yes else self.no_ids)[0]], np.int32)
        return [Example(inputs, target, len(document), 0)]

    def readable(self, texts: Sequence[str], tokens: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Token ids of documents without the prompt's fence.

        Args:
          texts, tokens: of N documents as they are.
        """
        readable = list(tokens)
        if not self.question.is_fenced:
            return readable
        changed = {}
        for i, ids in enumerate(tokens):
            if self._may_be_of_fence[ids].any():
                text = without_fence(texts[i], self.vocabulary.normalized)
                if text != texts[i]:
                    changed[i] = text
        for i, ids in zip(changed, self.vocabulary.encode([*changed.values()]), strict=True):
            readable[i] = ids
        return readable

    @property
    def _prompt_length(self) -> int:
        return len(self.before) + len(self.after) + 1

    @functools.cached_property
    def _may_be_of_fence(self) -> np.ndarray:
        """Bool by token id. A text without such a token has no fence after normalisation."""
        pieces = (self.vocabulary.piece(i) for i in range(self.vocabulary.vocab_size))
        may_be = np.array([FENCE[0] in piece for piece in pieces])
        may_be[self.vocabulary.encode([FENCE])[0]] = True  # single bytes, in some vocabularies
        return may_be

    def _cut(self, tokens: np.ndarray) -> np.ndarray:
        if len(tokens) <= self.window_tokens:
            return tokens
        tokens = tokens[: self.window_tokens]
        if self.question.cut == "tokens":
            return tokens
        text = self.vocabulary.decode(tokens)
        if self.question.is_fenced:  # what fell out may have stood between two parts of a fence
            text = without_fence(text, self.vocabulary.normalized)
        return self.vocabulary.encode([text])[0][: self.window_tokens]


def ask_about(
    question: Question,
    vocabulary: Vocabulary,
    window: int = 512,
    known_answer: "KnownAnswer | None" = None,
) -> AskedDocument:
    """Tokenizes a question, once for all documents.

    Raises:
      ValueError: the prompt does not fit into the window or cannot be tokenized apart
        from a document, or an answer is not one token.
    """
    before, after = prompt_tokens(question, vocabulary)
    yes_ids, no_ids = answer_ids(question, vocabulary)
    return AskedDocument(
        window=window,
        yes_ids=yes_ids,
        no_ids=no_ids,
        question=question,
        vocabulary=vocabulary,
        before=before,
        after=after,
        known_answer=known_answer,
    )


def without_fence(text: str, normalized: Callable[[str], str]) -> str:
    """Deletes every FENCE, also those that a vocabulary's normalisation makes.

    Full-width number signs become plain ones there, and control characters between
    two of them vanish.

    Args:
      text: of a document.
      normalized: the text as the vocabulary sees it.
    """
    text = text.replace(FENCE, "")
    while FENCE in (seen := normalized(text)):
        text = seen.replace(FENCE, "")
    return text


@dataclasses.dataclass(frozen=True)
class KnownAnswer:
    """Which documents a model is to answer with yes, by a field that the source carries.

    Attributes:
      field: of the record.
      value: that means yes; every other value means no.
    """

    field: str
    value: str

    @classmethod
    def parse(cls, text: str) -> "KnownAnswer":
        """From `FIELD=VALUE`.

        Raises:
          ValueError: the text is of another form.
        """
        field, equals, value = text.partition("=")
        if not (field and equals):
            raise ValueError(f"--answer_yes {text!r} is not FIELD=VALUE, such as damage=none.")
        return cls(field, value)

    def of(self, fields: Mapping[str, str | None]) -> bool | None:
        """The answer for a record with these fields; None without the field."""
        value = fields.get(self.field)
        return None if value is None else value == self.value
