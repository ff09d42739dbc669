"""What a training run can log of its gradients and gates, in one forward and backward pass over a batch."""

import jax
from jaxtyping import Array, Float, Int

from seqjax.analysis.gates import gate_values
from seqjax.analysis.gradients import norm_by_lag, state_names
from seqjax.analysis.recurrent import spectral_radii
from seqjax.analysis.taps import observe
from seqjax.errors import UserError


def lags(time: int) -> list[int]:
    """0 and the powers of two below `time`, and the longest."""
    powers = [2**n for n in range(time.bit_length()) if 2**n < time - 1]
    return [0, *powers, *([time - 1] if time > 1 else [])]


def probe(
    network, loss, time: int, batch: int, lengths: Int[Array, "batch"] | None = None
) -> dict[str, Float[Array, ""]]:
    """Flat names and values for every layer of a network:

        layer0.gradient.hidden.lag8      mean over the batch of |dL/dh_t| so many steps before each sequence's last
        layer0.spectral_radius.u[1]      of every recurrent matrix
        layer0.gate.forget               mean over units, steps and batch

    `loss(network) -> scalar` runs it once over `time` steps of `batch` sequences, of the given lengths. Gates are
    averaged over all steps, those beyond a sequence's end among them.
    """
    _, layers = observe(network, loss, time, (batch,))
    measured = {}
    for number, (cell, seen) in enumerate(zip(network.stack.layers, layers, strict=True)):
        for name, gradient in zip(state_names(cell), jax.tree.leaves(seen.gradients), strict=True):
            measured |= zip(
                [f"layer{number}.gradient.{name}.lag{lag}" for lag in lags(time)],
                norm_by_lag(gradient, lags(time), lengths),
                strict=True,
            )
        for name, radius in _radii(cell).items():
            measured[f"layer{number}.spectral_radius.{name}"] = radius
        for name, values in gate_values(cell, seen.before, seen.z).items():
            measured[f"layer{number}.gate.{name}"] = values.mean()
    return measured


def _radii(cell) -> dict[str, Float[Array, ""]]:
    """None for a cell without recurrent matrices: it has gradients all the same."""
    try:
        return spectral_radii(cell)
    except UserError:
        return {}
