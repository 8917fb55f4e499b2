"""Vocabularies as token arrays."""

import os

import numpy as np
import pytest
import sentencepiece
import toy
from etils import epath
from sentencepiece import sentencepiece_model_pb2

from pruning.tokenization import (
    ByteVocabulary,
    SentencePieceVocabulary,
    open_vocabulary,
    train_vocabulary,
    write_vocabulary,
)

TEXTS = toy.texts(200)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "new" / "spiece.model"
    return train_vocabulary(TEXTS, path, vocab_size=100)


def test_a_trained_vocabulary_has_the_special_ids_of_t5(vocabulary):
    processor = sentencepiece.SentencePieceProcessor(model_file=vocabulary.path)
    ids = processor.pad_id(), processor.eos_id(), processor.unk_id(), processor.bos_id()
    assert ids == (0, 1, 2, -1)
    assert vocabulary.vocab_size == processor.vocab_size() + 100
    assert vocabulary.num_sentinels == 100


def test_encoding_keeps_the_text_and_adds_no_end(vocabulary):
    processor = sentencepiece.SentencePieceProcessor(model_file=vocabulary.path)
    tokens = vocabulary.encode(TEXTS)
    assert [processor.decode(t.tolist()) for t in tokens] == TEXTS
    assert all(t.dtype == np.int32 and t.min() > 1 for t in tokens)
    assert max(t.max() for t in tokens) < processor.vocab_size()


def test_threads_do_not_change_the_tokens(vocabulary):
    one = SentencePieceVocabulary(vocabulary.path, num_threads=1).encode(TEXTS)
    four = SentencePieceVocabulary(vocabulary.path, num_threads=4).encode(TEXTS)
    assert [t.tolist() for t in one] == [t.tolist() for t in four]


def test_nothing_and_the_empty_text_can_be_encoded(vocabulary):
    assert vocabulary.encode([]) == []
    assert [len(t) for t in vocabulary.encode([""])] == [0]
    assert [len(t) for t in ByteVocabulary().encode([""])] == [0]


def test_the_digest_is_of_the_content_and_of_the_extra_ids(vocabulary, tmp_path):
    copy = tmp_path / "copy.model"
    copy.write_bytes(vocabulary.serialized_model)
    assert SentencePieceVocabulary(str(copy)).digest == vocabulary.digest
    assert SentencePieceVocabulary(str(copy), extra_ids=0).digest != vocabulary.digest
    other = train_vocabulary(toy.texts(200, seed=1), tmp_path / "other.model", vocab_size=90)
    assert other.digest != vocabulary.digest


def test_training_leaves_nothing_else_behind(vocabulary, tmp_path):
    train_vocabulary(TEXTS, tmp_path / "a.model", vocab_size=90)
    assert [p.name for p in tmp_path.iterdir()] == ["a.model"]


def test_two_writers_of_one_vocabulary_do_not_meet(tmp_path, monkeypatch):
    path = epath.Path(tmp_path / "a.model")
    replace, others = type(path).replace, [b"second"]

    def replace_after_another(self, target):
        if others:
            write_vocabulary(others.pop(), path)
        return replace(self, target)

    monkeypatch.setattr(type(path), "replace", replace_after_another)
    write_vocabulary(b"first", path)
    assert path.read_bytes() == b"second"  # who is last finds that the file is there, and whole
    assert [p.name for p in tmp_path.iterdir()] == ["a.model"]


def test_a_trainer_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError):
        train_vocabulary([], tmp_path / "a.model", vocab_size=90)
    (tmp_path / "a.model").mkdir()  # the rename fails
    with pytest.raises(OSError, match=r"a\.model"):
        train_vocabulary(TEXTS, tmp_path / "a.model", vocab_size=90)
    assert [p.name for p in tmp_path.iterdir()] == ["a.model"]


def test_threads_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 6}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert SentencePieceVocabulary("x").num_threads == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert SentencePieceVocabulary("x").num_threads == 64


