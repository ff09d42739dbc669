"""The gradient of a loss with respect to every state, in the one forward and backward pass that training makes anyway.

A tap is the identity on a cell's new state. Beside the state it takes a slot, a structure of zeros that it does not
read; what its backward pass returns as the slot's "gradient" is what it saw: the state before and after the step, the
projected input, and the cotangent of the state, dL/ds_t. So `jax.grad` with respect to the slots of all steps hands out
values of the forward pass beside gradients, for any cell, network and loss, and through batches, resets, lengths,
rematerialisation, dropout, `jit` and `shard_map` (with the slots sharded like the batch). What is not used is not
computed.

Forward-mode derivatives do not pass a tap. The parameters' gradients are those of the network without taps.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PyTree

from seqjax.analysis.one_step import arguments
from seqjax.errors import UserError
from seqjax.linear_recurrence import is_linear


class Seen(NamedTuple):
    """What the taps of one layer saw: `[time, *batch, ...]` arrays; as slots, zeros of the same shapes.

    At steps beyond an example's length the gradients are 0 and the rest is that of a step that was not taken.
    """

    before: PyTree  # the state before step t: a reset has been applied
    states: PyTree  # the state after step t
    gradients: PyTree  # dL/ds_t, the gradient of the loss with respect to the state after step t
    z: PyTree  # the projected input of step t


@jax.custom_vjp
def tap(state: PyTree, before: PyTree, z: PyTree, slot: Seen) -> PyTree:
    """`state` itself, the state after a step; `slot` gets what stands here as its gradient."""
    return state


def _tap_forward(state, before, z, slot):
    return state, (state, before, z)


def _tap_backward(seen, gradient):
    state, before, z = seen
    return gradient, None, None, Seen(before, state, gradient, z)


tap.defvjp(_tap_forward, _tap_backward)


class Tapped(nnx.Module):
    """`cell` with a tap on its state, itself a cell.

    `tap_slots` are `[time, *batch, ...]` arrays; `recurrence.unroll` hands each step its own, beside the projected
    input.

    An output that is a part of the new state (the same array, as in most cells) is taken after the tap, so that the
    gradient of the state counts the output's path to the loss; so is the `output` of a linear cell. For a cell with
    another output the gradient is that through later states alone.
    """

    def __init__(self, cell, slots: Seen):
        self.cell = cell
        self.tap_slots = nnx.data(slots)

    def initial_state(self) -> PyTree:
        return self.cell.initial_state()

    def project(self, x: Float[Array, "*batch inputs"]) -> PyTree:
        return self.cell.project(x)

    def step(self, state: PyTree, z: tuple[PyTree, Seen]) -> tuple[PyTree, Float[Array, "outputs"]]:
        z, slot = z
        new_state, y = self.cell.step(state, z)
        seen = tap(new_state, state, z, slot)
        if is_linear(self.cell):
            return seen, self.cell.output(seen, z)
        for leaf, tapped_leaf in zip(jax.tree.leaves(new_state), jax.tree.leaves(seen), strict=True):
            if y is leaf:
                y = tapped_leaf
        return seen, y


def slots(cell, time: int, batch: tuple[int, ...] = (), inputs: int | None = None) -> Seen:
    """Zeros for what the taps of `cell` see in `time` steps of a batch.

    `inputs` is the width of the cell's input, found from the cell where None. Raises UserError where it cannot be.
    """
    state, z = arguments(cell, inputs)
    one_step = Seen(before=state, states=state, gradients=state, z=z)
    return jax.tree.map(lambda a: jnp.zeros((time, *batch, *a.shape), a.dtype), one_step)


def _layers(network):
    layers = getattr(network.stack, "layers", None)
    if layers is None:
        raise UserError(f"taps need a stack with layers one above the other, not a {type(network.stack).__name__}")
    return layers


def network_slots(network, time: int, batch: tuple[int, ...] = ()) -> tuple[Seen, ...]:
    """The slots of every layer of a network, the first layer's first."""
    return tuple(slots(cell, time, batch) for cell in _layers(network))


def tapped(network, slots_per_layer: tuple[Seen, ...]):
    """A copy of the network with taps on every layer: its gradient with respect to `slots_per_layer` is what they see.

    def tapped_loss(parameters, slots):
        return loss(tapped(unflatten(template, parameters), slots))

    value, (gradients, seen) = jax.value_and_grad(tapped_loss, argnums=(0, 1))(parameters, slots)
    """
    copy = jax.tree.map(lambda leaf: leaf, network)
    layers = _layers(copy)
    copy.stack.layers = nnx.List(Tapped(cell, seen) for cell, seen in zip(layers, slots_per_layer, strict=True))
    return copy


def observe(network, loss, time: int, batch: tuple[int, ...] = ()) -> tuple[Float[Array, ""], tuple[Seen, ...]]:
    """The value of `loss(network)` and what the taps saw, one `Seen` a layer.

    `loss` runs the network once over sequences of `time` steps and a batch of the given shape.
    """
    return jax.value_and_grad(lambda slots: loss(tapped(network, slots)))(network_slots(network, time, batch))
