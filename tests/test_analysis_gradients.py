"""Gradients of the states and Jacobians: against analytic truth, perturbations, finite differences and each other."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from examples import DISTINCT, assert_close, numbers
from flax import nnx
from jax.flatten_util import ravel_pytree

from seqjax.analysis import (
    block,
    largest_singular_value,
    norm_by_lag,
    norms,
    pascanu_bound,
    products,
    singular_values,
    state_gradients,
    state_names,
    step_jacobians,
)
from seqjax.cells import CELLS
from seqjax.errors import UserError
from seqjax.linear_recurrence import is_linear
from seqjax.recurrence import initial_state

pytestmark = pytest.mark.usefixtures("quick_compilation")

INPUTS, HIDDEN, TIME = 3, 4, 6
CLOSE = {"rtol": 1e-11, "atol": 1e-14}
every_cell = pytest.mark.parametrize("name", DISTINCT)


def random_cell(name, hidden=HIDDEN, **options):
    """Drawn in NumPy: nothing to compile."""
    abstract = jax.eval_shape(lambda: CELLS[name](INPUTS, hidden, rngs=nnx.Rngs(0), **options))
    leaves, structure = jax.tree.flatten(abstract)
    return jax.tree.unflatten(structure, [jnp.asarray(0.5 * numbers(n, *a.shape)) for n, a in enumerate(leaves)])


def sequence(*batch, time=TIME):
    return jnp.asarray(numbers(0, time, *batch, INPUTS))


def random_state(cell, batch=()):
    return jax.tree.map(lambda leaf: jnp.asarray(numbers(1, *leaf.shape)), initial_state(cell, batch))


def orthogonal(size, seed=0):
    return np.linalg.qr(numbers(seed, size, size))[0]


def linear_rnn(u):
    """h' = h U + x W: the Jacobian of every step is the transpose of U."""
    cell = random_cell("rnn", hidden=len(u), activation="linear")
    cell.u = nnx.Param(jnp.asarray(u))
    return cell


def last(ys):
    return (ys[-1] * numbers(3, *ys.shape[1:]).astype(ys.dtype)).sum()


# What is known without a computer


@pytest.mark.parametrize("scale", [1.0, 0.9, 1.1])
def test_linear_rnn_with_a_scaled_rotation(float64, scale):
    """|dL/dh_t| is scale^(T-t) |dL/dh_T|, and all singular values of dh_T/dh_t are scale^(T-t)."""
    time = 50
    cell, xs = linear_rnn(scale * orthogonal(8)), sequence(time=time)
    curve = norms(state_gradients(cell, last, xs))
    np.testing.assert_allclose(
        curve, np.linalg.norm(numbers(3, 8)) * scale ** np.arange(time - 1, -1, -1.0), rtol=1e-12
    )
    values = singular_values(products(step_jacobians(cell, xs)))
    expected = np.broadcast_to(scale ** np.arange(time, -1, -1.0)[:, None], (time + 1, 8))
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_linear_rnn_in_32_bits():
    cell = linear_rnn(0.9 * orthogonal(8).astype(np.float32))
    curve = norms(state_gradients(cell, last, sequence(time=50).astype(jnp.float32)))
    np.testing.assert_allclose(curve, np.linalg.norm(numbers(3, 8)) * 0.9 ** np.arange(49, -1, -1.0), rtol=1e-5)


def test_products_of_a_linear_rnn_are_powers_of_its_matrix(float64):
    u = numbers(2, HIDDEN, HIDDEN)
    jacobians = step_jacobians(linear_rnn(u), sequence())
    np.testing.assert_allclose(jacobians, np.broadcast_to(u.T, (TIME, HIDDEN, HIDDEN)), rtol=1e-13)
    powers = np.stack([np.linalg.matrix_power(u.T, TIME - t) for t in range(TIME + 1)])
    np.testing.assert_allclose(products(jacobians), powers, rtol=1e-12)
    expected = np.stack([np.linalg.svd(power)[1] for power in powers])
    np.testing.assert_allclose(singular_values(products(jacobians)), expected, rtol=1e-9)


