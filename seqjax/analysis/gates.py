"""What a cell's gates do: their values at every step, and how often they are shut or wide open.

A cell with gates says so by a method `gates(state, z) -> {name: [hidden]}`, the gates of the step from that state.

Reference: Karpathy, Johnson & Fei-Fei (2016), arXiv:1506.02078, section 4.2, for saturation.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PyTree

from seqjax.analysis.one_step import arguments
from seqjax.recurrence import unroll


def gates(
    cell, xs: Float[Array, "time *batch inputs"], state: PyTree | None = None, **options
) -> dict[str, Float[Array, "time *batch hidden"]]:
    """The gates of every step of the run over `xs`; {} for a cell without gates. `options` are those of `unroll`."""
    if not hasattr(cell, "gates"):
        return {}
    shapes = jax.eval_shape(cell.gates, *arguments(cell, xs.shape[-1]))
    values = unroll(_GatesOut(cell), xs, state, **options)[1]
    ends = np.cumsum([shape.shape[-1] for shape in shapes.values()])
    return dict(zip(shapes, jnp.split(values, ends[:-1], axis=-1), strict=True))


class _GatesOut(nnx.Module):
    """A cell whose outputs are its gates, side by side in the order of their names."""

    def __init__(self, cell):
        self.cell = cell

    def initial_state(self):
        return self.cell.initial_state()

    def project(self, x):
        return self.cell.project(x)

    def step(self, state, z):
        new_state, _ = self.cell.step(state, z)
        values = self.cell.gates(state, z)
        return new_state, jnp.concatenate([values[name] for name in sorted(values)])


def gate_values(cell, before: PyTree, z: PyTree) -> dict[str, Float[Array, "time *batch hidden"]]:
    """The gates of steps that were taken already: `gate_values(cell, seen.before, seen.z)` of what taps saw.

    `before` are the states before each step, `z` the projected inputs, both with the same leading axes. {} for a cell
    without gates.
    """
    if not hasattr(cell, "gates"):
        return {}
    one = jax.eval_shape(cell.initial_state)
    values = cell.gates
    for _ in range(jax.tree.leaves(before)[0].ndim - jax.tree.leaves(one)[0].ndim):
        values = jax.vmap(values)
    return values(before, z)


def saturation(
    values: Float[Array, "*shape hidden"], low: float = 0.1, high: float = 0.9
) -> tuple[Float[Array, "hidden"], Float[Array, "hidden"]]:
    """Of each unit, the fraction of values under `low` (shut) and over `high` (open)."""
    everywhere = tuple(range(values.ndim - 1))
    return (values < low).mean(axis=everywhere), (values > high).mean(axis=everywhere)
