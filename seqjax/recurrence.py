"""Running a cell over time.

`jax.lax.scan(cell, cell.initial_state(), xs)` is the definition; `unroll` is the same for batches of sequences, with
the input projection of the whole sequence done as one matrix product before the scan.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from seqjax.errors import UserError


def initial_state(cell, batch: tuple[int, ...] = ()) -> PyTree:
    """The cell's initial state for every example: a pytree of `[*batch, hidden]` arrays."""
    return jax.tree.map(lambda s: jnp.broadcast_to(s, (*batch, *s.shape)), cell.initial_state())


def unroll(
    cell,
    xs: Float[Array, "time *batch inputs"],
    state: PyTree | None = None,
    *,
    reverse: bool = False,
    resets: Bool[Array, "time *batch"] | None = None,
    lengths: Int[Array, "*batch"] | None = None,
    remat: int | None = None,
) -> tuple[PyTree, Float[Array, "time *batch hidden"]]:
    """Run `cell` over `xs` and return the last state and the outputs of every step.

    Args:
      cell: any cell (unbatched); it is mapped over the batch axes of `xs` inside.
      state: `[*batch, hidden]` arrays to start from; the cell's initial state where None.
      reverse: run from each example's last valid step to its first. Outputs stay at the time of their input.
      resets: where true, the state is the cell's initial one before that step (in the order of processing: under
        `reverse` a reset stands at a document's last symbol).
      lengths: the number of valid steps of each example. The returned state is that after the last valid step
        processed, and outputs of invalid steps are 0.
      remat: recompute instead of store: keep only every `remat`-th state for the backward pass, and run the steps
        between again. Memory goes from `time` to `time / remat + remat` steps for about a third more time.

    Raises UserError when a shape does not fit.
    """
    time, batch = xs.shape[0], xs.shape[1:-1]
    start = initial_state(cell, batch)
    if state is None:
        state = start
    _check(start, state, xs, resets, lengths, remat)

    step = cell.step
    for _ in batch:
        step = jax.vmap(step)

    valid = None
    if lengths is not None:
        valid = jnp.arange(time).reshape(time, *(1 for _ in batch)) < lengths
        # A NaN in the padding would reach the gradient through a selection of the outputs alone: 0 times NaN is NaN.
        xs = _select(valid, xs, jnp.zeros_like(xs))

    def body(state, slices):
        z, reset, valid = slices
        before = state if reset is None else _select(reset, start, state)
        new_state, y = step(before, z)
        if valid is not None:
            new_state = _select(valid, new_state, state)
            y = _select(valid, y, jnp.zeros_like(y))
        return new_state, y

    slices = (cell.project(xs), resets, valid)
    if remat is None or remat >= time:
        return jax.lax.scan(body, state, slices, reverse=reverse)
    return _scan_in_segments(body, state, slices, time, remat, reverse)


def _select(condition, on_true, on_false):
    def pick(a, b):
        return jnp.where(condition.reshape(condition.shape + (1,) * (a.ndim - condition.ndim)), a, b)

    return jax.tree.map(pick, on_true, on_false)


def _scan_in_segments(body, state, slices, time, segment, reverse):
    """The scan as an outer scan over whole segments that forget their inner states, and a plain one for the rest."""
    whole = time // segment * segment

    @jax.checkpoint
    def run_segment(state, part):
        return jax.lax.scan(body, state, part, reverse=reverse)

    def run_whole(state):
        parts = jax.tree.map(lambda a: a[:whole].reshape(-1, segment, *a.shape[1:]), slices)
        state, ys = jax.lax.scan(run_segment, state, parts, reverse=reverse)
        return state, jax.tree.map(lambda y: y.reshape(whole, *y.shape[2:]), ys)

    def run_rest(state):
        return jax.lax.scan(body, state, jax.tree.map(lambda a: a[whole:], slices), reverse=reverse)

    if reverse:
        state, late = run_rest(state)
        state, early = run_whole(state)
    else:
        state, early = run_whole(state)
        state, late = run_rest(state)
    return state, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), early, late)


def _check(start, state, xs, resets, lengths, remat):
    time, batch = xs.shape[0], xs.shape[1:-1]
    expected, given = jax.tree.structure(start), jax.tree.structure(state)
    if expected != given:
        raise UserError(f"the state given to unroll has the structure {given}, this cell's is {expected}")
    for want, got in zip(jax.tree.leaves(start), jax.tree.leaves(state), strict=True):
        if want.shape != got.shape:
            raise UserError(f"the state given to unroll has the shape {got.shape}, expected {want.shape}")
    if resets is not None and resets.shape != (time, *batch):
        raise UserError(f"resets have the shape {resets.shape}, expected {(time, *batch)}: [time, *batch]")
    if lengths is not None and lengths.shape != batch:
        raise UserError(f"lengths have the shape {lengths.shape}, expected {batch}: one number an example")
    if remat is not None and remat < 1:
        raise UserError(f"remat is the number of steps in a segment, at least 1, not {remat}")
