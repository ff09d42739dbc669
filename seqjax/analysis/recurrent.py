"""The matrices that multiply a cell's state, of any cell."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from seqjax.analysis.one_step import arguments
from seqjax.errors import UserError
from seqjax.models import parameters
from seqjax.spectra import spectral_radius


def recurrent_matrices(cell) -> dict[str, Float[Array, "hidden hidden"]]:
    """Every square matrix that multiplies the state: `{"u[0]": ..., "u[1]": ...}`, one for each block side by side in a
    parameter, or `{"u": ...}` for a parameter that is one block. Rows are the state's side: the product is `h @ u`.

    They are found by use, not by name: parameters that the step reads, as high as a leaf of the state and a multiple of
    that wide. Raises UserError for a cell that has none.
    """
    state, z = arguments(cell)
    heights = {leaf.shape[0] for leaf in jax.tree.leaves(state)}
    blocks = {}
    for name, matrix in _read_in_step(cell, state, z).items():
        if matrix.ndim != 2 or matrix.shape[0] not in heights or matrix.shape[1] % matrix.shape[0]:
            continue
        count = matrix.shape[1] // matrix.shape[0]
        for number, part in enumerate(jnp.split(matrix, count, axis=1)):
            blocks[name if count == 1 else f"{name}[{number}]"] = part
    if not blocks:
        raise UserError(f"{type(cell).__name__} has no recurrent matrix: nothing multiplies its state")
    return blocks


def spectral_radii(cell) -> dict[str, Float[Array, ""]]:
    """The spectral radius of every recurrent matrix, by the names of `recurrent_matrices`."""
    return {name: spectral_radius(matrix) for name, matrix in recurrent_matrices(cell).items()}


def _read_in_step(cell, state, z):
    """The parameters that `cell.step` computes with, rather than `cell.project`."""
    values = parameters.flatten(cell)

    def step(values, state, z):
        return parameters.unflatten(cell, values).step(state, z)

    jaxpr = jax.make_jaxpr(step)(values, state, z).jaxpr
    read = {id(variable) for equation in jaxpr.eqns for variable in equation.invars}
    variables = dict(zip(values, jaxpr.invars[: len(values)], strict=True))
    return {name: value for name, value in values.items() if id(variables[name]) in read}
