"""What a model is asked about a document: the prompt around it, and the answers that count."""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from typing import Any, Literal

from etils import epath

from pruning.tokenization import Vocabulary

# Where the document goes in a prompt's template.
DOCUMENT = "{document}"

# What stands before and after the document in the paper's prompt.
FENCE = "###"

ASK_LLM_PROMPT = (
    f"{FENCE}\n"
    f"{DOCUMENT}\n"
    f"{FENCE}\n"
    "\n"
    f"Does the previous paragraph demarcated within {FENCE} and {FENCE} contain informative signal "
    "for pre-training a large-language model? An informative datapoint should be well-formatted, "
    "contain some usable knowledge of the world, and strictly NOT have any harmful, racist, sexist, "
    "etc. content.\n"
    "\n"
    "OPTIONS:\n"
    "- yes\n"
    "- no\n"
)

# Documents that show whether a prompt's parts can be tokenized apart from them.
_PROBES = ("word", "Word", "2", ".", "(a)", '"', "- a b.", "é", "東京", "\n x \n", "#")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """A prompt and the spellings of its two answers.

    The default is that of "How to Train Data-Efficient LLMs", Figure 3, word for
    word. The figure does not tell blank lines from line breaks; they stand where
    the public implementation nano-askllm has them, and a T5 vocabulary does not
    see the difference. The paper scores the one token "yes"; several spellings
    add up in probability.

    Attributes:
      template: the prompt, with `{document}` where the document goes.
      yes, no: spellings of the answers, each one token.
      cut: how a document that is too long is cut. `tokens`: its first token ids.
        `text`: the text of those, tokenized again, as nano-askllm does; that
        differs where the vocabulary does not know a character, which then falls out.
    """

    template: str = ASK_LLM_PROMPT
    yes: tuple[str, ...] = ("yes",)
    no: tuple[str, ...] = ("no",)
    cut: Literal["tokens", "text"] = "tokens"

    def __post_init__(self) -> None:
        if (found := self.template.count(DOCUMENT)) != 1:
            raise ValueError(
                f"The prompt has {DOCUMENT} {found} times; it needs it once, where the document goes."
            )
        if not self.yes or not self.no:
            raise ValueError(
                f"The answers are yes={list(self.yes)} and no={list(self.no)}; each needs a spelling."
            )

    @property
    def parts(self) -> tuple[str, str]:
        """What stands before and after the document."""
        before, _, after = self.template.partition(DOCUMENT)
        return before, after

    @property
    def is_fenced(self) -> bool:
        """Whether FENCE tells the document from the prompt, and so must not stand in it."""
        return FENCE in self.template

    def describe(self) -> dict[str, Any]:
        """As JSON, for manifests and recipes: everything that changes an answer."""
        return {
            "prompt_digest": hashlib.sha256(self.template.encode()).hexdigest(),
            "prompt": self.template,
            "yes": list(self.yes),
            "no": list(self.no),
            "cut": self.cut,
        }


def read_template(path: str | os.PathLike) -> str:
    """The text of a prompt's template file.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is not UTF-8, or does not have `{document}` exactly once.
    """
    file = epath.Path(path)
    if not file.exists():
        raise FileNotFoundError(
            f"There is no prompt file {path}. Give --prompt a text file with {DOCUMENT} where the "
            "document goes."
        )
    try:
        template = file.read_bytes().decode("utf-8")
        return Question(template=template).template
    except UnicodeDecodeError as error:
        raise ValueError(f"Prompt file {path} is not UTF-8: {error}.") from error
    except ValueError as error:
        raise ValueError(f"Prompt file {path}: {error}") from error


def prompt_tokens(
    question: Question, vocabulary: Vocabulary
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Token ids of what stands before and after the document.

    Joined to a document's ids they are those of the joined text. Only where a text can
    be cut in several ways of equal probability (a line drawn of one character) may
    SentencePiece choose another one, by rounding.

    Raises:
      ValueError: joined to a document's ids they are not those of the joined text,
        or the vocabulary does not know the fence.
    """
    before, after = question.parts
    parts = [tuple(ids.tolist()) for ids in vocabulary.encode([before, after])]
    documents = vocabulary.encode(_PROBES)
    joined = vocabulary.encode([before + probe + after for probe in _PROBES])
    for probe, document, whole in zip(_PROBES, documents, joined, strict=True):
        if [*parts[0], *document.tolist(), *parts[1]] != whole.tolist():
            raise ValueError(
                f"The prompt's {before[-10:] + DOCUMENT + after[:10]!r} cannot be tokenized apart "
                f"from its document: with the document {probe!r} other tokens come out. Put a line "
                f"break or a space between {DOCUMENT} and the text around it."
            )
    if question.is_fenced and vocabulary.unk_id in vocabulary.encode([FENCE])[0]:
        raise ValueError(
            f"The vocabulary does not know {FENCE[0]!r}, so that a model cannot tell the prompt's "
            f"{FENCE} from other unknown characters. Give --prompt a template with another "
            "fence; documents are not cleared of that one."
        )
    return parts[0], parts[1]


def answer_ids(
    question: Question, vocabulary: Vocabulary
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Token ids of the spellings of yes, and of those of no.

    Raises:
      ValueError: a spelling is not one known token, or two are the same one.
    """
    yes = _single_tokens("yes", question.yes, vocabulary)
    no = _single_tokens("no", question.no, vocabulary)
    spelling_of: dict[int, str] = {}
    for token, spelling in zip((*yes, *no), (*question.yes, *question.no), strict=True):
        if token in spelling_of:
            raise ValueError(
                f"The answers {spelling_of[token]!r} and {spelling!r} are the same token, {token}, "
                "whose probability would count twice. Leave one out."
            )
        spelling_of[token] = spelling
    return yes, no


def _single_tokens(flag: str, spellings: Sequence[str], vocabulary: Vocabulary) -> tuple[int, ...]:
    tokens = vocabulary.encode(list(spellings))
    for spelling, ids in zip(spellings, tokens, strict=True):
        if len(ids) != 1 or ids[0] == vocabulary.unk_id:
            pieces = ", ".join(repr(vocabulary.piece(int(i))) for i in ids)
            raise ValueError(
                f"--{flag} {spelling!r} is {len(ids)} tokens in this vocabulary ({pieces}); an "
                "answer must be one token that it knows. Give another spelling; where every "
                "character is a token, as in ByT5, a single letter and a --prompt that asks for it."
            )
    return tuple(int(ids[0]) for ids in tokens)
