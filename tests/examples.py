"""Random cells and numbers to test with."""

import jax
import numpy as np
from flax import nnx

from seqjax.cells import CELLS


def numbers(seed, *shape):
    """N(0, 1), as NumPy array of 64 bits."""
    return np.random.default_rng(seed).normal(size=shape)


def perturbed(module, seed=0):
    """`module` with noise on every parameter, so that biases which start at 0 cannot hide."""
    leaves, structure = jax.tree.flatten(module)
    noise = (0.3 * numbers([seed, number], *leaf.shape) for number, leaf in enumerate(leaves))
    return jax.tree.unflatten(structure, [leaf + n.astype(leaf.dtype) for leaf, n in zip(leaves, noise, strict=True)])


def make(name, inputs=3, hidden=4, seed=0, **options):
    """The registered cell `name` with random parameters everywhere."""
    return perturbed(CELLS[name](inputs, hidden, rngs=nnx.Rngs(seed), **options), seed)


def cast(tree, dtype):
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)


def assert_close(actual, expected, **tolerance):
    """Trees of equal structure and close leaves, NaN nowhere."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, **tolerance)
