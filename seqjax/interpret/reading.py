"""Reading a text with a network, and keeping all that it holds meanwhile."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Integer, PyTree

from seqjax.analysis import state_names
from seqjax.analysis.one_step import arguments
from seqjax.errors import UserError
from seqjax.interpret.activity import Activity
from seqjax.linear_recurrence import is_linear
from seqjax.models.stack import output_width
from seqjax.recurrence import unroll

WINDOW = 1024  # symbols read at a time: what the device holds does not grow with the text


def read(network, symbols: Integer[np.ndarray, "time"], *, gates: bool = True) -> Activity:
    """What a many-to-many network of symbols holds after each symbol of a text, with or without its gates.

    The text is read once, from the initial state. Raises UserError for an empty text and for a network whose layers are
    not one above the other.
    """
    cells = getattr(network.stack, "layers", None)
    if cells is None:
        raise UserError(f"reading needs a stack with layers one above the other, not a {type(network.stack).__name__}")
    if not len(symbols):
        raise UserError("an empty text has nothing to read; it needs at least one symbol")
    widths = [_widths(cell, gates) for cell in cells]
    layers = tuple({name: np.empty((len(symbols), width), np.float32) for name, width in of.items()} for of in widths)
    logits, state = [], network.stack.initial_state()
    for start in range(0, len(symbols), WINDOW):
        window = np.asarray(symbols[start : start + WINDOW], np.int32)
        padded = np.pad(window, (0, WINDOW - len(window)))  # so that one program reads all windows
        state, held, ahead = _read_window(network, state, padded, gates)
        logits.append(np.asarray(ahead[: len(window)], np.float32))
        for layer, values in zip(layers, held, strict=True):
            ends = np.cumsum([part.shape[-1] for part in layer.values()])
            parts = np.split(np.asarray(values)[: len(window)], ends[:-1], axis=-1)
            for whole, part in zip(layer.values(), parts, strict=True):
                whole[start : start + len(window)] = part
    return Activity(np.asarray(symbols, np.int32), layers, np.concatenate(logits))


def part_names(cell) -> tuple[str, ...]:
    """A name for each leaf of the cell's state, as in the equations: see `Activity.layers`."""
    names = state_names(cell)
    if is_linear(cell) and len(names) == 2:
        return ("real", "imaginary")
    return tuple(name.replace("hidden", "h").replace("memory", "c").replace(" ", "") for name in names)


def _values(cell, state: PyTree, z: PyTree, gates: bool) -> tuple[PyTree, Array, dict[str, Array]]:
    """One step: the new state, the output, and by name the parts of the new state, "h" first, and the gates."""
    new_state, y = cell.step(state, z)
    parts = dict(zip(part_names(cell), jax.tree.leaves(new_state), strict=True))
    opened = cell.gates(state, z) if gates and hasattr(cell, "gates") else {}
    return new_state, y, {name: parts[name] for name in sorted(parts, key=lambda name: name != "h")} | opened


def _widths(cell, gates: bool) -> dict[str, int]:
    """The width of each of `_values`, in their order."""
    widths = {}

    def step(state, z):
        widths.update({name: value.shape[-1] for name, value in _values(cell, state, z, gates)[2].items()})

    jax.eval_shape(step, *arguments(cell))
    return widths


class _Inside(nnx.Module):
    """A cell that puts out, beside its output, the parts of its new state and its gates."""

    def __init__(self, cell, gates: bool):
        self.cell = cell
        self.with_gates = gates

    def initial_state(self) -> PyTree:
        return self.cell.initial_state()

    def project(self, x: Float[Array, "*batch inputs"]) -> PyTree:
        return self.cell.project(x)

    def step(self, state: PyTree, z: PyTree) -> tuple[PyTree, Float[Array, "values"]]:
        new_state, y, values = _values(self.cell, state, z, self.with_gates)
        return new_state, jnp.concatenate([y, *values.values()])


@functools.partial(jax.jit, static_argnames="gates")
def _read_window(network, state, symbols, gates):
    """The state after the window, what each layer holds after each symbol, side by side, and the logits."""
    xs = network.embed(symbols)
    new_state, held = [], []
    for cell, layer_state in zip(network.stack.layers, state, strict=True):
        outputs = output_width(cell, xs.shape[-1])
        layer_state, values = unroll(_Inside(cell, gates), xs, layer_state)
        xs = values[:, :outputs]
        new_state.append(layer_state)
        held.append(values[:, outputs:])
    return tuple(new_state), held, network.readout(xs, network.embed)
