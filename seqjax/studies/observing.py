"""The gradient of a task's loss at every step of its network, for many seeds at once, in 64 bits.

In 32 bits a gradient that vanishes is soon 0: less than 1e-38.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key, PyTree

from seqjax.analysis import gate_values, norms, observe, state_names, step_jacobians
from seqjax.models import parameters


def double(tree: PyTree) -> PyTree:
    """Floating-point leaves in 64 bits, as far as JAX is set to them."""
    return jax.tree.map(lambda a: jnp.asarray(a, float) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree)


def observed(task, network, batch, lanes: int, carry: PyTree = ()) -> list[dict]:
    """Of each layer: the norms of dL/ds_t by state, `[time, lanes]`, and the gates, `[time, lanes, hidden]`.

    L is the loss of one example at its last step, not the batch's mean.
    """
    _, layers = observe(network, lambda network: task.end_loss(network, carry, batch), task.time, (lanes,))
    return [
        {
            "norms": {
                name: lanes * norm
                for name, norm in zip(state_names(cell), jax.tree.leaves(norms(seen.gradients)), strict=True)
            },
            "gates": gate_values(cell, seen.before, seen.z),
        }
        for cell, seen in zip(network.stack.layers, layers, strict=True)
    ]


def starts(task, keys: Key[Array, "seeds"]) -> tuple[object, dict[str, Float[Array, "seeds ..."]]]:
    """The network of the first seed, and the fresh parameters of every seed, stacked.

    Not compiled: the orthogonal matrices of a whole network take longer to compile than to draw.
    """
    networks = [task.network(nnx.Rngs(key)) for key in keys]
    values = [parameters.flatten(network) for network in networks]
    return networks[0], {name: jnp.stack([one[name] for one in values]) for name in values[0]}


class Observer:
    """Compiled once for a task and networks like `template`, with vectors as inputs and one layer.

    `observer(values, keys)` takes parameters stacked over seeds, and each seed's key for its batch.
    """

    def __init__(self, task, template, lanes: int, jacobians: bool = True):
        self.task, self.template, self.lanes, self.jacobians = task, template, lanes, jacobians
        self.states = state_names(template.stack.layers[0])

    def __call__(self, values: dict[str, Float[Array, "seeds ..."]], keys: Key[Array, "seeds"]) -> dict:
        """Seeds come first: `norms` by state, `[seeds, lags]`, the mean over the batch; `gates`, `[seeds, time, 3]`,
        the 10th, 50th and 90th percentile over units and batch; `gate_means`, `[seeds, time]`; `jacobians`,
        `[seeds, time, n, n]`, along the first sequence of the batch.
        """
        with jax.enable_x64(True):
            seen = self._observe(double(jax.tree.map(np.asarray, values)), keys)
            return jax.tree.map(np.asarray, seen)

    @functools.cached_property
    def _observe(self) -> Callable:
        def one(values, key):
            network = parameters.unflatten(self.template, values)
            lanes = jnp.arange(self.lanes)
            batch = double(self.task.batch(self.task.data, key, jnp.zeros((), jnp.int32), lanes))
            (layer,) = observed(self.task, network, batch, self.lanes)
            seen = {
                "norms": {name: norm.mean(-1)[::-1] for name, norm in layer["norms"].items()},
                "gates": {
                    name: jnp.quantile(gate, jnp.array([0.1, 0.5, 0.9]), axis=(1, 2)).T
                    for name, gate in layer["gates"].items()
                },
                "gate_means": {name: gate.mean((1, 2)) for name, gate in layer["gates"].items()},
            }
            if self.jacobians:
                seen["jacobians"] = step_jacobians(network.stack.layers[0], batch.inputs[:, 0])
            return seen

        return jax.jit(jax.vmap(one))
