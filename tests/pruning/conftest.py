"""A vocabulary that knows the words of a prompt."""

import pytest
import toy
from real_texts import REAL_TEXTS

from pruning.prompts import ASK_LLM_PROMPT
from pruning.tokenization import train_vocabulary


@pytest.fixture(scope="session")
def asking_vocabulary(tmp_path_factory):
    """SentencePiece with nmt_nfkc; `yes`, `Yes`, `no` and `No` are one token each."""
    # A piece is only found in several words.
    words = [f"{word} {word}. {word}," for word in ("yes", "Yes", "no", "No", "##")] * 200
    texts = [*REAL_TEXTS, *toy.texts(200), *[ASK_LLM_PROMPT] * 20, *words]
    path = tmp_path_factory.mktemp("asking") / "spiece.model"
    return train_vocabulary(texts, path, vocab_size=1_000)
