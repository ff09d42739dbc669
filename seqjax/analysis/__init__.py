"""Looking into a recurrent network: pure functions of a cell, its parameters and inputs.

How far back does the loss reach into the memory of an LSTM? The norm of dL/dc_t for every step t and example:

    cell = CELLS["lstm"](inputs=3, hidden=16, rngs=nnx.Rngs(0))
    memory, hidden = state_gradients(cell, lambda ys: (ys[-1] ** 2).sum(), xs)
    plt.semilogy(norms(memory))
"""

from seqjax.analysis import cliff
from seqjax.analysis.gates import gate_values, gates, saturation
from seqjax.analysis.gradients import norm_by_lag, norms, state_gradients, state_names
from seqjax.analysis.jacobians import (
    block,
    largest_singular_value,
    pascanu_bound,
    products,
    singular_values,
    step_jacobians,
)
from seqjax.analysis.recurrent import recurrent_matrices, spectral_radii
from seqjax.analysis.taps import Seen, Tapped, network_slots, observe, slots, tapped

__all__ = [
    "Seen",
    "Tapped",
    "block",
    "cliff",
    "gate_values",
    "gates",
    "largest_singular_value",
    "network_slots",
    "norm_by_lag",
    "norms",
    "observe",
    "pascanu_bound",
    "products",
    "recurrent_matrices",
    "saturation",
    "singular_values",
    "slots",
    "spectral_radii",
    "state_gradients",
    "state_names",
    "step_jacobians",
    "tapped",
]
