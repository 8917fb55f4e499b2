"""Objectives: what a model sees of a document, and what it must predict."""

import numpy as np
import pytest

from pruning.span_corruption import SpanCorruption
from pruning.text_objectives import OBJECTIVES, CausalLM, PrefixLM, make_objective
from pruning.tokenization import EOS_ID, ByteVocabulary

FIRST_SENTINEL = 1099
T5 = SpanCorruption(vocab_size=1100, num_sentinels=100)


def tokens(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.int32) % 900 + 10


def spans_by_sentinel(sequence: list[int]) -> dict[int, list[int]]:
    """What stands behind each sentinel of some targets."""
    spans: dict[int, list[int]] = {}
    for token in sequence:
        if token >= 1000:
            spans[token] = []
        else:
            spans[[*spans][-1]].append(token)
    return spans


def restored(inputs: np.ndarray, targets: np.ndarray) -> list[int]:
    spans = spans_by_sentinel(targets[:-1].tolist())
    found: list[int] = []
    for token in inputs[:-1].tolist():
        found += spans[token] if token >= 1000 else [token]
    return found


def test_lengths_are_those_of_t5():
    assert (T5.window_tokens, T5.lengths) == (568, (512, 114))


def test_a_window_is_as_long_as_its_inputs_allow():
    for window in [*range(4, 150), 256, 511]:
        goal = SpanCorruption(vocab_size=1100, num_sentinels=100, window=window)
        longest = [
            (len(e.inputs), len(e.targets))
            for n in range(1, goal.window_tokens + 2)
            for e in [goal.example(tokens(n), 0)]
        ]
        fitting, beyond = longest[:-1], longest[-1]
        assert goal.lengths == (max(i for i, _ in fitting), max(t for _, t in fitting))
        assert max(i for i, _ in fitting) <= window < beyond[0]


def test_inputs_and_targets_together_restore_the_tokens_of_any_length():
    for n in range(1, 701):
        example = T5.example(tokens(n), seed=n)
        assert restored(example.inputs, example.targets) == tokens(n).tolist()


def test_both_end_and_sentinels_count_down():
    for n in (1, 2, 3, 20, 300, 568):
        example = T5.example(tokens(n), seed=5)
        assert example.inputs.dtype == example.targets.dtype == np.int32
        for sequence in (example.inputs, example.targets):
            assert sequence[-1] == EOS_ID
            sentinels = sequence[sequence >= 1000].tolist()
            assert sentinels == [FIRST_SENTINEL - i for i in range(len(sentinels))]
        assert example.inputs[0] == 10, "a document begins with a span that stays"
        assert example.n_predicted == (example.targets < 1000).sum() - 1


def test_masks_are_a_function_of_the_seed_and_the_length_alone():
    hidden = [T5.example(t, 3).targets >= 1000 for t in (tokens(200), tokens(200)[::-1].copy())]
    assert np.array_equal(*hidden)
    masks = {tuple(T5.example(tokens(200), seed).targets) for seed in range(50)}
    assert len(masks) == 50


def test_mask_golden():
    goal = SpanCorruption(vocab_size=1100, num_sentinels=100, noise_density=0.3)
    example = goal.example(tokens(40), 2**63 + 11)
    hidden = [t - 10 for t in example.targets[:-1].tolist() if t < 1000]
    assert hidden == [4, 7, 8, 9, 10, 17, 18, 19, 20, 21, 38, 39]


def test_noise_is_15_percent_in_spans_of_3_everywhere():
    hidden = np.zeros((400, 568))
    lengths = []
    for seed in range(400):
        targets = T5.example(np.arange(568, dtype=np.int32) + 2000, seed).targets
        hidden[seed, targets[targets >= 2000] - 2000] = 1
        lengths += [len(s) for s in np.split(targets, np.flatnonzero(targets < 1100))[1:-1]]
    assert abs(hidden.mean() - 0.15) < 0.001
    assert abs(np.mean(lengths) - 1 - 3) < 0.1
    # Every place is hidden about equally often; the ends differ, for spans alternate.
    assert abs(hidden[:, 10:-10].mean(0) - 0.15).max() < 6 * np.sqrt(0.15 * 0.85 / 400)


def test_too_few_sentinels():
    with pytest.raises(ValueError, match=r"window of 512 needs 28 sentinels, .* has 27.*--window"):
        SpanCorruption(vocab_size=1100, num_sentinels=27)
    SpanCorruption(vocab_size=1100, num_sentinels=28)


def test_prefix_lm_predicts_the_second_half():
    example = PrefixLM(window=8).example(tokens(5), seed=9)
    assert example.inputs.tolist() == [10, 11, EOS_ID]
    assert example.targets.tolist() == [12, 13, 14, EOS_ID]
    assert example.n_predicted == 3
    assert (PrefixLM(window=8).window_tokens, PrefixLM(window=8).lengths) == (14, (8, 8))


def test_causal_lm_predicts_everything():
    example = CausalLM(window=8).example(tokens(5), seed=9)
    assert example.inputs.tolist() == [EOS_ID]
    assert example.targets.tolist() == [10, 11, 12, 13, 14, EOS_ID]
    assert example.n_predicted == 5
    assert CausalLM(window=8).window_tokens == 7
    assert CausalLM(window=512).lengths == (16, 512)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("window", [4, 5, 33, 512])
def test_no_example_is_longer_than_promised(name, window):
    goal = make_objective(name, ByteVocabulary(), window)
    assert goal.name == name
    assert max(goal.lengths) == window
    for n in {1, 2, 3, goal.window_tokens - 1, goal.window_tokens} - {0}:
        example = goal.example(tokens(n) % 200 + 3, seed=n)
        assert len(example.inputs) <= goal.lengths[0]
        assert len(example.targets) <= goal.lengths[1]
        assert 0 <= example.n_predicted <= n


def test_unknown_names_and_tiny_windows_are_refused():
    with pytest.raises(
        ValueError, match=r"'masked_lm'; known are span_corruption, prefix_lm, causal_lm"
    ):
        make_objective("masked_lm", ByteVocabulary())
    with pytest.raises(ValueError, match=r"window is 3; a window holds at least 4"):
        make_objective("causal_lm", ByteVocabulary(), 3)
