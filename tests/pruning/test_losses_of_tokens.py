"""Tokens with their losses stand where they stand in the document."""

import math

import numpy as np
import pytest
from toy import texts, token_statistics, write_jsonl

from pruning.documents import Unit
from pruning.packing import RowShape
from pruning.prepared_units import Preparation, prepare
from pruning.sources import JsonlSource
from pruning.text_objectives import make_objective
from pruning.token_losses import Predicted, TokenLoss, predict, token_losses, words
from pruning.tokenization import ByteVocabulary, train_vocabulary

DOCUMENTS = [*texts(6, seed=1, most_words=60), "東京 café"]


NAMES = ["span_corruption", "prefix_lm", "causal_lm", "decoder_only"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "spiece.model"
    return train_vocabulary(texts(200), path, vocab_size=60)


def read(folder, vocabulary, name, window=24):
    """Losses of every window of every document, all of them packed together."""
    path = write_jsonl(folder / "d.jsonl", DOCUMENTS)
    if name == "decoder_only":
        objective = make_objective("causal_lm", vocabulary, window, has_encoder=False)
    else:
        objective = make_objective(name, vocabulary, window)
    how = Preparation(
        source=JsonlSource([str(path)]),
        vocabulary=vocabulary,
        objective=objective,
        shape=RowShape(*(2 * length for length in objective.lengths)),
    )
    prepared = prepare(Unit("d.jsonl", 0, len(DOCUMENTS)), how)
    return prepared, predict(prepared.packed, token_statistics, 3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["bytes", "trained"])
def test_the_text_is_that_of_the_document(tmp_path, trained, name, kind):
    vocabulary = ByteVocabulary() if kind == "bytes" else trained
    prepared, windows = read(tmp_path, vocabulary, name)
    for i, text in enumerate(DOCUMENTS):
        mine = [w for w, d in zip(windows, prepared.document_P, strict=True) if d == i]
        shown = "".join(token.text for token in token_losses(mine, vocabulary))
        assert shown.strip() == vocabulary.normalized(text).strip()


@pytest.mark.parametrize("name", NAMES)
def test_the_losses_are_those_that_make_the_score(tmp_path, trained, name):
    prepared, windows = read(tmp_path, trained, name)
    nll_RT = np.concatenate([token_statistics(b)["nll"] for b in prepared.packed.batches(3)])
    sums_P = prepared.packed.sums(nll_RT)
    assert [w.nll.sum() for w in windows] == pytest.approx(sums_P.tolist())
    for window in windows:
        shown = [t.nll for t in token_losses([window], trained) if t.nll is not None]
        marks = [
            loss
            for token, loss in zip(window.targets, window.nll, strict=True)
            if token == 1 or token >= trained.vocab_size - 100
        ]
        assert sum(shown) == pytest.approx(window.nll.sum() - sum(marks))


def test_spans_are_put_back_where_they_were_hidden(trained):
    a, b, c, d = trained.encode(["cat sat on mat"])[0][:4]
    first, second = trained.vocab_size - 1, trained.vocab_size - 2
    window = Predicted(
        np.array([a, first, c, second, 1]),
        np.array([first, b, second, d, 1]),
        np.array([9.0, 1.0, 9.0, 2.0, 9.0]),
    )
    found = token_losses([window], trained)
    assert [token.nll for token in found] == [None, 1.0, None, 2.0]
    pieces = [trained.piece(int(t)).replace("▁", " ") for t in (a, b, c, d)]
    assert [token.text for token in found] == pieces


def test_bytes_of_one_character_are_one_piece():
    ids = ByteVocabulary().encode(["é!"])[0]
    window = Predicted(np.array([1]), np.append(ids, 1), np.array([1.0, 2.0, 4.0, 8.0]))
    assert token_losses([window], ByteVocabulary()) == [TokenLoss("é", 3.0), TokenLoss("!", 4.0)]
    cut = Predicted(window.inputs, window.targets[:1], window.nll[:1])
    assert token_losses([cut], ByteVocabulary()) == [TokenLoss("\ufffd", 1.0)]


def test_words_add_up_their_tokens():
    pieces = [(" ho", None), ("use", 1.0), ("s", 2.0), (" and", None), ("\n", None), ("x", 3.0)]
    found = words([TokenLoss(*p) for p in pieces])
    assert [(t, n) for t, n in found] == [
        (" houses", 3.0),
        (" and", None),
        ("\n", None),
        ("x", 3.0),
    ]
    assert math.isclose(sum(n for _, n in found if n), 6.0)
