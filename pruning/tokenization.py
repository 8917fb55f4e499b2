"""Vocabularies as plain token arrays: SentencePiece (T5, mT5) and bytes (ByT5).

Token ids follow T5: 0 is padding, 1 ends a sequence, sentinels count down from
the last id.
"""

import dataclasses
import functools
import hashlib
import io
import itertools
import json
import os
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import sentencepiece
from etils import epath

from pruning.publishing import publish_bytes

PAD_ID = 0
EOS_ID = 1
UNK_ID = 2

T5_EXTRA_IDS = 100

# What a user writes instead of a file for the vocabulary of ByT5.
BYTES = "bytes"


class Vocabulary(Protocol):
    """Text to token ids."""

    @property
    def vocab_size(self) -> int:
        """All ids, sentinels included. A model's table may be padded beyond it."""
        ...

    @property
    def num_sentinels(self) -> int:
        """Sentinels are the ids vocab_size - 1, vocab_size - 2, ..."""
        ...

    @property
    def unk_id(self) -> int:
        """The id of what the vocabulary does not know."""
        ...

    @property
    def digest(self) -> str:
        """Changes when any token id of any text may change."""
        ...

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Token ids of each text, int32 [n_tokens], without an end of sequence."""
        ...

    def decode(self, tokens: np.ndarray) -> str:
        """The text of token ids, without what they do not know."""
        ...

    def normalized(self, text: str) -> str:
        """The text that `encode` cuts into tokens; encoding it gives the same ones."""
        ...

    def piece(self, token: int) -> str:
        """What a token id stands for, for people."""
        ...


def available_cpus() -> int:
    """CPUs that this process may use."""
    # A batch system gives a job some of the machine's; macOS does not say.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclasses.dataclass(frozen=True)
class SentencePieceVocabulary:
    """A SentencePiece model file with T5's extra ids behind its pieces.

    Attributes:
      path: the `.model` file.
      extra_ids: sentinels added after the model's own pieces. None where the files tell: none if
        the pieces end with sentinels (mT5), else the number in a `tokenizer_config.json` of
        Hugging Face beside the model (umT5: 300), else T5's 100.
      num_threads: threads that `encode` uses; by default the CPUs that the process may use.
    """

    path: str
    extra_ids: int | None = None
    num_threads: int = dataclasses.field(default_factory=available_cpus)

    @functools.cached_property
    def serialized_model(self) -> bytes:
        path = epath.Path(self.path)
        if not path.exists():
            raise FileNotFoundError(
                f"There is no vocabulary file {self.path}. Give --vocabulary the SentencePiece "
                f"model that the T5 checkpoint was trained with, or {BYTES!r} for ByT5."
            )
        return path.read_bytes()

    @functools.cached_property
    def _processor(self) -> sentencepiece.SentencePieceProcessor:
        try:
            processor = sentencepiece.SentencePieceProcessor(model_proto=self.serialized_model)
        except RuntimeError as error:
            raise ValueError(f"{self.path} is not a SentencePiece model: {error}") from error
        if (processor.pad_id(), processor.eos_id()) != (PAD_ID, EOS_ID):
            raise ValueError(
                f"{self.path} has padding id {processor.pad_id()} and end-of-sequence id "
                f"{processor.eos_id()}; T5 needs {PAD_ID} and {EOS_ID}. Train the vocabulary with "
                "pad_id=0, eos_id=1, unk_id=2, bos_id=-1."
            )
        return processor

    @functools.cached_property
    def added_ids(self) -> int:
        """Ids behind the model's own pieces, all of them sentinels."""
        if self.extra_ids is not None:
            return self.extra_ids
        if self._own_sentinels:
            return 0
        config = epath.Path(self.path).parent / "tokenizer_config.json"
        told = json.loads(config.read_text()).get("extra_ids") if config.exists() else None
        return T5_EXTRA_IDS if told is None else int(told)

    @functools.cached_property
    def _own_sentinels(self) -> int:
        size = self._processor.vocab_size()
        pieces = (self._processor.id_to_piece(i) for i in reversed(range(size)))
        return sum(1 for _ in itertools.takewhile(lambda piece: "<extra_id_" in piece, pieces))

    @property
    def vocab_size(self) -> int:
        return self._processor.vocab_size() + self.added_ids

    @property
    def num_sentinels(self) -> int:
        return self.added_ids + self._own_sentinels

    @functools.cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.serialized_model + b"%d" % self.added_ids).hexdigest()

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        lists = self._processor.encode(list(texts), num_threads=self.num_threads)
        return [np.asarray(tokens, np.int32) for tokens in lists]

    @property
    def unk_id(self) -> int:
        return self._processor.unk_id()

    def decode(self, tokens: np.ndarray) -> str:
        return self._processor.decode(tokens[tokens != self.unk_id].tolist())

    def normalized(self, text: str) -> str:
        # SentencePiece writes a space as U+2581.
        return self._processor.normalize(text).replace("\u2581", " ")

    def piece(self, token: int) -> str:
        if token >= self._processor.vocab_size():
            return f"<extra_id_{self.vocab_size - 1 - token}>"
        return self._processor.id_to_piece(token)


