"""Layers of cells: the outputs of one layer are the inputs of the next."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from seqjax import recurrence


def output_width(cell, inputs: int) -> int:
    """The width of what `cell` puts out at each step (for most cells, but not for all, its hidden size)."""
    dtype = jax.tree.leaves(cell)[0].dtype
    x = jax.ShapeDtypeStruct((inputs,), dtype)
    return jax.eval_shape(lambda x: cell(cell.initial_state(), x), x)[1].shape[-1]


def dropout(
    xs: Float[Array, "time *batch hidden"], rate: Float[Array, ""] | float, keys: Key[Array, "*batch"]
) -> Float[Array, "time *batch hidden"]:
    """Inverted dropout with one key an example, so that an example's mask does not depend on its batch."""

    def masks(key):
        return jax.random.bernoulli(key, 1 - rate, (xs.shape[0], xs.shape[-1]))

    for _ in keys.shape:
        masks = jax.vmap(masks, out_axes=1)
    return jnp.where(masks(keys), xs / (1 - rate), 0)


def fold_in(keys: Key[Array, "*batch"], number: int) -> Key[Array, "*batch"]:
    """Other keys, one an example."""

    def fold(key):
        return jax.random.fold_in(key, number)

    for _ in keys.shape:
        fold = jax.vmap(fold)
    return fold(keys)


class Stack(nnx.Module):
    """Cells one above the other, with dropout between them.

    `make_cell(inputs, rngs=...)` builds one layer; each layer has its own weights.
    """

    def __init__(self, make_cell, inputs: int, layers: int, *, rngs: nnx.Rngs):
        self.layers = nnx.List()
        for _ in range(layers):
            cell = make_cell(inputs, rngs=rngs)
            self.layers.append(cell)
            inputs = output_width(cell, inputs)
        self.outputs = inputs

    def initial_state(self, batch: tuple[int, ...] = ()) -> tuple:
        """One state a layer, each a pytree of `[*batch, hidden]` arrays."""
        return tuple(recurrence.initial_state(cell, batch) for cell in self.layers)

    def unroll(
        self,
        xs: Float[Array, "time *batch inputs"] | recurrence.UnitVectors,
        state: tuple | None = None,
        *,
        resets: Bool[Array, "time *batch"] | None = None,
        lengths: Int[Array, "*batch"] | None = None,
        remat: int | None = None,
        method: str | None = None,
        dropout_rate: Float[Array, ""] | float | None = None,
        keys: Key[Array, "*batch"] | None = None,
    ) -> tuple[PyTree, Float[Array, "time *batch outputs"]]:
        """As `recurrence.unroll`, through all layers. With `dropout_rate`, `keys` holds one random key an example."""
        state = self.initial_state(xs.shape[1:-1]) if state is None else state
        new_state, options = [], {"resets": resets, "lengths": lengths, "remat": remat, "method": method}
        for number, (cell, layer_state) in enumerate(zip(self.layers, state, strict=True)):
            if number and dropout_rate is not None:
                xs = dropout(xs, dropout_rate, fold_in(keys, number))
            layer_state, xs = recurrence.unroll(cell, xs, layer_state, **options)
            new_state.append(layer_state)
        return tuple(new_state), xs

    def last(self, ys: Float[Array, "time *batch outputs"], lengths: Int[Array, "*batch"] | None = None):
        """The output after the last valid step of each example: `[*batch, outputs]`."""
        return _at_last(ys, lengths)


class BidirectionalStack(nnx.Module):
    """As `Stack`, but each layer runs one cell forwards and one backwards and puts out both, side by side.

    It needs whole sequences: there is no state to carry from chunk to chunk.

    Reference: Schuster & Paliwal (1997), IEEE Transactions on Signal Processing 45(11).
    """

    def __init__(self, make_cell, inputs: int, layers: int, *, rngs: nnx.Rngs):
        self.forward = nnx.List()
        self.backward = nnx.List()
        for _ in range(layers):
            self.forward.append(make_cell(inputs, rngs=rngs))
            self.backward.append(make_cell(inputs, rngs=rngs))
            inputs = 2 * output_width(self.forward[-1], inputs)
        self.outputs = inputs

    def unroll(
        self,
        xs: Float[Array, "time *batch inputs"] | recurrence.UnitVectors,
        *,
        resets: Bool[Array, "time *batch"] | None = None,
        lengths: Int[Array, "*batch"] | None = None,
        remat: int | None = None,
        method: str | None = None,
        dropout_rate: Float[Array, ""] | float | None = None,
        keys: Key[Array, "*batch"] | None = None,
    ) -> tuple[PyTree, Float[Array, "time *batch outputs"]]:
        """The last states `((forward, backward), ...)` and the outputs; `resets` stand at documents' first symbols."""
        backward_resets = None
        if resets is not None:  # a document's last symbol is the one before the next document's first
            backward_resets = jnp.concatenate([resets[1:], jnp.ones_like(resets[:1])])
        states, options = [], {"lengths": lengths, "remat": remat, "method": method}
        for number, (forward, backward) in enumerate(zip(self.forward, self.backward, strict=True)):
            if number and dropout_rate is not None:
                xs = dropout(xs, dropout_rate, fold_in(keys, number))
            ahead, ys = recurrence.unroll(forward, xs, resets=resets, **options)
            back, zs = recurrence.unroll(backward, xs, resets=backward_resets, reverse=True, **options)
            states.append((ahead, back))
            xs = jnp.concatenate([ys, zs], axis=-1)
        return tuple(states), xs

    def last(self, ys: Float[Array, "time *batch outputs"], lengths: Int[Array, "*batch"] | None = None):
        """What each direction put out after its last step: the end for the forward half, the start for the backward."""
        forward, backward = jnp.split(ys, 2, axis=-1)
        return jnp.concatenate([_at_last(forward, lengths), backward[0]], axis=-1)


def _at_last(ys, lengths):
    if lengths is None:
        return ys[-1]
    index = jnp.maximum(lengths - 1, 0)[None, ..., None]
    return jnp.take_along_axis(ys, index, axis=0)[0]
