"""Recurrent matrices and gates of a cell, and the example of the package's docstring."""

import inspect
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from examples import assert_close, numbers
from flax import nnx

import seqjax.analysis
from seqjax.analysis import (
    Seen,
    Tapped,
    gate_values,
    gates,
    recurrent_matrices,
    saturation,
    slots,
    spectral_radii,
)
from seqjax.cells import CELLS
from seqjax.errors import UserError
from seqjax.linear_recurrence import is_linear
from seqjax.recurrence import initial_state, unroll

pytestmark = pytest.mark.usefixtures("quick_compilation")

INPUTS, HIDDEN, TIME = 3, 4, 6
CLOSE = {"rtol": 1e-12, "atol": 1e-14}
BLOCKS = {
    "rnn": ["u"],
    "lstm": ["u[0]", "u[1]", "u[2]", "u[3]"],
    "gru": ["u_n", "u_rz[0]", "u_rz[1]"],
    "gru_reset_after": ["u[0]", "u[1]", "u[2]"],
    "mut1": ["u_h", "u_r"],
    "mut2": ["u_h", "u_zr[0]", "u_zr[1]"],
    "mut3": ["u_h", "u_r", "u_z"],
    "lstm_peephole_fgr": [*(f"r_{gate}[{k}]" for gate in "fio" for k in range(3)), *(f"u[{k}]" for k in range(4))],
    "nas": [f"u[{k}]" for k in range(8)],
}
GATES = {
    "rnn": set(),
    "lstm": {"input", "forget", "output"},
    "gru": {"reset", "update"},
    "gru_reset_after": {"reset", "update"},
    "mut1": {"reset", "update"},
    "mut2": {"reset", "update"},
    "mut3": {"reset", "update"},
    "min_gru": {"update"},
    "min_lstm": {"forget", "input"},
    "lru": set(),
    "lstm_peephole_fgr": {"input", "forget", "output"},
    "nas": set(),
}


def random_cell(name, inputs=INPUTS):
    """Drawn in NumPy: nothing to compile."""
    abstract = jax.eval_shape(lambda: CELLS[name](inputs, HIDDEN, rngs=nnx.Rngs(0)))
    leaves, structure = jax.tree.flatten(abstract)
    return jax.tree.unflatten(structure, [jnp.asarray(0.5 * numbers(n, *a.shape)) for n, a in enumerate(leaves)])


def sequence(*batch):
    return jnp.asarray(numbers(0, TIME, *batch, INPUTS))


# Recurrent matrices


@pytest.mark.parametrize("inputs", [INPUTS, HIDDEN])
@pytest.mark.parametrize("name", BLOCKS)
def test_recurrent_matrices_are_found_by_use(float64, name, inputs):
    """Also where the matrix of the inputs is as high as that of the state, and inside jit."""
    cell = random_cell(name, inputs)
    matrices = recurrent_matrices(cell)
    assert sorted(matrices) == BLOCKS[name]
    for key, matrix in matrices.items():
        parameter, number = re.fullmatch(r"(\w+)(?:\[(\d)\])?", key).groups()
        start = int(number or 0) * HIDDEN
        np.testing.assert_array_equal(matrix, getattr(cell, parameter)[...][:, start : start + HIDDEN])
    assert_close(jax.jit(recurrent_matrices)(cell), matrices, rtol=0)


@pytest.mark.parametrize("name", sorted(CELLS.keys() - BLOCKS.keys()))
def test_other_cells_have_square_recurrent_matrices_or_say_that_they_have_none(name):
    try:
        matrices = recurrent_matrices(random_cell(name))
    except UserError as error:
        assert "has no recurrent matrix" in str(error)
    else:
        assert all(matrix.shape[0] == matrix.shape[1] for matrix in matrices.values())


@pytest.mark.parametrize("name", [name for name, cell in CELLS.items() if is_linear(cell)])
def test_no_matrix_multiplies_the_state_of_a_linear_cell_on_its_way_to_the_next(name):
    """LRU's C leads from the state to the output, not to the next state."""
    with pytest.raises(UserError, match="has no recurrent matrix"):
        recurrent_matrices(random_cell(name))