def test_lstm_with_open_forget_gates_keeps_the_gradient_of_its_memory(float64):
    """f = 1 and i = 0, whatever comes in: c' = c, dc_T/dc_t the identity. No gate sees h, the other way from c."""
    cell = random_cell("lstm")
    cell.u = nnx.Param(jnp.zeros_like(cell.u[...]))
    cell.w = nnx.Param(cell.w[...] * np.r_[np.zeros(2 * HIDDEN), np.ones(2 * HIDDEN)])
    biases = np.r_[np.full(HIDDEN, -1e3), np.full(HIDDEN, 1e3), numbers(5, 2 * HIDDEN)]
    cell.b = nnx.Param(jnp.asarray(biases))
    xs, state = sequence(2), random_state(cell, (2,))
    memory, _ = state_gradients(cell, last, xs, state)
    for t in range(TIME - 1):
        np.testing.assert_allclose(memory[t], memory[TIME - 2], rtol=1e-13)
    assert memory[:-1].all() and not memory[-1].any()
    jacobians = step_jacobians(cell, xs[:, 0], jax.tree.map(lambda leaf: leaf[0], state))
    kept = block(products(jacobians), cell, "memory", "memory")
    np.testing.assert_array_equal(kept, np.broadcast_to(np.eye(HIDDEN), kept.shape))


def test_pascanu_bound():
    assert [pascanu_bound(name) for name in ("tanh", "relu", "linear", "sigmoid")] == [1, 1, 1, 4]


@pytest.mark.parametrize(("activation", "factor"), [("tanh", 0.95), ("sigmoid", 3.8)])
def test_gradients_vanish_below_the_bound(float64, activation, factor):
    """Not slower than (largest singular value / bound)^(T-t)."""
    cell = random_cell("rnn", activation=activation)
    cell.u = nnx.Param(jnp.asarray(factor * orthogonal(HIDDEN)))
    np.testing.assert_allclose(largest_singular_value(cell.u[...]), factor, rtol=1e-12)
    curve = norms(state_gradients(cell, last, sequence(time=40)))
    ratio = factor / pascanu_bound(activation)
    assert (curve <= curve[-1] * ratio ** np.arange(39, -1, -1.0) * (1 + 1e-9)).all()


# Against other ways of computing them


def nudged_run(cell, xs, start, nudges, resets=None, lengths=None):
    """The outputs, step after step, with a nudge added to every state, and with it to the output made from it."""
    batch, ys, state = xs.shape[1:-1], [], start
    hidden = state_names(cell).index("hidden") if "hidden" in state_names(cell) else None

    def select(condition, new, old):
        return jax.tree.map(lambda a, b: jnp.where(condition[:, None], a, b), new, old)

    for t, x in enumerate(xs):
        before = state if resets is None else select(resets[t], initial_state(cell, batch), state)
        new, y = jax.vmap(cell)(before, x)
        new = jax.tree.map(lambda leaf, nudge: leaf + nudge[t], new, nudges)  # noqa: B023
        if hidden is not None:
            y = jax.tree.leaves(new)[hidden]
        elif is_linear(cell):
            y = cell.output(new, cell.project(x))
        valid = jnp.ones(batch, bool) if lengths is None else t < lengths
        state = select(valid, new, state)
        ys.append(jnp.where(valid[:, None], y, 0))
    return jnp.stack(ys)


def weighted(ys):
    return (jnp.tanh(ys) * numbers(4, *ys.shape)).sum()


@every_cell
def test_state_gradients_are_those_of_explicit_nudges(float64, name):
    """With a batch, resets and lengths."""
    cell, xs = random_cell(name), sequence(3, time=4)
    start = random_state(cell, (3,))
    options = {"resets": jnp.asarray(numbers(6, 4, 3) > 0.5), "lengths": jnp.array([4, 3, 0])}
    zeros = jax.tree.map(lambda leaf: jnp.zeros((4, *leaf.shape)), start)
    by_hand = jax.grad(lambda nudges: weighted(nudged_run(cell, xs, start, nudges, **options)))
    probe = jax.jit(partial(state_gradients, cell, weighted, xs, start, **options))
    assert_close(probe(), jax.jit(by_hand)(zeros), **CLOSE)


