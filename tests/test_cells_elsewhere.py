"""Cells whose equations PyTorch and Flax share, against theirs: values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from examples import assert_close, make, numbers
from flax import nnx

from seqjax.recurrence import unroll

torch = pytest.importorskip("torch")

TIME, BATCH, INPUTS, HIDDEN = 20, 3, 3, 4

CASES = {
    "rnn tanh": ("rnn", {"activation": "tanh"}, lambda: torch.nn.RNN(INPUTS, HIDDEN)),
    "rnn relu": ("rnn", {"activation": "relu"}, lambda: torch.nn.RNN(INPUTS, HIDDEN, nonlinearity="relu")),
    "lstm": ("lstm", {}, lambda: torch.nn.LSTM(INPUTS, HIDDEN)),
    "gru_reset_after": ("gru_reset_after", {}, lambda: torch.nn.GRU(INPUTS, HIDDEN)),
}


def torch_parameters(cell):
    """A cell's parameters as PyTorch's four; all but `b_n` of the second bias it keeps are 0 here."""
    b = cell.b[...]
    second = jnp.zeros_like(b)
    if hasattr(cell, "b_n"):
        second = second.at[-HIDDEN:].set(cell.b_n[...])
    return {"weight_ih_l0": cell.w[...].T, "weight_hh_l0": cell.u[...].T, "bias_ih_l0": b, "bias_hh_l0": second}


@pytest.mark.parametrize(("name", "options", "module"), CASES.values(), ids=CASES)
def test_equals_pytorch(float64, name, options, module):
    cell = make(name, INPUTS, HIDDEN, **options)
    xs, weights = numbers(0, TIME, BATCH, INPUTS), numbers(1, TIME, BATCH, HIDDEN)
    state = jax.tree.map(lambda s: jnp.asarray(numbers(2, BATCH, *s.shape)), cell.initial_state())

    def loss(cell, xs, state):
        state, ys = unroll(cell, xs, state)
        return jnp.sum(ys * weights) + sum(s.sum() for s in jax.tree.leaves(state)), ys

    (_, ys), (cell_gradient, xs_gradient, state_gradient) = jax.jit(
        jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)
    )(cell, jnp.asarray(xs), state)

    theirs = module().double()
    theirs.load_state_dict({key: torch.tensor(np.asarray(value)) for key, value in torch_parameters(cell).items()})
    x = torch.tensor(xs, requires_grad=True)
    state = [torch.tensor(np.asarray(s))[None].requires_grad_() for s in jax.tree.leaves(state)]
    h_and_c = tuple(reversed(state)) if len(state) == 2 else state[0]  # theirs is (h, c), ours (c, h)
    their_ys, last = theirs(x, h_and_c)
    last = last if isinstance(last, tuple) else (last,)
    ((their_ys * torch.tensor(weights)).sum() + sum(s.sum() for s in last)).backward()

    np.testing.assert_allclose(ys, their_ys.detach(), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(xs_gradient, x.grad, rtol=1e-11, atol=1e-12)
    for ours, their in zip(jax.tree.leaves(state_gradient), state, strict=True):
        np.testing.assert_allclose(ours, their.grad[0], rtol=1e-11, atol=1e-12)
    their_gradient = {key: p.grad.numpy() for key, p in theirs.named_parameters()}
    for key, gradient in torch_parameters(cell_gradient).items():
        if key == "bias_hh_l0":  # ours has only the part that is not the same number twice
            shared = 2 * HIDDEN if hasattr(cell, "b_n") else gradient.size
            gradient, their_gradient[key] = gradient[shared:], their_gradient[key][shared:]
        np.testing.assert_allclose(gradient, their_gradient[key], rtol=1e-11, atol=1e-12, err_msg=key)


def flax_simple(cell, options):
    theirs = nnx.SimpleCell(INPUTS, HIDDEN, **options)
    theirs.dense_i.kernel, theirs.dense_i.bias, theirs.dense_h.kernel = cell.w, cell.b, cell.u
    return theirs


def flax_lstm(cell, options):
    theirs = nnx.LSTMCell(INPUTS, HIDDEN, **options)
    w, u, b = (jnp.split(p[...], 4, axis=-1) for p in (cell.w, cell.u, cell.b))
    for number, gate in enumerate(["i", "f", "g", "o"]):
        getattr(theirs, "if_" if gate == "f" else "i" + gate).kernel = nnx.Param(w[number])
        getattr(theirs, "h" + gate).kernel = nnx.Param(u[number])
        getattr(theirs, "h" + gate).bias = nnx.Param(b[number])
    return theirs


def flax_optimized_lstm(cell, options):
    theirs = nnx.OptimizedLSTMCell(INPUTS, HIDDEN, **options)
    theirs.dense_i.kernel, theirs.dense_h.kernel, theirs.dense_h.bias = cell.w, cell.u, cell.b
    return theirs


def flax_gru(cell, options):
    theirs = nnx.GRUCell(INPUTS, HIDDEN, **options)
    theirs.dense_i.kernel, theirs.dense_i.bias, theirs.dense_h.kernel = cell.w, cell.b, cell.u
    return theirs


@pytest.mark.parametrize(
    ("name", "flax_cell"),
    [("rnn", flax_simple), ("lstm", flax_lstm), ("lstm", flax_optimized_lstm), ("gru_reset_after", flax_gru)],
)
def test_equals_flax(float64, name, flax_cell):
    cell = make(name, INPUTS, HIDDEN)
    if name == "gru_reset_after":  # theirs has no bias beside U_n h
        cell = jax.tree.map(lambda p: jnp.zeros_like(p) if p.shape == (HIDDEN,) else p, cell)
    theirs = flax_cell(cell, {"param_dtype": jnp.float64, "dtype": jnp.float64, "rngs": nnx.Rngs(0)})
    state = jax.tree.map(lambda s: jnp.asarray(numbers(2, *s.shape)), cell.initial_state())
    xs = jnp.asarray(numbers(0, TIME, INPUTS))

    def run(cell, state, xs):
        return jax.lax.scan(cell, state, xs)

    def gradients(cell, state, xs):
        return jax.grad(lambda state, xs: run(cell, state, xs)[1].sum(), argnums=(0, 1))(state, xs)

    for function in run, gradients:
        ours, their = jax.jit(function)(cell, state, xs), jax.jit(function)(theirs, state, xs)
        assert_close(ours, their, rtol=1e-11, atol=1e-12)