@dataclasses.dataclass(frozen=True)
class ByteVocabulary:
    """ByT5: id = byte + 3, and the highest byte ids double as sentinels.

    UTF-8 never uses the bytes 0xF5 to 0xFF and hardly those before, which is why
    ByT5 (Xue et al. 2022, section 3.1) reuses the final 100 byte ids.
    """

    @property
    def vocab_size(self) -> int:
        return 256 + 3

    @property
    def num_sentinels(self) -> int:
        return 100

    @property
    def unk_id(self) -> int:
        return UNK_ID

    @property
    def digest(self) -> str:
        return BYTES

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [np.frombuffer(t.encode(), np.uint8).astype(np.int32) + 3 for t in texts]

    def decode(self, tokens: np.ndarray) -> str:
        return (tokens[tokens > UNK_ID] - 3).astype(np.uint8).tobytes().decode(errors="ignore")

    def normalized(self, text: str) -> str:
        return text

    def piece(self, token: int) -> str:
        return ("<pad>", "</s>", "<unk>")[token] if token < 3 else chr(token - 3)


def open_vocabulary(path: str) -> SentencePieceVocabulary | ByteVocabulary:
    """The vocabulary in a SentencePiece file, or ByT5's for `bytes`."""
    return ByteVocabulary() if path == BYTES else SentencePieceVocabulary(path)


def train_vocabulary(
    texts: Iterable[str], path: str | os.PathLike, *, vocab_size: int, num_threads: int = 1
) -> SentencePieceVocabulary:
    """Trains a unigram SentencePiece vocabulary with T5's special ids.

    Args:
      texts: documents; SentencePiece sees each of their lines as a sentence.
      path: the `.model` file to write.
      vocab_size: pieces, special ones included, extra ids not.
      num_threads: of the trainer.
    """
    lines = (line for text in texts for line in text.splitlines() if line.strip())
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines,
        model_writer=model,
        model_type="unigram",
        vocab_size=vocab_size,
        hard_vocab_limit=False,
        character_coverage=0.9995,
        normalization_rule_name="nmt_nfkc",
        pad_id=PAD_ID,
        eos_id=EOS_ID,
        unk_id=UNK_ID,
        bos_id=-1,
        num_threads=num_threads,
        max_sentence_length=8192,
        minloglevel=2,
    )
    return write_vocabulary(model.getvalue(), path)


def write_vocabulary(serialized: bytes, path: str | os.PathLike) -> SentencePieceVocabulary:
    """Writes a `.model` file, which appears whole or not at all."""
    target = epath.Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    publish_bytes(target, serialized)
    return SentencePieceVocabulary(os.fspath(target))