@every_cell
def test_state_gradients_are_the_products_of_jacobians_times_the_last(float64, name):
    cell, xs = random_cell(name), sequence()
    start = random_state(cell)
    gradients = jax.jit(partial(state_gradients, cell, last, xs))(start)
    flat = np.stack([ravel_pytree(jax.tree.map(lambda leaf: leaf[t], gradients))[0] for t in range(TIME)])  # noqa: B023
    along = products(jax.jit(partial(step_jacobians, cell, xs))(start))
    np.testing.assert_allclose(flat, np.einsum("tij,i->tj", along[1:], flat[-1]), **CLOSE)


@pytest.mark.parametrize("name", ["lstm", "gru", "mut1"])
def test_products_are_the_jacobians_of_the_composed_map(float64, name):
    """By forward-mode derivatives and by finite differences of the whole run."""
    cell, xs = random_cell(name), sequence()
    flat, unravel = ravel_pytree(random_state(cell))

    @jax.jit
    def end(flat):
        return ravel_pytree(jax.lax.scan(cell, unravel(flat), xs)[0])[0]

    whole = products(step_jacobians(cell, xs, unravel(flat)))
    assert whole.shape == (TIME + 1, flat.size, flat.size) and whole.dtype == np.float64
    np.testing.assert_array_equal(whole[-1], np.eye(flat.size))
    np.testing.assert_allclose(whole[0], jax.jacobian(end)(flat), **CLOSE)
    nudges = 1e-6 * np.eye(flat.size)
    differences = np.stack([(end(flat + nudge) - end(flat - nudge)) / 2e-6 for nudge in nudges], axis=1)
    np.testing.assert_allclose(whole[0], differences, rtol=1e-6, atol=1e-9)


def test_blocks_of_an_lstm(float64):
    """ds' = (dc', dh') in the order of the state; from the equations dc'/dc is the diagonal of the forget gate."""
    cell, xs = random_cell("lstm"), sequence(time=1)
    jacobian = step_jacobians(cell, xs, state := random_state(cell))
    forget = jax.nn.sigmoid(cell.project(xs[0]) + state[1] @ cell.u[...])[HIDDEN : 2 * HIDDEN]
    np.testing.assert_allclose(block(jacobian, cell, "memory", "memory")[0], np.diag(forget), rtol=1e-12)
    parts = [[block(jacobian, cell, to, of) for of in ("memory", "hidden")] for to in ("memory", "hidden")]
    np.testing.assert_array_equal(np.block(parts), jacobian)


# Names and lags


def test_names_of_the_states():
    for name in "rnn", "gru", "gru_reset_after", "mut1", "mut2", "mut3", "min_gru", "min_lstm":
        assert state_names(random_cell(name)) == ("hidden",)
    assert state_names(random_cell("lru")) == ("memory 1", "memory 2")
    assert state_names(random_cell("lstm")) == ("memory", "hidden")

    class Two(CELLS["rnn"]):
        def initial_state(self):
            return {"a": jnp.zeros(HIDDEN), "b": jnp.zeros(HIDDEN)}

        def step(self, state, z):
            new, _ = super().step(state["a"], z)
            return {"a": new, "b": state["b"] + new}, 2 * new

    assert state_names(Two(INPUTS, HIDDEN, rngs=nnx.Rngs(0))) == ("memory 1", "memory 2")


def test_norm_by_lag(float64):
    gradient = jnp.asarray(numbers(0, TIME, 3, HIDDEN))
    expected = [np.linalg.norm(gradient[TIME - 1 - lag], axis=-1).mean() for lag in (0, 2, TIME - 1)]
    np.testing.assert_allclose(norm_by_lag(gradient, (0, 2, TIME - 1)), expected, rtol=1e-13)
    np.testing.assert_allclose(norm_by_lag(gradient[:, 0], [1]), [np.linalg.norm(gradient[-2, 0])], rtol=1e-13)


def test_errors_are_sentences():
    with pytest.raises(UserError, match="a lag of 6 steps does not fit in a sequence of 6; lags are 0 to 5"):
        norm_by_lag(jnp.zeros((TIME, 1, 1)), [0, TIME])
    with pytest.raises(UserError, match="LSTM has no state 'memry'; did you mean 'memory'"):
        block(jnp.zeros((1, 8, 8)), random_cell("lstm"), "memry", "hidden")
    with pytest.raises(UserError, match="no bound is known for the activation 'sigmoit'; did you mean 'sigmoid'"):
        pascanu_bound("sigmoit")
