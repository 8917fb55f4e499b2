"""Packing: every example once, nothing overlaps, and the way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning.objectives import Example
from pruning.packing import RowShape, fill_rows, pack
from pruning.span_corruption import SpanCorruption

SHAPE = RowShape(20, 10)
LENGTHS = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 10)), max_size=40)


def examples_of(lengths):
    """Examples whose tokens say which example and which place they are from."""
    return [
        Example(
            1000 * (p + 1) + np.arange(i, dtype=np.int32),
            -1000 * (p + 1) - np.arange(t, dtype=np.int32),
            i,
            t,
        )
        for p, (i, t) in enumerate(lengths)
    ]


def of_segment(packed, side, tokens, row, segment):
    arrays = packed.arrays
    return arrays[f"{side}_{tokens}"][row][arrays[f"{side}_segment_ids"][row] == segment]


@given(LENGTHS)
def test_every_example_is_there_once_and_can_be_found_again(lengths):
    examples = examples_of(lengths)
    packed = fill_rows(examples, SHAPE)
    found = {}
    for row in range(packed.num_rows):
        used = sorted(set(packed.arrays["encoder_segment_ids"][row]) - {0})
        assert used == list(range(1, len(used) + 1))
        for segment in used:
            inputs = of_segment(packed, "encoder", "input_tokens", row, segment)
            found[int(inputs[0]) // 1000 - 1] = row, segment
            targets = of_segment(packed, "decoder", "target_tokens", row, segment)
            shifted = of_segment(packed, "decoder", "input_tokens", row, segment)
            example = examples[int(inputs[0]) // 1000 - 1]
            assert inputs.tolist() == example.inputs.tolist()
            assert targets.tolist() == example.targets.tolist()
            assert shifted.tolist() == [0, *example.targets[:-1].tolist()]
    assert len(found) == len(lengths)
    assert packed.num_real == sum(i + t for i, t in lengths)
    for name in ("encoder_input_tokens", "decoder_target_tokens"):
        padding = packed.arrays[f"{name.partition('_')[0]}_segment_ids"] == 0
        assert not packed.arrays[name][padding].any()
        assert (~padding).sum() == sum(n[name.startswith("dec")] for n in lengths)


@given(LENGTHS)
def test_segments_of_a_row_lie_one_after_the_other(lengths):
    packed = fill_rows(examples_of(lengths), SHAPE)
    for side in ("encoder", "decoder"):
        for row in packed.arrays[f"{side}_segment_ids"]:
            used = row[row > 0]
            assert (row[: len(used)] > 0).all(), "no holes"
            assert (np.diff(used) >= 0).all(), "one run a segment"


@given(LENGTHS, st.integers(0, 99))
def test_sums_are_those_of_each_examples_targets(lengths, seed):
    packed = fill_rows(examples_of(lengths), SHAPE)
    rng = np.random.default_rng(seed)
    # More rows than there are, as a batch filled up with padding gives them.
    values_RT = rng.normal(size=(packed.num_rows + 3, 10)).astype(np.float32)
    values_RT[packed.num_rows :] = np.nan
    values_RT[: packed.num_rows][packed.arrays["decoder_segment_ids"] == 0] = np.nan
    direct = [
        values_RT[: packed.num_rows][packed.arrays["decoder_target_tokens"] // -1000 == p + 1]
        for p in range(len(lengths))
    ]
    sums = packed.sums(values_RT)
    assert sums.dtype == np.float64
    np.testing.assert_allclose(sums, [d.astype(np.float64).sum() for d in direct], rtol=1e-12)


@given(LENGTHS, st.integers(1, 7))
def test_batches_have_one_shape_and_hold_all_rows(lengths, batch_rows):
    packed = fill_rows(examples_of(lengths), SHAPE)
    batches = packed.batches(batch_rows)
    for name, rows in packed.arrays.items():
        width = SHAPE.encoder_length if name.startswith("encoder") else SHAPE.decoder_length
        assert {b[name].shape for b in batches} <= {(batch_rows, width)}
        assert {b[name].dtype for b in batches} <= {np.dtype(np.int32)}
        joined = np.concatenate([b[name] for b in batches]) if batches else rows
        assert np.array_equal(joined[: len(rows)], rows)
        assert not joined[len(rows) :].any()
    assert len(batches) == -(-packed.num_rows // batch_rows)


@given(LENGTHS)
def test_nothing_but_the_lengths_decides_where_an_example_lies(lengths):
    def place():
        inputs_P, targets_P = np.array(lengths, np.int64).reshape(-1, 2).T
        packing = pack(inputs_P, targets_P, SHAPE)
        return packing.row_P.tolist(), packing.segment_P.tolist(), packing.num_rows

    first = place()
    np.random.seed(1)
    assert place() == first


@given(LENGTHS.filter(bool), st.randoms())
def test_another_order_takes_as_many_rows(lengths, rng):
    shuffled = rng.sample(lengths, len(lengths))
    rows = [pack(*np.array(order, np.int64).T, SHAPE).num_rows for order in (lengths, shuffled)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("lengths", [[(21, 1)], [(3, 2), (1, 11)]])
def test_an_example_that_does_not_fit_is_an_error(lengths):
    with pytest.raises(
        ValueError, match=r"needs \d+ encoder and \d+ decoder .* 20 and 10.*--row_length"
    ):
        fill_rows(examples_of(lengths), SHAPE)


def test_rows_of_realistic_documents_are_full():
    goal = SpanCorruption(vocab_size=1100, num_sentinels=100)
    rng = np.random.default_rng(0)
    # C4: log-normal with a median of some 230 tokens; the longest are cut into windows.
    n_tokens = np.minimum(rng.lognormal(5.4, 1.0, 4000).astype(int) + 1, goal.window_tokens)
    packed = fill_rows(
        [goal.example(np.full(n, 5, np.int32), 0) for n in n_tokens], RowShape(*goal.lengths)
    )
    fill = packed.num_real / (packed.num_rows * packed.positions_per_row)
    assert fill > 0.95
