"""Random cells and numbers to test with."""

import jax
import numpy as np
from flax import nnx

from seqjax.cells import CELLS

# Cells with the state `(c, h)` and the one product of h with a matrix that the LSTM has, and other functions of their
# elements: see `test_cells_like_the_lstm_have_its_state_and_its_product`. Those that look at states and products alone,
# the engine and the analyses, cannot tell them from it: their longest tests run on the DISTINCT cells.
LIKE_THE_LSTM = {
    *("lstm_j", "lstm_j_no_forget", "lstm_j_no_input", "lstm_j_no_output", "lstm_j_bias"),
    *("lstm_peephole", "lstm_peephole_nig", "lstm_peephole_nfg", "lstm_peephole_nog", "lstm_peephole_niaf"),
    *("lstm_peephole_noaf", "lstm_peephole_cifg", "lstm_peephole_np"),
}
DISTINCT = [name for name in CELLS if name not in LIKE_THE_LSTM]


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
