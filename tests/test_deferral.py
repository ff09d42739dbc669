"""The engine against the plain scan, for cells written in every way that a cell's author might."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from examples import DISTINCT, assert_close, make, numbers
from flax import nnx

from seqjax.cells import CELLS
from seqjax.deferral import Deferred
from seqjax.errors import UserError
from seqjax.products import product
from seqjax.recurrence import METHODS, UnitVectors, initial_state, unroll

pytestmark = pytest.mark.usefixtures("quick_compilation")

INPUTS, HIDDEN = 3, 4
CLOSE = {"rtol": 1e-11, "atol": 1e-13}


class Cell(nnx.Module):
    """`h' = f(cell, h, z)` of a projection `x W + b` twice as wide as the state."""

    def __init__(self, step):
        self.written = step
        self.w = nnx.Param(jnp.asarray(numbers(1, INPUTS, 2 * HIDDEN)))
        self.u = nnx.Param(jnp.asarray(numbers(2, HIDDEN, HIDDEN)))
        self.v = nnx.Param(jnp.asarray(numbers(3, HIDDEN, 2 * HIDDEN)))
        self.heads = nnx.Param(jnp.asarray(numbers(4, 2, HIDDEN // 2, HIDDEN // 2)))
        self.peephole = nnx.Param(jnp.asarray(numbers(5, HIDDEN)))
        self.b = nnx.Param(jnp.asarray(numbers(6, 2 * HIDDEN)))

    def initial_state(self):
        return jnp.zeros(HIDDEN)

    def project(self, x):
        return x @ self.w[...] + self.b[...]

    def step(self, h, z):
        h = self.written(self, h, z)
        return h, h

    def __call__(self, h, x):
        return self.step(h, self.project(x))


def matrix_first(cell, h, z):
    return jnp.tanh(cell.u[...] @ h + z[:HIDDEN])


def transposed(cell, h, z):
    return jnp.tanh(h @ cell.u[...].T + z[:HIDDEN])


def one_matrix_twice(cell, h, z):
    return jnp.tanh(jnp.sin(h @ cell.u[...]) @ cell.u[...] + z[HIDDEN:])


def part_of_a_matrix(cell, h, z):
    return jnp.tanh(h @ cell.v[...][:, 1 : HIDDEN + 1] + z[:HIDDEN])


def matrix_of_a_parameter(cell, h, z):
    return jnp.tanh(h @ jnp.exp(-jnp.abs(cell.u[...])) + z[:HIDDEN])


def product_used_twice(cell, h, z):
    uh = h @ cell.u[...]
    return jnp.tanh(uh + z[:HIDDEN]) * jax.nn.sigmoid(uh)


def columns_used_twice(cell, h, z):
    return jnp.tanh(h @ cell.u[...] + z[:HIDDEN]) * z[:HIDDEN] + 0.1 * z[1 : HIDDEN + 1]


def all_columns_beside_some(cell, h, z):
    return jnp.tanh(h @ cell.u[...] + z[:HIDDEN]) + 0.1 * jnp.sum(z)


def product_as_wide_as_the_projection(cell, h, z):
    i, g = jnp.split(z + h @ cell.v[...], 2)
    return jax.nn.sigmoid(i) * jnp.tanh(g)


def heads_side_by_side(cell, h, z):
    return jnp.tanh(jnp.einsum("hi,hij->hj", h.reshape(2, -1), cell.heads[...]).reshape(-1) + z[:HIDDEN])


def element_by_element(cell, h, z):
    return jnp.tanh(cell.peephole[...] * h + h @ cell.u[...] + z[:HIDDEN])


def rectified(cell, h, z):
    return jax.nn.relu(h @ cell.u[...] + z[:HIDDEN]) / (1 + jnp.sum(h**2))


def inside_a_branch(cell, h, z):
    return jax.lax.cond(jnp.sum(h) > 0, lambda h: jnp.tanh(h @ cell.u[...]), lambda h: h, h) + 0.1 * z[:HIDDEN]


def inside_a_loop(cell, h, z):
    return jax.lax.fori_loop(0, 2, lambda _, h: jnp.tanh(h @ cell.u[...]), h) + 0.1 * z[:HIDDEN]


def inside_a_checkpoint(cell, h, z):
    return jax.checkpoint(lambda h: jnp.tanh(h @ cell.u[...] + z[:HIDDEN]))(h)


def inside_two_jits(cell, h, z):
    inner = jax.jit(lambda h: h @ cell.u[...])
    return jnp.tanh(jax.jit(lambda h: inner(h) + inner(0.5 * h))(h) + z[:HIDDEN])


def constant_matrix(cell, h, z):
    return jnp.tanh(h @ jnp.asarray(numbers(7, HIDDEN, HIDDEN)) + z[:HIDDEN])


def literal_first(cell, h, z):
    z = 1.0 + z
    return jnp.tanh(h @ cell.u[...] + z[:HIDDEN]) * z[HIDDEN:]


def at_a_precision(cell, h, z):
    return jnp.tanh(jnp.matmul(h, cell.u[...], precision="highest") + z[:HIDDEN])


def through_complex_numbers(cell, h, z):
    return jnp.tanh((jnp.exp(1j * h) @ cell.u[...].astype(complex)).real + z[:HIDDEN])


WAYS = [
    literal_first,
    at_a_precision,
    through_complex_numbers,
    matrix_first,
    transposed,
    one_matrix_twice,
    part_of_a_matrix,
    matrix_of_a_parameter,
    product_used_twice,
    columns_used_twice,
    all_columns_beside_some,
    product_as_wide_as_the_projection,
    heads_side_by_side,
    element_by_element,
    rectified,
    inside_a_branch,
    inside_a_loop,
    inside_a_checkpoint,
    inside_two_jits,
    constant_matrix,
]
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__)


def everything(cell, xs, **options):
    """The last state, the outputs, and gradients with respect to the cell, the inputs and the state."""

    def loss(cell, xs, state):
        state, ys = unroll(cell, xs, state, **options)
        leaves = [ys, *jax.tree.leaves(state)]
        return sum(jnp.sum(leaf * numbers(9, *leaf.shape)) for leaf in leaves), (state, ys)

    state = jax.tree.map(lambda s: jnp.asarray(numbers(8, *s.shape)), initial_state(cell, xs.shape[1:-1]))
    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))(cell, xs, state)


def sequence(time=5, batch=(2,)):
    return jnp.asarray(numbers(0, time, *batch, INPUTS))


@every_way
def test_gradients_are_those_of_the_plain_scan(float64, way):
    for batch in (), (2,), (2, 3):
        xs = sequence(batch=batch)
        assert_close(everything(Cell(way), xs), everything(Cell(way), xs, method="scan"), **CLOSE)


@every_way
def test_with_resets_lengths_reverse_and_remat(float64, way):
    options = {
        "resets": jnp.asarray(numbers(4, 5, 2) > 0.5),
        "lengths": jnp.array([3, 5]),
        "reverse": True,
    }
    expected = everything(Cell(way), sequence(), method="scan", **options)
    assert_close(everything(Cell(way), sequence(), remat=2, **options), expected, **CLOSE)


class Shows(Cell):
    """A cell that puts out what it was given, whole or in part, and what it makes of it."""

    def step(self, h, z):
        h = jnp.tanh(z + h @ self.v[...])[:HIDDEN]
        return h, self.written(z)


@pytest.mark.parametrize("part", [slice(None), slice(1, 4)])
def test_projected_inputs_that_are_outputs_too(float64, part):
    cell = Shows(PARTS[part.start])
    assert_close(everything(cell, sequence()), everything(cell, sequence(), method="scan"), **CLOSE)


PARTS = {None: lambda z: z, 1: lambda z: z[1:4]}


def test_second_derivatives_are_refused_where_they_would_be_wrong(float64):
    cell, xs = make("rnn", INPUTS, HIDDEN), sequence()

    def penalty(cell, method):
        return jnp.sum(jax.grad(lambda xs: jnp.sum(unroll(cell, xs, method=method)[1] ** 2))(xs) ** 2)

    assert np.isfinite(jax.grad(penalty)(cell, "scan").u[...]).all()
    with pytest.raises(UserError, match='method="scan"'):
        jax.grad(penalty)(cell, None)


def test_callbacks_run_at_every_step():
    def counting(cell, h, z):
        jax.debug.callback(lambda: calls.append(1))
        return jnp.tanh(h @ cell.u[...] + z[:HIDDEN])

    calls = []
    jax.block_until_ready(unroll(Cell(counting), sequence(time=5, batch=()).astype("float32")))
    jax.effects_barrier()
    assert len(calls) == 5


@pytest.mark.parametrize("name", DISTINCT)
@pytest.mark.parametrize("time", [256, 263])
def test_long_sequences_in_segments(float64, name, time):
    """Of a length that a segment divides, and of a prime one."""
    cell, xs = make(name, INPUTS, HIDDEN), sequence(time)
    assert_close(everything(cell, xs), everything(cell, xs, method="scan"), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", DISTINCT)
def test_trials_stacked_under_vmap(float64, name):
    """One program for several cells with weights of their own."""
    cells = [make(name, INPUTS, HIDDEN, seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *cells)
    together = jax.vmap(everything, (0, None))(stacked, sequence())
    for number, cell in enumerate(cells):
        assert_close(jax.tree.map(lambda a: a[number], together), everything(cell, sequence()), **CLOSE)  # noqa: B023


@pytest.mark.parametrize("name", CELLS)
def test_no_gradient_of_a_matrix_is_summed_step_by_step(name):
    """The promise that makes training fast: the backward scan carries no accumulator of a matrix's size."""
    cell = make(name, INPUTS, HIDDEN)
    matrices = {leaf.shape for leaf in jax.tree.leaves(cell) if leaf.ndim == 2}
    gradient = jax.make_jaxpr(jax.grad(lambda cell: unroll(cell, sequence(), method="deferred")[1].sum()))(cell)
    carried = set()
    for equation in gradient.jaxpr.eqns:
        if equation.primitive.name == "scan":
            first = equation.params["num_consts"]
            carried |= {v.aval.shape for v in equation.invars[first : first + equation.params["num_carry"]]}
    assert carried
    assert not matrices & carried


