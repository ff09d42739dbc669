"""What goes into one step of a cell, found from the cell alone by tracing it with shapes."""

import jax
from jaxtyping import PyTree

from seqjax.errors import UserError


def arguments(cell, inputs: int | None = None) -> tuple[PyTree, PyTree]:
    """The shapes and types of the `(state, z)` that `cell.step` takes, for inputs of that width.

    Where `inputs` is None it is found: the contract does not ask a cell for it, but of the sizes of its parameters only
    one fits. Raises UserError where that is not so.
    """
    if inputs is not None:
        return _arguments(cell, inputs)
    fitting = {}
    for size in sorted({size for leaf in jax.tree.leaves(cell) for size in leaf.shape}):
        try:
            fitting[size] = _arguments(cell, size)
        except (TypeError, ValueError):
            continue
    if len({str(found) for found in fitting.values()}) != 1:
        known = f"any of {sorted(fitting)} would do" if fitting else "none of its parameters' sizes would do"
        raise UserError(f"the width of the inputs of {type(cell).__name__} is unknown, {known}: give it as inputs=")
    return next(iter(fitting.values()))


def _arguments(cell, inputs):
    """A TypeError or ValueError for a width that is wrong."""

    def step(x):
        state, z = cell.initial_state(), cell.project(x)
        cell.step(state, z)
        return state, z

    dtype = jax.tree.leaves(jax.eval_shape(cell.initial_state))[0].dtype
    return jax.eval_shape(step, jax.ShapeDtypeStruct((inputs,), dtype))
