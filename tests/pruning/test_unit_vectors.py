"""Directions on a grid: their products are the same for any shape and order."""

import embedded
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pruning.unit_vectors import blocks, on_grid, unit_vectors


def test_they_have_length_one():
    x_ND = embedded.vectors(50, 96)
    unit_ND, has_direction_N = unit_vectors(x_ND)
    assert has_direction_N.all()
    assert unit_ND.dtype == np.float32
    np.testing.assert_allclose(unit_ND, embedded.directions(x_ND), atol=1e-7)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_what_has_no_direction_is_told_and_leaves_the_others_alone(bad):
    x_ND = embedded.vectors(5, 16)
    expected_ND, _ = unit_vectors(x_ND)
    x_ND[2] = 0 if bad == 0 else x_ND[2]
    x_ND[2, 3] = bad
    unit_ND, has_direction_N = unit_vectors(x_ND)
    np.testing.assert_array_equal(has_direction_N, [True, True, False, True, True])
    np.testing.assert_array_equal(unit_ND[2], 0)
    np.testing.assert_array_equal(np.delete(unit_ND, 2, 0), np.delete(expected_ND, 2, 0))


def test_lengths_beyond_float32_squared_are_no_trouble():
    x_ND = np.array([[3e30, 4e30], [3e-30, 4e-30]], np.float32)
    unit_ND, has_direction_N = unit_vectors(x_ND)
    assert has_direction_N.all()
    np.testing.assert_allclose(unit_ND, [[0.6, 0.8]] * 2, rtol=1e-6)


def test_products_on_a_grid_are_those_of_whole_numbers():
    x_ND = on_grid(unit_vectors(embedded.vectors(300, 768))[0], 12)
    y_ND = on_grid(unit_vectors(embedded.vectors(200, 768, seed=1))[0], 11)
    exact = x_ND.astype(np.int64) @ y_ND.astype(np.int64).T

    @jax.jit
    def product(x_ND, y_ND):
        x_ND, y_ND = (a.astype(jnp.float32) for a in (x_ND, y_ND))
        return jnp.matmul(x_ND / 2**12, y_ND.T / 2**11, precision="highest")

    for n in (1, 7, 300):
        np.testing.assert_array_equal(np.asarray(product(x_ND[:n], y_ND)) * 2.0**23, exact[:n])


def test_blocks_have_one_shape_and_lose_nothing():
    x_ND = np.arange(22).reshape(11, 2)
    found = list(blocks(x_ND, 4))
    assert [block.shape for block, _ in found] == [(4, 2)] * 3
    assert [n for _, n in found] == [4, 4, 3]
    np.testing.assert_array_equal(np.concatenate([block[:n] for block, n in found]), x_ND)
    assert list(blocks(x_ND[:0], 4)) == []
