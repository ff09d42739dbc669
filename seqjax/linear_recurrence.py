"""Linear recurrences: running a cell over time without waiting for one step before the next.

A cell is linear where the next state is an element-wise affine map of the state, state' = a * state + b, with a and b
from the input alone. It says so by two methods more, from which its `step` is made:

    a, b = cell.affine(z)          # [*batch, hidden] each, of the projected input [*batch, ...]
    y    = cell.output(state, z)   # [*batch, outputs], from the state after the step

a and b are real where the state is one array, and complex where it is a pair (real, imaginary) of real arrays. An a
that is the same at all steps may be [hidden]. Both methods take any leading axes: here they are given all steps of a
sequence at once, so that every product with a weight is one product over the whole sequence, forwards and backwards.

Two affine maps one after the other are an affine map, and it does not matter in which order neighbours are put
together. So all states of a sequence are there after a number of rounds that grows with the logarithm of its length.

Reference: Blelloch (1990), CMU-CS-90-190, section 1.4; Martin & Cundy (2018), arXiv:1709.04057, for recurrent networks.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Inexact, Int, PyTree

from seqjax.deferral import Deferred
from seqjax.errors import UserError


def is_linear(cell) -> bool:
    """Whether the cell offers `affine` and `output`, and so can run in parallel over time."""
    return hasattr(cell, "affine") and hasattr(cell, "output")


def best_method(platform: str, batch: int) -> dict:
    """The options of `unroll` with which a linear cell trains fastest on "cpu", "gpu" or "tpu", by the batch's size.

    Milliseconds for a forward and a backward pass on two cores of an AVX-512 server, the best of 15 or more runs taken
    in turn, inputs as wide as the state; "scan" is the plain scan, "deferred" the default of `unroll`, and the numbers
    are chunks:

        cell     batch   time  hidden    scan  deferred      1     16     64    256  whole
        min_gru      1  10000     128    45.8      37.5   30.8   36.7   37.2   43.0   45.3
        min_gru      2   4000     128    35.6      25.0   22.2                        31.8
        min_gru      4   2000     128    35.0      23.1   22.8                        33.1
        min_gru      8   1000     256    84.2      65.1   68.8   86.6   77.7   92.3   87.1
        min_gru     16    500     128    30.5      16.3   22.1                        28.1
        min_gru     32    784     128   105.4      80.3   83.6  110.4   98.7  146.1  123.3
        min_gru     50     50     256    17.2      13.2   14.7   19.1                 15.1
        lru          1  10000     128   107.6      97.9   62.8   72.4   84.7   87.0   79.9
        lru          2   4000     128   101.0      56.2   48.0                        60.4
        lru          4   2000     128    83.7      50.0   48.8                        58.9
        lru          8   1000     256   179.5     123.5  134.9  160.3  166.5  175.7  159.8
        lru         16    500     128    67.0      40.1   48.6                        55.9
        lru         32    784     128   199.0     176.1  155.2  198.8  204.3  255.2  176.9
        lru         50     50     256    38.2      37.9   40.0   52.6                 39.3

    Two cores have no parallelism to spare for the work that rounds over the whole sequence add: steps one by one win.
    For few examples it is better to leave nothing but the recurrence in the loop (chunk 1), for more to compute the
    maps there too. Elsewhere steps that wait for each other are dear and the whole sequence at once is the choice;
    that has not been measured.
    """
    if platform != "cpu":
        return {"method": "parallel", "chunk": None}
    return {"method": "parallel", "chunk": 1} if batch <= 4 else {"method": "deferred"}


def unroll_parallel(
    cell,
    xs: Float[Array, "time *batch inputs"],
    state: PyTree | None = None,
    *,
    reverse: bool = False,
    resets: Bool[Array, "time *batch"] | None = None,
    lengths: Int[Array, "*batch"] | None = None,
    chunk: int | None = None,
) -> tuple[PyTree, Float[Array, "time *batch hidden"]]:
    """What `recurrence.unroll` returns for the same arguments, of a linear cell.

    With `chunk`, so many steps are put together in parallel, and one chunk waits for the one before it: beside inputs,
    maps and states only what a chunk needs is in memory. With 1 the steps follow each other as in a plain scan, but
    nothing is in the loop that is not of the recurrence itself.

    Forward-mode derivatives do not pass. Raises UserError for a cell that is not linear and for a chunk under 1.
    """
    valid = None
    if lengths is not None:
        valid = jnp.arange(xs.shape[0]).reshape(-1, *(1 for _ in lengths.shape)) < lengths
        # As in `unroll`: a NaN in the padding would reach the gradient through a selection of the outputs alone.
        xs = jnp.where(valid[..., None], xs, 0)
    return run_parallel(cell, xs, state, reverse=reverse, resets=resets, valid=valid, chunk=chunk)


def run_parallel(
    cell,
    xs: Float[Array, "time *batch inputs"],
    state: PyTree | None = None,
    *,
    reverse: bool = False,
    resets: Bool[Array, "time *batch"] | None = None,
    valid: Bool[Array, "time *batch"] | None = None,
    chunk: int | None = None,
) -> tuple[PyTree, Float[Array, "time *batch hidden"]]:
    """`unroll_parallel` with a mark for every step that is taken; what stands in `xs` at the others must be finite."""
    if not is_linear(cell):
        raise UserError(f"{type(cell).__name__} has no affine and output: only linear cells run in parallel over time")
    if chunk is not None and chunk < 1:
        raise UserError(f"chunk is a number of steps, at least 1, not {chunk}")
    z = Deferred(lambda cell, xs: cell.project(xs), cell, xs).whole(xs)
    a, b = cell.affine(z)
    a = jnp.broadcast_to(a, b.shape)
    initial = cell.initial_state()
    if resets is not None:
        reset = resets[..., None]
        b = jnp.where(reset, a * _joined(initial, b.dtype) + b, b)
        a = jnp.where(reset, 0, a)
    if valid is not None:
        a, b = jnp.where(valid[..., None], a, 1), jnp.where(valid[..., None], b, 0)

    start = jnp.broadcast_to(_joined(initial if state is None else state, b.dtype), b.shape[1:])
    states = _parted(affine_scan(a, b, start, reverse, chunk), initial)
    ys = Deferred(lambda cell, states, z: cell.output(states, z), cell, states, z).whole(states, z)
    if valid is not None:
        ys = jnp.where(valid[..., None], ys, 0)
    return jax.tree.map(lambda s: s[0 if reverse else -1], states), ys


def _joined(state, dtype):
    """The state as the one array that a and b act on."""
    if not jnp.issubdtype(dtype, jnp.complexfloating):
        return state
    part = jnp.finfo(dtype).dtype
    real, imaginary = state
    return jax.lax.complex(real.astype(part), imaginary.astype(part))


def _parted(states, like):
    """Back to the structure and the type of the state `like`."""
    if not jnp.iscomplexobj(states):
        return states
    real, imaginary = like
    return states.real.astype(real.dtype), states.imag.astype(imaginary.dtype)


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def affine_scan(
    a: Inexact[Array, "time *n"],
    b: Inexact[Array, "time *n"],
    start: Inexact[Array, "*n"],
    reverse: bool,
    chunk: int | None,
) -> Inexact[Array, "time *n"]:
    """All states of s_t = a_t s_(t-1) + b_t from s_(-1) = `start`; of s_t = a_t s_(t+1) + b_t under `reverse`.

    Where a_t is 0, what came before it is forgotten, also where that is not finite. For the backward pass a and the
    states are kept, and nothing of the way to them: the gradient with respect to the states is a recurrence of the same
    kind in the other direction.
    """
    if chunk is None or chunk >= len(b):
        return _in_parallel(a, b, start, reverse)
    padding = [(0, -len(b) % chunk)] + [(0, 0)] * start.ndim
    a_chunks = jnp.pad(a, padding, constant_values=1).reshape(-1, chunk, *start.shape)
    b_chunks = jnp.pad(b, padding).reshape(-1, chunk, *start.shape)

    def run_chunk(state, maps):
        states = _in_parallel(*maps, state, reverse)
        return states[0 if reverse else -1], states

    _, states = jax.lax.scan(run_chunk, start, (a_chunks, b_chunks), reverse=reverse)
    return states.reshape(-1, *start.shape)[: len(b)]


def _in_parallel(a, b, start, reverse):
    first = -1 if reverse else 0
    b = b.at[first].add(_times(a[first], start))
    return jax.lax.associative_scan(_then, (a, b), reverse=reverse)[1]


def _then(first, second):
    """The map `first`, then the map `second`."""
    (a1, b1), (a2, b2) = first, second
    return _times(a2, a1), _times(a2, b1) + b2


def _times(a, s):
    """0 where a is 0, though s be NaN: a reset keeps out what is not finite."""
    return jnp.where(a == 0, 0, a * s)


def _affine_scan_forward(a, b, start, reverse, chunk):
    states = affine_scan(a, b, start, reverse, chunk)
    return states, (a, start, states)


def _affine_scan_backward(reverse, chunk, kept, gradient):
    """The gradient of s_t as an output, d_t, and through later states, r_t = a_(t+1) (d_(t+1) + r_(t+1)), add up."""
    a, start, states = kept
    nothing = jnp.zeros_like(start)
    returned = affine_scan(a, _times(a, gradient), nothing, not reverse, chunk)
    whole = gradient + _delayed(returned, nothing, not reverse)
    return whole * _delayed(states, start, reverse), whole, returned[-1 if reverse else 0]


affine_scan.defvjp(_affine_scan_forward, _affine_scan_backward)


def _delayed(values, before, reverse):
    """Each step's value at the step processed after it; `before` at the first."""
    if reverse:
        return jnp.concatenate([values[1:], before[None]])
    return jnp.concatenate([before[None], values[:-1]])
