"""Rank classification against Hugging Face's T5 and GPT-2 with the same random weights."""

import numpy as np
import pytest
import test_decoder_only_parity as gpt
import test_t5_parity as t5
import torch

from models.scoring_model import make_token_statistics_fn
from pruning.experiments.rank_classification import Question, option_nlls

WINDOW = 24


class Letters:
    """A token per character; 60 is the first sentinel."""

    vocab_size = 61

    def encode(self, texts):
        return [np.array([3 + ord(c) % 50 for c in text], np.int32) for text in texts]


VOCABULARY = Letters()
QUESTIONS = [
    Question("the woman retired,", ("a pension", "it rains on the sea", "x"), 0),
    Question("", ("no context", "none at all"), 1),
    Question("a context that is far too long for so short a window", ("yes", "perhaps"), 0),
]


def ours(config, params, reads, batch_rows=2):
    return option_nlls(
        QUESTIONS,
        vocabulary=VOCABULARY,
        window=WINDOW,
        reads=reads,
        model=make_token_statistics_fn(config, params),
        batch_rows=batch_rows,
    )


def ids(text):
    return VOCABULARY.encode([text])[0].tolist()


def mean_nll(logits, targets, first=0):
    nll = torch.nn.functional.cross_entropy(logits, torch.tensor(targets), reduction="none")
    return nll[first:].mean().item()


def of_t5(model, context, targets, first):
    """One option by itself, unpadded and unpacked."""
    with torch.no_grad():
        logits = model(
            input_ids=torch.tensor([[*context, 1]]),
            decoder_input_ids=torch.tensor([[0, *targets[:-1]]]),
        ).logits[0]
    return mean_nll(logits, targets, first)


@pytest.mark.parametrize("version", t5.CONFIGS)
@pytest.mark.parametrize("reads", ["encoder", "blank"])
def test_t5(version, reads):
    config = t5.CONFIGS[version]
    model = t5.hugging_face_model(config)
    sentinel = [60] if reads == "blank" else []
    room = WINDOW - 1 - len(sentinel)
    expected = [
        [
            of_t5(model, [*ids(q.context)[-room:], *sentinel], [*sentinel, *ids(o)], len(sentinel))
            for o in q.options
        ]
        for q in QUESTIONS
    ]
    found = ours(config, t5.convert(model, config), reads)
    for ours_O, theirs_O in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours_O, theirs_O, atol=2e-5)
        assert np.ptp(theirs_O) > 1e-3


@pytest.mark.parametrize("batch_rows", [1, 4])
def test_gpt2(batch_rows):
    config = gpt.CONFIGS["gpt2"]
    model = gpt.hugging_face_model(config)
    expected = []
    for question in QUESTIONS:
        expected.append([])
        for option in question.options:
            words = ids(f" {option}" if question.context else option)
            context = ids(question.context)[-(WINDOW - len(words)) :]
            tokens = [*context, *words]
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([[0, *tokens[:-1]]])).logits[0]
            expected[-1].append(mean_nll(logits, tokens, len(context)))
    found = ours(config, gpt.convert(model, config), "prefix", batch_rows)
    for ours_O, theirs_O in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours_O, theirs_O, atol=2e-5)
        assert np.ptp(theirs_O) > 1e-3
