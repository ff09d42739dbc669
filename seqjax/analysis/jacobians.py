"""How a small change of the state at one step changes the state at later ones: Jacobians, their products and spectra.

Vectors are columns: `J[i, j] = ds'_i / ds_j`, so that a change d of the state becomes J d. The state of n numbers is
flattened in the order of `jax.flatten_util.ravel_pytree`; the LSTM's is c, then h. s_0 is the starting state, s_t that
after t steps. Products over many steps leave the range of 32 bits, so they are taken in NumPy and 64.

Reference: Pascanu, Mikolov & Bengio (2013), ICML, arXiv:1211.5063.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Float64, PyTree

from seqjax.analysis.gradients import state_names
from seqjax.errors import UserError, did_you_mean

STEEPEST = {"tanh": 1.0, "relu": 1.0, "linear": 1.0, "sigmoid": 0.25}  # the activations' largest derivatives


def step_jacobians(cell, xs: Float[Array, "time inputs"], state: PyTree | None = None) -> Float[Array, "time n n"]:
    """ds_{t+1}/ds_t for t = 0 ... T-1 along the run over `xs`, which starts from `state` (or the initial one)."""

    def body(state, z):
        flat, unravel = ravel_pytree(state)

        def step(flat):
            new_state, _ = cell.step(unravel(flat), z)
            return ravel_pytree(new_state)[0], new_state

        jacobian, new_state = jax.jacfwd(step, has_aux=True)(flat)
        return new_state, jacobian

    return jax.lax.scan(body, cell.initial_state() if state is None else state, cell.project(xs))[1]


def block(jacobians: Float[Array | np.ndarray, "*shape n n"], cell, to: str, of: str):
    """The part of the Jacobians that says what the state `of` does to the state `to`: dh'/dc is `block(..., "hidden",
    "memory")`. The names are those of `state_names`; raises UserError for another.
    """
    places, start = {}, 0
    for name, leaf in zip(state_names(cell), jax.tree.leaves(cell.initial_state()), strict=True):
        places[name] = slice(start, start + leaf.size)
        start += leaf.size
    for name in to, of:
        if name not in places:
            raise UserError(f"{type(cell).__name__} has no state {name!r}; {did_you_mean(name, places)}")
    return jacobians[..., places[to], places[of]]


def products(step_jacobians: Float[Array | np.ndarray, "time n n"]) -> Float64[np.ndarray, "time+1 n n"]:
    """ds_T/ds_t = J_T ... J_{t+1} for t = 0 ... T: the last is the identity."""
    steps = np.asarray(step_jacobians, np.float64)
    result = np.empty((len(steps) + 1, *steps.shape[1:]))
    result[-1] = np.eye(steps.shape[-1])
    for t in reversed(range(len(steps))):
        result[t] = result[t + 1] @ steps[t]
    return result


def singular_values(matrices: Float[Array | np.ndarray, "*shape n m"]) -> Float64[np.ndarray, "*shape k"]:
    """The singular values of each matrix, the largest first."""
    return np.linalg.svd(np.asarray(matrices, np.float64), compute_uv=False)


def largest_singular_value(matrix: Float[Array, "*shape n m"]) -> Float[Array, "*shape"]:
    """By how much the matrix can lengthen a vector."""
    return jnp.linalg.svd(matrix, compute_uv=False)[..., 0]


def pascanu_bound(activation: str) -> float:
    """1 / gamma: an RNN whose recurrent matrix has a largest singular value below it has gradients that vanish.

    gamma is the activation's largest derivative: 1 for "tanh", "relu" and "linear", 1/4 for "sigmoid". Raises UserError
    for another activation. Reference: Pascanu, Mikolov & Bengio (2013), arXiv:1211.5063, section 2.1.
    """
    if activation not in STEEPEST:
        raise UserError(f"no bound is known for the activation {activation!r}; {did_you_mean(activation, STEEPEST)}")
    return 1 / STEEPEST[activation]
