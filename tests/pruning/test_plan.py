"""Documents, hours and dollars, worked out by hand."""

import pytest

from pruning.continuation import Continuation
from pruning.embedded_documents import EmbeddedDocument
from pruning.plan import FILL, cost, documents_per_row, pretraining_flops
from pruning.span_corruption import SpanCorruption
from pruning.text_objectives import CausalLM


def test_long_documents_are_several_windows():
    spans = SpanCorruption(vocab_size=32_128, num_sentinels=100)
    # 568 tokens become inputs of 512.
    assert documents_per_row(spans, 5680) == pytest.approx(FILL / 10)
    assert documents_per_row(spans, 284) == pytest.approx(FILL * 2)
    causal = CausalLM(has_encoder=False, window=512)
    assert documents_per_row(causal, 511) == pytest.approx(FILL)


def test_truncated_documents_fill_at_most_a_row():
    embedded = EmbeddedDocument(window=512)
    assert documents_per_row(embedded, 255) == pytest.approx(FILL * 2)
    assert documents_per_row(embedded, 100_000) == pytest.approx(FILL)


def test_what_is_not_packed_has_a_row_each():
    assert documents_per_row(Continuation(), 7) == 1.0


def test_hours_and_dollars():
    found = cost(7200, 8, 1.5)
    assert (found.hours, found.chip_hours, found.dollars) == (2.0, 16.0, 24.0)
    assert cost(7200, 8, None).dollars is None


def test_a_token_meets_one_stack_of_an_encoder_decoder():
    assert pretraining_flops(10.0, 7.0, has_encoder=False) == 420.0
    assert pretraining_flops(10.0, 7.0, has_encoder=True) == 210.0
