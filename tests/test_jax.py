"""The installed JAX computes what it says: jax 0.10.2 did not, silently, on CPUs (hence `!=0.10.2` in setup.py)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest


@pytest.mark.parametrize("size", [7, 1_000, 16_385, 32_769])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mapped_matrix_vector_products_that_are_summed(float64, dtype, size):
    """jax issue 39103: wrong from some thousands of rows on, under jit only."""
    rows = jnp.zeros((size, 3), dtype).at[:, 0].set(jnp.arange(size))
    matrix = jnp.eye(3, dtype=dtype)

    def squared_norms(rows):
        return jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2))(rows)

    expected = np.arange(size, dtype=dtype) ** 2
    np.testing.assert_array_equal(squared_norms(rows), expected)
    np.testing.assert_array_equal(jax.jit(squared_norms)(rows), expected)


@pytest.mark.parametrize("size", [49, 50, 64, 1_000])
@pytest.mark.parametrize(("dtype", "digits"), [("float32", 1e-6), ("float64", 1e-14)])
def test_arctan(float64, dtype, digits, size):
    """jax issue 39352: wrong from 50 elements on, jitted or not."""
    magnitudes = np.geomspace(1e-6, 1e6, size - size // 2)
    x = np.concatenate([-magnitudes[: size // 2], magnitudes]).astype(dtype)
    np.testing.assert_allclose(jnp.arctan(x), np.arctan(x), rtol=digits)
    np.testing.assert_allclose(jax.jit(jnp.arctan)(x), np.arctan(x), rtol=digits)
