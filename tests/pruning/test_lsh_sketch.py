"""The LSH sketch against a definition in whole numbers, and against the kernel it estimates."""

import math

import embedded
import numpy as np
import pytest

from pruning.lsh_sketch import Sketch, draw_hash_functions


def buckets(functions, x_ND):
    """h_r of N directions [N, R], by exact integers of Python's size."""
    direction_ND, has_direction_N = functions.directions(x_ND)
    assert has_direction_N.all()
    product_NR = direction_ND.astype(np.int64) @ functions.weight_DR.astype(np.int64)
    position_NR = product_NR + functions.offset_R.astype(np.int64)
    return np.mod(np.floor_divide(position_NR, functions.bucket_width), functions.num_buckets)


def shared(functions, counted_ND, x_ND):
    """How many of the counted documents share the bucket of each x in each row, [N, R]."""
    counted_MR, bucket_NR = buckets(functions, counted_ND), buckets(functions, x_ND)
    return np.stack([(counted_MR == bucket_R).sum(axis=0) for bucket_R in bucket_NR])


def collision_probability(distance, bandwidth):
    """Datar et al. 2004, for p = 2."""
    if distance == 0:
        return 1.0
    t = bandwidth / distance
    outside = math.erfc(t / math.sqrt(2))  # 2 Phi(-t)
    return 1 - outside - math.sqrt(2 / math.pi) / t * (1 - math.exp(-(t**2) / 2))


@pytest.mark.parametrize(("bandwidth", "num_buckets"), [(1.0, 20_000), (0.05, 20_000), (0.3, 7)])
@pytest.mark.parametrize("size", [16, 768, 2048])
def test_counters_are_those_of_the_definition(size, bandwidth, num_buckets):
    functions = draw_hash_functions(size, rows=40, buckets=num_buckets, bandwidth=bandwidth, seed=1)
    x_ND, y_ND = embedded.vectors(300, size), embedded.vectors(33, size, seed=5)
    sketch = Sketch(functions)
    assert sketch.add(x_ND) == 300
    expected_NR = shared(functions, x_ND, y_ND)
    for count_B, bucket_N in zip(sketch.counts, buckets(functions, x_ND).T, strict=True):
        np.testing.assert_array_equal(count_B, np.bincount(bucket_N, minlength=num_buckets))
    np.testing.assert_array_equal(
        sketch.mean_counts(y_ND), expected_NR.mean(axis=1).astype(np.float32)
    )


@pytest.mark.parametrize("bandwidth", [0.2, 1.0])
def test_it_estimates_the_sum_of_the_collision_kernel_over_all_pairs(bandwidth):
    x_ND = embedded.vectors(60, 64, groups=4, spread=0.3)
    rows = 10_000
    functions = draw_hash_functions(64, rows=rows, buckets=2_000, bandwidth=bandwidth, seed=3)
    sketch = Sketch(functions)
    sketch.add(x_ND)
    unit_ND = embedded.directions(x_ND)
    distance_NN = np.linalg.norm(unit_ND[:, None] - unit_ND[None], axis=2)
    exact_N = np.vectorize(collision_probability)(distance_NN, bandwidth).sum(axis=1)
    error_N = shared(functions, x_ND, x_ND).std(axis=1) / np.sqrt(rows)
    assert error_N.max() < 0.02 * exact_N.mean()
    assert (np.abs(sketch.mean_counts(x_ND) - exact_N) < 4 * error_N).all()


@pytest.mark.parametrize("size", [1, 16, 768, 900, 4096])
def test_no_product_is_larger_than_the_whole_numbers_of_float32(size):
    functions = draw_hash_functions(size, rows=200, buckets=9, bandwidth=1.0, seed=0)
    weight_DR = functions.weight_DR.astype(np.int64)
    # The longest products there are: of the weights themselves.
    direction_ND, _ = functions.directions(weight_DR.T.astype(np.float32))
    highest = np.abs(direction_ND.astype(np.int64) @ weight_DR).max()
    assert highest <= 2**24
    assert highest > 2**21 or functions.direction_bits == 14


def test_weights_are_normal_and_offsets_uniform():
    functions = draw_hash_functions(300, rows=500, buckets=9, bandwidth=0.7, seed=0)
    weight = functions.weight_DR / 32
    assert abs(weight.mean()) < 0.01
    assert abs(weight.std() - 1) < 0.01
    assert functions.offset_R.min() >= 0
    assert functions.offset_R.max() < functions.bucket_width
    assert abs(functions.offset_R.mean() / functions.bucket_width - 0.5) < 0.05


def test_a_vector_without_direction_is_not_counted_and_has_no_count():
    functions = draw_hash_functions(8, rows=10, buckets=50, bandwidth=1.0, seed=0)
    x_ND = embedded.vectors(20, 8)
    x_ND[4], x_ND[9] = 0, np.nan
    sketch = Sketch(functions)
    assert sketch.add(x_ND) == 18
    assert np.flatnonzero(np.isnan(sketch.mean_counts(x_ND))).tolist() == [4, 9]


def test_counts_above_16_bits_add_up():
    functions = draw_hash_functions(8, rows=30, buckets=5, bandwidth=1.0, seed=0)
    count_RB = np.random.default_rng(0).integers(2**31 - 1, size=(30, 5), dtype=np.int32)
    x_ND = embedded.vectors(20, 8)
    expected = [count_RB[np.arange(30), b].mean(dtype=np.float64) for b in buckets(functions, x_ND)]
    np.testing.assert_array_equal(
        Sketch(functions, count_RB).mean_counts(x_ND), np.float32(expected)
    )


def test_what_cannot_be_drawn_is_refused():
    good = {"rows": 10, "buckets": 10, "bandwidth": 1.0, "seed": 0}
    with pytest.raises(ValueError, match=r"bandwidth is 0; .* Use 0\.001 to 1000"):
        draw_hash_functions(8, **{**good, "bandwidth": 0})
    with pytest.raises(ValueError, match="sketch of 40000 rows and 10 buckets"):
        draw_hash_functions(8, **{**good, "rows": 40_000})
    functions = draw_hash_functions(8, **good)
    with pytest.raises(
        ValueError, match="have 9 dimensions, but the hash functions were drawn for 8"
    ):
        Sketch(functions).add(np.ones((2, 9)))
