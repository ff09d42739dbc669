"""Running a cell over time.

`jax.lax.scan(cell, cell.initial_state(), xs)` is the definition; `unroll` is the same for batches of sequences, fast:

- the input projection of the whole sequence is one matrix product before the scan;
- the gradient of each matrix is one product after the backward scan, found in the cell's equations (`deferral`), where
  the scan's own transpose would add to it at every step, and sum it over devices at every step;
- the backward scan recomputes what is cheap (sums, products of gates) from what is dear (matrix products, exponentials
  and the like), so that less is written to memory and read again.
"""

import dataclasses
import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Integer, PyTree

from seqjax.deferral import Deferred
from seqjax.errors import UserError, did_you_mean
from seqjax.linear_recurrence import best_method, is_linear, run_parallel


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class UnitVectors:
    """Symbols as inputs that are 1 at the symbol and 0 elsewhere, without their zeros; all 0 outside `[0, width)`.

    What a cell makes of them is a row of what it makes of the vocabulary, so `unroll` projects that and picks rows.
    """

    symbols: Integer[Array, "*shape"]
    width: int = dataclasses.field(metadata={"static": True})

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the vectors."""
        return (*self.symbols.shape, self.width)

    def dense(self) -> Float[Array, "*shape width"]:
        """The vectors themselves."""
        return jax.nn.one_hot(self.symbols, self.width)


def initial_state(cell, batch: tuple[int, ...] = ()) -> PyTree:
    """The cell's initial state for every example: a pytree of `[*batch, hidden]` arrays."""
    return jax.tree.map(lambda s: jnp.broadcast_to(s, (*batch, *s.shape)), cell.initial_state())