def test_spectral_radii_are_those_of_numpy(float64):
    cell = random_cell("lstm")
    radii = jax.jit(spectral_radii)(cell)
    for name, matrix in recurrent_matrices(cell).items():
        np.testing.assert_allclose(radii[name], np.abs(np.linalg.eigvals(matrix)).max(), rtol=1e-8)


class Leaky(nnx.Module):
    """Nothing but a decay of its own for each unit."""

    def __init__(self):
        self.w = nnx.Param(jnp.ones((INPUTS, HIDDEN)))
        self.decay = nnx.Param(jnp.ones(HIDDEN))

    def initial_state(self):
        return jnp.zeros(HIDDEN)

    def project(self, x):
        return x @ self.w[...]

    def step(self, h, z):
        h = h * self.decay[...] + z
        return h, h


def test_a_cell_without_a_recurrent_matrix():
    with pytest.raises(UserError, match=r"^Leaky has no recurrent matrix: nothing multiplies its state$"):
        recurrent_matrices(Leaky())


# Gates


@pytest.mark.parametrize("name", GATES)
def test_gates_of_a_run(float64, name):
    """By name, in (0, 1), and the same from a run, from what taps saw, and step by step."""
    cell, xs = random_cell(name), sequence(2)
    start = jax.tree.map(lambda leaf: jnp.asarray(numbers(1, *leaf.shape)), initial_state(cell, (2,)))
    resets = jnp.zeros((TIME, 2), bool).at[3, 1].set(True)
    run = jax.jit(partial(gates, cell, resets=resets))(xs, start)
    assert run.keys() == GATES[name]
    if not run:
        return

    def loss(slots):
        return unroll(Tapped(cell, slots), xs, start, resets=resets)[1].sum()

    seen: Seen = jax.jit(jax.grad(loss))(slots(cell, TIME, (2,)))
    assert_close(gate_values(cell, seen.before, seen.z), run, **CLOSE)

    @jax.jit
    def step(state, x, reset):
        state = jax.tree.map(lambda s: jnp.where(reset[:, None], 0, s), state)
        return jax.vmap(cell)(state, x)[0], jax.vmap(cell.gates)(state, cell.project(x))

    for t in range(TIME):
        start, values = step(start, xs[t], resets[t])
        assert_close({key: run[key][t] for key in sorted(run)}, values, **CLOSE)
        assert all(((value > 0) & (value < 1)).all() for value in values.values())


def test_gates_of_the_lstm_are_those_of_its_equations(float64):
    cell, xs = random_cell("lstm"), sequence()
    values = jax.jit(partial(gates, cell))(xs)
    c, h = np.zeros(HIDDEN), np.zeros(HIDDEN)
    for t, x in enumerate(xs):
        i, f, g, o = np.split(np.asarray(x @ cell.w[...] + h @ cell.u[...] + cell.b[...]), 4)
        i, f, o = (1 / (1 + np.exp(-a)) for a in (i, f, o))
        for name, gate in (("input", i), ("forget", f), ("output", o)):
            np.testing.assert_allclose(values[name][t], gate, **CLOSE)
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)


def test_saturation_is_a_fraction_of_steps_for_each_unit():
    values = jnp.array([[[0.05, 0.5], [0.95, 0.95]], [[0.0, 0.91], [0.1, 0.9]]])
    shut, wide_open = saturation(values)
    np.testing.assert_allclose(shut, [0.5, 0.0])
    np.testing.assert_allclose(wide_open, [0.25, 0.5])
    np.testing.assert_allclose(saturation(values, low=0.2, high=0.99)[0], [0.75, 0.0])


def test_the_example_of_the_docstring():
    """Its three lines run as they stand, given an import of what they name."""
    lines = re.findall(r"^    (\S.*)$", inspect.getdoc(seqjax.analysis), re.MULTILINE)
    assert len(lines) == 3
    plots = []

    class plt:
        semilogy = plots.append

    names = {"CELLS": CELLS, "nnx": nnx, "xs": jnp.asarray(numbers(0, 20, 2, 3), jnp.float32), "plt": plt}
    exec("\n".join(["from seqjax.analysis import *", *lines]), names)  # noqa: S102
    assert plots[0].shape == (20, 2) and (plots[0][:-1] > 0).all()
