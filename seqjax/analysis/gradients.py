"""The gradient of a loss with respect to the state, step by step: does it vanish, or explode, on its way back?

Reference: Hochreiter (1991), diploma thesis, TU Munich; Bengio, Simard & Frasconi (1994), IEEE Transactions on Neural
Networks 5(2).
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from seqjax.analysis.one_step import arguments
from seqjax.analysis.taps import Tapped, slots
from seqjax.errors import UserError
from seqjax.recurrence import unroll


def state_gradients(
    cell,
    loss: Callable[[Float[Array, "time *batch hidden"]], Float[Array, ""]],
    xs: Float[Array, "time *batch inputs"],
    state: PyTree | None = None,
    **options,
) -> PyTree:
    """dL/ds_t for every step t, `loss` being a function of the outputs: like the state, with `[time, *batch, hidden]`.

    s_t is the state after step t, and dL/ds_t its gradient as a whole, so that dL/ds_t = (ds_T/ds_t)^T dL/ds_T for a
    loss of the last step. The gradient of a part that is the output counts what the output adds to the loss at once and
    what it adds through later steps; that of the LSTM's memory c_t is taken with h_t held, counts the later steps
    alone, and so is 0 at the last step. `options` are those of `unroll`.
    """

    def run(slots):
        return loss(unroll(Tapped(cell, slots), xs, state, **options)[1])

    return jax.grad(run)(slots(cell, xs.shape[0], xs.shape[1:-1], xs.shape[-1])).gradients


def state_names(cell) -> tuple[str, ...]:
    """A name for each leaf of the state: "hidden" the one that is the output, "memory" what the cell keeps to itself.

    `("memory", "hidden")` for the LSTM's (c, h), `("hidden",)` for most others; "memory 1", "memory 2" where there are
    several.
    """
    outputs = []

    def step(state, z):
        state, y = cell.step(state, z)
        outputs.extend(leaf is y for leaf in jax.tree.leaves(state))
        return y

    jax.eval_shape(step, *arguments(cell))
    memories = outputs.count(False)
    numbers = iter(range(1, memories + 1))
    return tuple(
        "hidden" if is_output else "memory" if memories == 1 else f"memory {next(numbers)}" for is_output in outputs
    )


def norms(gradients: PyTree, axis: int = -1) -> PyTree:
    """The Euclidean norm of each gradient: `[time, *batch]` for each leaf of the state."""
    return jax.tree.map(lambda gradient: jnp.linalg.norm(gradient, axis=axis), gradients)


def norm_by_lag(
    gradient: Float[Array, "time *batch hidden"], lags: Sequence[int], lengths: Int[Array, "*batch"] | None = None
) -> Float[Array, "lags"]:
    """The mean over the batch of |dL/ds_{T - lag}|, T being the last step: with `lengths`, each example's last.

    Examples no longer than a lag are not in its mean; NaN where no example is longer. Raises UserError for a lag
    outside 0 ... time - 1.
    """
    time = gradient.shape[0]
    for lag in lags:
        if not 0 <= lag < time:
            raise UserError(f"a lag of {lag} steps does not fit in a sequence of {time}; lags are 0 to {time - 1}")
    size = norms(gradient)
    if lengths is None:
        lengths = jnp.full(size.shape[1:], time)
    places = lengths - 1 - jnp.asarray(lags).reshape(-1, *(1 for _ in lengths.shape))
    by_lag = jnp.take_along_axis(size, jnp.maximum(places, 0), axis=0)
    return by_lag.mean(axis=tuple(range(1, by_lag.ndim)), where=places >= 0)
