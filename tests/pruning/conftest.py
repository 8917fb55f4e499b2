"""A vocabulary that knows the words of a prompt."""

import pydoc_data.topics
import re

import pytest
import toy

from pruning.prompts import ASK_LLM_PROMPT
from pruning.tokenization import train_vocabulary

# Real text that comes with Python. Lines drawn of one character are shortened: they fall into
# pieces in several ways of equal probability, of which rounding picks one.
REAL_TEXTS = [
    re.sub(r"([^\w\s])\1{3,}", r"\1", text)
    for _, text in sorted(pydoc_data.topics.topics.items())[:60]
]


@pytest.fixture(scope="session")
def asking_vocabulary(tmp_path_factory):
    """SentencePiece with nmt_nfkc; `yes`, `Yes`, `no` and `No` are one token each."""
    # A piece is only found in several words.
    words = [f"{word} {word}. {word}," for word in ("yes", "Yes", "no", "No", "##")] * 200
    texts = [*REAL_TEXTS, *toy.texts(200), *[ASK_LLM_PROMPT] * 20, *words]
    path = tmp_path_factory.mktemp("asking") / "spiece.model"
    return train_vocabulary(texts, path, vocab_size=1_000)
