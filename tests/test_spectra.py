"""The spectral radius against the eigenvalues of LAPACK."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from examples import numbers

from seqjax.spectra import spectral_radius


def rotations(*sizes_and_angles):
    """Blocks `size * rotation by angle` on the diagonal: pairs of complex eigenvalues."""
    matrix = np.zeros((2 * len(sizes_and_angles),) * 2)
    for i, (size, angle) in enumerate(sizes_and_angles):
        c, s = np.cos(angle), np.sin(angle)
        matrix[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = size * np.array([[c, -s], [s, c]])
    return matrix


def similar(matrix, seed=0):
    basis = np.eye(len(matrix)) + 0.3 * numbers(seed, *matrix.shape) / np.sqrt(len(matrix))
    return basis @ matrix @ np.linalg.inv(basis)


MATRICES = {
    "random": numbers(0, 100, 100) / 10,
    "random, small": numbers(1, 3, 3),
    "one by one": np.array([[-2.5]]),
    "orthogonal": np.linalg.qr(numbers(2, 64, 64))[0],
    "complex pair dominant": similar(rotations((1.1, 0.7), (1.0, 2.0), (0.3, 1.0))),
    "complex pair barely dominant": similar(rotations((1.001, 0.7), (1.0, 2.0))),
    "plus and minus": similar(np.diag([2.0, -2.0, 1.0])),
    "diagonal": np.diag([0.1, -3.0, 2.0, 0.0]),
    "times 1e-3": 1e-3 * numbers(3, 40, 40),
    "times 1e3": 1e3 * numbers(3, 40, 40),
    "times 1e30": 1e30 * numbers(3, 40, 40),
    "not normal": np.array([[0.9, 50.0], [0.0, 0.8]]),
    "fewer ranks than rows": numbers(4, 30, 2) @ numbers(5, 2, 30),
}


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_is_the_largest_modulus_of_an_eigenvalue(matrix):
    matrix = matrix.astype(np.float32)
    expected = np.abs(np.linalg.eigvals(matrix.astype(np.float64))).max()
    radius = spectral_radius(jnp.asarray(matrix))
    assert radius.dtype == jnp.float32
    np.testing.assert_allclose(radius, expected, rtol=1e-5)


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_is_exact_to_more_digits_in_64_bits(float64, matrix):
    np.testing.assert_allclose(
        spectral_radius(jnp.asarray(matrix)), np.abs(np.linalg.eigvals(matrix)).max(), rtol=1e-12
    )


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 64])
def test_nilpotent_matrices_have_radius_0(size):
    assert spectral_radius(jnp.zeros((size, size))) == 0
    assert spectral_radius(jnp.asarray(np.triu(numbers(0, size, size), 1), jnp.float32)) == 0
    assert spectral_radius(jnp.eye(size, k=-1)) == 0


@pytest.mark.parametrize("size", [2, 8, 50])
def test_powers_that_underflow_are_not_taken_for_0(size):
    """A Jordan block: its powers are its eigenvalue's times N^(size - 1), and rounding moves it by eps^(1 / size)."""
    radius = spectral_radius(0.5 * jnp.eye(size) + jnp.eye(size, k=1))
    assert 0.5 - 1e-5 < radius < 0.5 + np.finfo(np.float32).eps ** (1 / size)


def test_under_jit_and_vmap():
    matrices = jnp.asarray(numbers(0, 2, 3, 20, 20), jnp.float32).at[1, 1].set(0)
    radii = jax.jit(jax.vmap(jax.vmap(spectral_radius)))(matrices)
    expected = np.abs(np.linalg.eigvals(np.asarray(matrices, np.float64))).max(-1)
    np.testing.assert_allclose(radii, expected, rtol=1e-5)
    assert radii[1, 1] == 0


def test_of_what_is_not_finite_is_nan():
    for value in jnp.nan, jnp.inf:
        assert jnp.isnan(spectral_radius(jnp.eye(3).at[0, 1].set(value)))