def test_bytes_are_ids_from_3_as_in_byt5():
    vocabulary = open_vocabulary("bytes")
    (tokens,) = vocabulary.encode(["aé\x00"])
    assert tokens.tolist() == [97 + 3, 0xC3 + 3, 0xA9 + 3, 3]
    assert tokens.dtype == np.int32
    assert (vocabulary.vocab_size, vocabulary.num_sentinels) == (259, 100)


def test_a_missing_file_names_what_to_give():
    with pytest.raises(FileNotFoundError, match=r"no vocabulary file nowhere.*--vocabulary.*bytes"):
        _ = open_vocabulary("nowhere").vocab_size


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "x.model").write_bytes(b"not a model")
    with pytest.raises(ValueError, match=r"x\.model is not a SentencePiece model"):
        _ = open_vocabulary(str(tmp_path / "x.model")).vocab_size


def test_other_special_ids_are_refused(tmp_path):
    path = tmp_path / "gpt.model"
    with path.open("wb") as writer:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXTS),
            model_writer=writer,
            vocab_size=90,
            hard_vocab_limit=False,
            minloglevel=2,
        )
    with pytest.raises(
        ValueError, match=r"padding id -1 and end-of-sequence id 2; T5 needs 0 and 1"
    ):
        open_vocabulary(str(path)).encode(["a"])


def test_decoding_is_the_way_back_but_for_what_is_unknown(vocabulary):
    for opened in (vocabulary, ByteVocabulary()):
        assert [opened.decode(ids) for ids in opened.encode(TEXTS)] == TEXTS
    (ids,) = vocabulary.encode(["the \u4eee cat"])
    assert 2 in ids
    assert vocabulary.decode(ids).split() == ["the", "cat"]
    (ids,) = ByteVocabulary().encode(["caf\u00e9"])
    assert ByteVocabulary().decode(ids[:-1]) == "caf"


def test_every_id_has_a_piece_for_people(vocabulary):
    pieces = [vocabulary.piece(i) for i in range(vocabulary.vocab_size)]
    assert pieces[:3] == ["<pad>", "</s>", "<unk>"]
    assert (pieces[-1], pieces[-100]) == ("<extra_id_0>", "<extra_id_99>")
    (ids,) = vocabulary.encode(["the cat"])
    assert "".join(pieces[i] for i in ids) == "\u2581the\u2581cat"
    assert (
        "".join(ByteVocabulary().piece(int(i)) for i in ByteVocabulary().encode(["Hi"])[0]) == "Hi"
    )


def test_a_normalized_text_is_what_the_vocabulary_sees(vocabulary):
    assert vocabulary.normalized(" a\uff03\x01b \n c").strip() == "a#b c"
    assert ByteVocabulary().normalized(" a\uff03\x01") == " a\uff03\x01"


def test_a_tokenizer_config_beside_the_file_tells_the_extra_ids(vocabulary, tmp_path):
    (tmp_path / "spiece.model").write_bytes(vocabulary.serialized_model)
    (tmp_path / "tokenizer_config.json").write_text('{"extra_ids": 300}')  # as umT5 has it
    found = SentencePieceVocabulary(str(tmp_path / "spiece.model"))
    pieces = vocabulary.vocab_size - 100
    assert (found.vocab_size, found.num_sentinels) == (pieces + 300, 300)
    assert found.digest == SentencePieceVocabulary(vocabulary.path, extra_ids=300).digest


def test_sentinels_among_the_pieces_are_not_added_again(vocabulary, tmp_path):
    model = sentencepiece_model_pb2.ModelProto.FromString(vocabulary.serialized_model)
    pieces = len(model.pieces)
    for i in reversed(range(5)):  # as mT5 has them: the first is the last piece
        model.pieces.add(piece=f"\u2581<extra_id_{i}>", score=0.0, type=4)
    path = tmp_path / "own.model"
    path.write_bytes(model.SerializeToString())
    found = SentencePieceVocabulary(str(path))
    assert (found.vocab_size, found.num_sentinels) == (pieces + 5, 5)
    assert found.piece(found.vocab_size - 1) == "\u2581<extra_id_0>"