def test_what_depends_on_parameters_alone_is_computed_once():
    deferred = Deferred(lambda w, h: h @ jnp.exp(w), jnp.ones((3, 3)), jnp.ones(3))
    jaxpr = str(jax.make_jaxpr(deferred.whole)(jnp.ones(3)))
    assert "dot_general" in jaxpr
    assert "exp" not in jaxpr


def test_product_has_the_gradients_of_a_product(float64):
    u, w = jnp.asarray(numbers(0, 2, 3, 4)), jnp.asarray(numbers(1, 4, 5))
    expected = jax.vjp(jnp.matmul, u, w)[1](jnp.asarray(numbers(2, 2, 3, 5)))
    assert_close(jax.vjp(product, u, w)[1](jnp.asarray(numbers(2, 2, 3, 5))), expected, **CLOSE)


@pytest.mark.parametrize("width", [3, 40])
@pytest.mark.parametrize("method", [None, *(method for method in METHODS if method != "parallel")])
def test_unit_vectors_are_one_hot_inputs(float64, width, method):
    """For a vocabulary smaller and larger than the number of symbols."""
    cell = make("lstm", width, HIDDEN)
    symbols = jnp.asarray(np.random.RandomState(0).randint(0, width, (5, 2)))
    symbols = symbols.at[1, 0].set(-1).at[2, 0].set(width)  # no symbols: nothing is 1
    inputs = UnitVectors(symbols, width)
    assert inputs.shape == (5, 2, width)
    run = partial(unroll, lengths=jnp.array([5, 3]))

    def gradients(xs, method):
        return jax.value_and_grad(lambda cell: jnp.sum(run(cell, xs, method=method)[1] ** 2))(cell)

    assert_close(gradients(inputs, method), gradients(jax.nn.one_hot(symbols, width), "scan"), **CLOSE)


def test_unit_vectors_of_bytes(float64):
    """All 256 of them, in eight bits."""
    cell, symbols = make("gru", 256, HIDDEN), jnp.arange(256, dtype=jnp.uint8)
    _, ys = unroll(cell, UnitVectors(symbols, 256))
    assert_close(ys, unroll(cell, jnp.eye(256), method="scan")[1], **CLOSE)


def test_forward_mode_is_the_plain_scans():
    cell, xs = make("gru", INPUTS, HIDDEN), sequence().astype("float32")
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda xs: unroll(cell, xs)[1], (xs,), (xs,))
    _, tangent = jax.jvp(lambda xs: unroll(cell, xs, method="scan")[1], (xs,), (xs,))
    assert np.isfinite(tangent).all()