def unroll(
    cell,
    xs: Float[Array, "time *batch inputs"] | UnitVectors,
    state: PyTree | None = None,
    *,
    reverse: bool = False,
    resets: Bool[Array, "time *batch"] | None = None,
    lengths: Int[Array, "*batch"] | None = None,
    remat: int | None = None,
    method: str | None = None,
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
      remat: keep only every `remat`-th state for the backward pass, and run the steps between again, the projection of
        their inputs included. Memory goes from `time` to `time / remat + remat` steps for about a third more time.
      method: how, of METHODS; None picks the fastest measured. "scan" is `jax.lax.scan` and nothing else, the one
        that can be differentiated forwards (`jax.jvp`, `jax.jacfwd`) and twice. "deferred" is as said above.
        "parallel", for linear recurrences alone, computes all steps at once (see `linear_recurrence`).

    `cell.project` is given the inputs of all steps, of some, or of a vocabulary: it treats every position alike. Inside
    `jax.shard_map` the default methods need `check_vma=False`.

    Raises UserError when a shape or the method does not fit.
    """
    start = initial_state(cell, xs.shape[1:-1])
    state = start if state is None else state
    _check(start, state, xs, resets, lengths, remat)
    if method is not None and method not in METHODS:
        raise UserError(f"unknown method {method!r} of unroll; {did_you_mean(method, METHODS)}")

    valid = None
    if lengths is not None:
        valid = jnp.arange(xs.shape[0]).reshape(-1, *(1 for _ in lengths.shape)) < lengths
        # A NaN in the padding would reach the gradient through a selection of the outputs alone: 0 times NaN is NaN.
        xs = jax.tree.map(lambda x: _select(valid, x, jnp.zeros_like(x)), xs)

    options = {"method": method or "deferred"}
    if method is None and is_linear(cell):
        options = best_method(jax.default_backend(), math.prod(xs.shape[1:-1]))
    method = options.pop("method")
    run = functools.partial(METHODS[method], cell, start, reverse, **options)
    inputs = Inputs(xs, getattr(cell, "tap_slots", ()), resets, valid)
    if remat is not None and remat < xs.shape[0]:
        return _in_segments(jax.checkpoint(run), state, inputs, remat, reverse)
    segment = _cached_segment(xs.shape[0])
    if method == "deferred" and segment is not None:
        return _in_segments(run, state, inputs, segment, reverse)
    return run(state, inputs)


class Inputs(NamedTuple):
    """What one step is given, or all of them, with `time` as the first axis."""

    x: PyTree
    slot: PyTree  # what a tapped cell (`analysis.taps`) takes beside its input; nothing for other cells
    reset: Bool[Array, "*time batch"] | None
    valid: Bool[Array, "*time batch"] | None


def _scan(cell, start, reverse, state, inputs):
    """The plain scan: the reference for every other method."""
    zs = cell.project(inputs.x.dense() if isinstance(inputs.x, UnitVectors) else inputs.x)
    step = functools.partial(_mapped(cell, inputs.x.shape[1:-1]), cell)

    def body(state, now):
        return _masked(step, start, state, now)

    return jax.lax.scan(body, state, inputs._replace(x=zs), reverse=reverse)


def _deferred(cell, start, reverse, state, inputs):
    xs, slots = inputs.x, inputs.slot
    zs, bias = _project(cell, xs)
    now = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), (slots, zs))
    step = Deferred(_with_bias(_mapped(cell, xs.shape[1:-1])), (cell, bias), state, *now)
    zs, products = step.make_slots(zs, xs.shape[0])

    def body(state, now):
        now, products = now
        return _masked(functools.partial(step.step, products), start, state, now)

    body = jax.checkpoint(body, policy=_is_dear, prevent_cse=False)
    return jax.lax.scan(body, state, (inputs._replace(x=zs), products), reverse=reverse)


def _project(cell, xs):
    """The projected inputs of all steps, but for the bias, which is returned beside them."""

    def project(cell, xs):
        return cell.project(xs)

    if isinstance(xs, UnitVectors) and xs.width <= xs.symbols.size:
        vocabulary = jnp.eye(xs.width + 1, xs.width)  # and what `dense` makes of symbols outside it
        symbols = xs.symbols.astype(jnp.int32)  # bytes could not hold the row after the last
        rows = jnp.where((symbols >= 0) & (symbols < xs.width), symbols, xs.width)
        zs = Deferred(project, cell, vocabulary).whole(vocabulary)
        return jax.tree.map(lambda z: z[rows], zs), jax.tree.map(lambda z: None, zs)
    xs = xs.dense() if isinstance(xs, UnitVectors) else xs
    # Added to all steps here, the bias would be one more pass through memory, and one back; each step adds it.
    return Deferred(project, cell, xs).split_bias(xs)


def _parallel(cell, start, reverse, state, inputs, chunk=None):
    xs = inputs.x.dense() if isinstance(inputs.x, UnitVectors) else inputs.x
    options = {"reverse": reverse, "resets": inputs.reset, "valid": inputs.valid, "chunk": chunk}
    return run_parallel(cell, xs, state, **options)


METHODS = {"deferred": _deferred, "scan": _scan, "parallel": _parallel}

DEAR = {
    "dot_general",
    "conv_general_dilated",
    "tanh",
    "logistic",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "erf",
    "sin",
    "cos",
}


def _is_dear(primitive, *inputs, **_) -> bool:
    # Complex numbers are computed again: jax.checkpoint cannot keep them.
    return primitive.name in DEAR and not any(jnp.issubdtype(a.dtype, jnp.complexfloating) for a in inputs)


def _mapped(cell, batch):
    """The step of a cell for a batch: of the cell, states, slots and projected inputs."""

    def step(cell, state, slot, z):
        return cell.step(state, (z, slot) if hasattr(cell, "tap_slots") else z)

    for _ in batch:
        step = jax.vmap(step, in_axes=(None, 0, 0, 0))
    return step


def _with_bias(step):
    def biased(cell_and_bias, state, slot, z):
        cell, bias = cell_and_bias
        return step(cell, state, slot, jax.tree.map(lambda a, b: a if b is None else a + b, z, bias))

    return biased


def _masked(step, start, state, now):
    """One step, from the initial state at a reset, and none where it is not valid."""
    before = state if now.reset is None else _select(now.reset, start, state)
    new_state, y = step(before, now.slot, now.x)
    if now.valid is not None:
        new_state = _select(now.valid, new_state, state)
        y = _select(now.valid, y, jnp.zeros_like(y))
    return new_state, y


def _select(condition, on_true, on_false):
    def pick(a, b):
        return jnp.where(condition.reshape(condition.shape + (1,) * (a.ndim - condition.ndim)), a, b)

    return jax.tree.map(pick, on_true, on_false)


def _cached_segment(time) -> int | None:
    """The steps whose projected inputs and their gradients should be in the cache together; None for all of them.

    On CPU, 784 steps of 32 sequences and 128 units took 0.85 of the time in segments of 56 (gru_reset_after, rnn; 0.9
    for lstm) and 50 steps no less than in one piece, so only long sequences are divided.
    """
    if jax.default_backend() != "cpu" or time < 256:
        return None
    return next((steps for steps in range(64, 31, -1) if time % steps == 0), 64)


def _in_segments(run, state, inputs, segment, reverse):
    """An outer scan over whole segments, and the rest as one shorter."""
    time = inputs.x.shape[0]
    whole = time // segment * segment

    def run_whole(state):
        parts = jax.tree.map(lambda a: a[:whole].reshape(-1, segment, *a.shape[1:]), inputs)
        state, ys = jax.lax.scan(run, state, parts, reverse=reverse)
        return state, jax.tree.map(lambda y: y.reshape(whole, *y.shape[2:]), ys)

    def run_rest(state):
        return run(state, jax.tree.map(lambda a: a[whole:], inputs))

    if whole == time:
        return run_whole(state)
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
