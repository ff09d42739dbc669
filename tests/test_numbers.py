"""How far 32 bits are from 64, for every cell, up to 10,000 steps. What was measured is half of the bounds, or less."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from examples import DISTINCT, cast, numbers
from flax import nnx

from seqjax import unroll
from seqjax.cells import CELLS

LENGTHS = (1, 10, 100, 1000, 10_000)
# Of outputs, absolute, and of gradients, relative to their norm. A memory that forgets nothing adds up what is rounded
# off in each step, and grows beyond the numbers that 32 bits tell apart; the linear one of `lru` forgets slowly.
BOUND = 2e-6
ADDS_UP = {"lstm_j_no_forget": 1e-6, "lstm_peephole_nfg": 1e-6, "lru": 5e-8}  # a step


def bound(name, length):
    return max(BOUND, length * ADDS_UP.get(name, 0.0))


def both(name, length):
    """The cell as it starts, and inputs, in both precisions: with the same values."""
    xs = numbers(0, length, 2, 3).astype(np.float32)
    cell = cast(CELLS[name](3, 16, rngs=nnx.Rngs(0)), jnp.float32)
    return (cell, xs), (cast(cell, jnp.float64), xs.astype(np.float64))


@pytest.mark.parametrize("name", CELLS)
def test_outputs_at_every_length(float64, name):
    single, double = (jax.jit(lambda cell, xs: unroll(cell, xs)[1])(*each) for each in both(name, max(LENGTHS)))
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    errors = np.abs(np.asarray(single) - np.asarray(double)).max((1, 2))  # an output depends on no later input
    for length in LENGTHS:
        assert errors[:length].max() < bound(name, length), length


@pytest.mark.parametrize("name", DISTINCT)
def test_gradients_through_a_thousand_steps(float64, name):
    def loss(cell, xs):
        return (unroll(cell, xs)[1] ** 2).mean()

    single, double = (jax.jit(jax.grad(loss))(*each) for each in both(name, 1000))
    norm = _norm(double)
    assert norm > 0
    assert _norm(jax.tree.map(lambda a, b: a - b, single, double)) < bound(name, 1000) * norm


def _norm(tree):
    return np.sqrt(sum(float((np.asarray(leaf, np.float64) ** 2).sum()) for leaf in jax.tree.leaves(tree)))
