"""What a training run can log of its gradients and gates, in one forward and backward pass over a batch."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from seqjax.analysis.gradients import state_names
from seqjax.analysis.recurrent import spectral_radii
from seqjax.analysis.taps import observe


def lags(time: int) -> list[int]:
    """0 and the powers of two below `time`, and the longest."""
    powers = [2**n for n in range(time.bit_length()) if 2**n < time - 1]
    return [0, *powers, *([time - 1] if time > 1 else [])]


def probe(network, loss, time: int, batch: int) -> dict[str, Float[Array, ""]]:
    """Flat names and values for every layer of a network:

        layer0.gradient.hidden.lag8      mean over the batch of |dL/dh_t| so many steps before the last
        layer0.spectral_radius.u[1]      of every recurrent matrix
        layer0.gate.forget               mean over units, steps and batch

    `loss(network) -> scalar` runs it once over `time` steps of `batch` sequences.
    """
    _, layers = observe(network, loss, time, (batch,))
    measured = {}
    for number, (cell, seen) in enumerate(zip(network.stack.layers, layers, strict=True)):
        for name, gradient in zip(state_names(cell), jax.tree.leaves(seen.gradients), strict=True):
            norms = jnp.linalg.norm(gradient, axis=-1).mean(-1)
            for lag in lags(time):
                measured[f"layer{number}.gradient.{name}.lag{lag}"] = norms[-1 - lag]
        for name, radius in spectral_radii(cell).items():
            measured[f"layer{number}.spectral_radius.{name}"] = radius
        if hasattr(cell, "gates"):
            values = jax.vmap(jax.vmap(cell.gates))(seen.before, seen.z)
            measured |= {f"layer{number}.gate.{name}": value.mean() for name, value in values.items()}
    return measured
