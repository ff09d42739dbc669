"""What everybody has to do: the cells and shapes, the weights and inputs, and the right answer.

One pass computes the outputs `ys` of a layer and, from given gradients `dys` of the outputs, the gradients of its
inputs and of all its weights.
"""

from typing import NamedTuple

import jax
import numpy as np
from flax import nnx

from benchmarks import passes
from seqjax.cells import find_cell
from seqjax.models import parameters


class Shape(NamedTuple):
    """The size of a batch of sequences and of the layer that reads it."""

    name: str
    batch: int
    time: int
    inputs: int
    hidden: int

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        return self[1:]


SHAPES = (
    Shape("min_char_rnn", 1, 25, 80, 100),
    Shape("char_rnn", 50, 50, 128, 128),
    Shape("char_rnn_large", 50, 50, 256, 256),
    Shape("penn_treebank", 20, 35, 650, 650),  # the medium model of Zaremba et al. (2014)
    Shape("sequential_mnist", 32, 784, 1, 128),
)

GATES = {"rnn": 1, "lstm": 4, "gru_reset_after": 3}  # products with the hidden state that are one product


class Work(NamedTuple):
    """The work of one row. Arrays are NumPy's, float32."""

    cell: str
    shape: Shape
    template: object  # our cell, without values
    weights: dict[str, np.ndarray]  # of our cell, by name
    xs: np.ndarray  # [time, batch, inputs]
    dys: np.ndarray  # [time, batch, hidden]

    def module(self, weights: dict):
        """Our cell with these weights."""
        return parameters.unflatten(self.template, weights)


def make(cell: str, shape: Shape, seed: int = 0) -> Work:
    """Weights as our cell starts with, but biases that are not 0, so that one in the wrong place is noticed.

    The bias of `gru_reset_after` inside the reset gate's product stays 0: Flax has none.
    """
    module = find_cell(cell)(shape.inputs, shape.hidden, rngs=nnx.Rngs(seed))
    random = np.random.default_rng(seed)
    weights = {name: np.array(value, np.float32) for name, value in parameters.flatten(module).items()}
    weights["b"] += 0.1 * random.standard_normal(weights["b"].shape, np.float32)
    xs = random.standard_normal((shape.time, shape.batch, shape.inputs), np.float32)
    dys = random.standard_normal((shape.time, shape.batch, shape.hidden), np.float32)
    return Work(cell, shape, jax.eval_shape(lambda: module), weights, xs, dys)


def right_answer(work: Work) -> dict[str, np.ndarray]:
    """Outputs and gradients by the definition of a cell, a `jax.lax.scan` of each sequence alone, without our engine.

    `ys` and `xs` are the outputs and the gradient of the inputs, as `[time, batch, ...]`; every other name is the
    gradient of our cell's parameter.
    """

    def forward(weights, xs):
        cell = work.module(weights)
        return jax.vmap(lambda x: jax.lax.scan(cell, cell.initial_state(), x)[1], in_axes=1, out_axes=1)(xs)

    ys, dweights, dxs = jax.device_get(jax.jit(passes.forward_and_backward(forward))(work.weights, work.xs, work.dys))
    return {"ys": ys, "xs": dxs, **dweights}
