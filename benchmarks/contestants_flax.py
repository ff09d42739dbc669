"""Flax's `nnx.RNN` around its own cells."""

import jax
from flax import nnx

from benchmarks import passes
from benchmarks.contestant import Contestant
from benchmarks.work import Work

PEER = "Flax"
CELLS = {"rnn": nnx.SimpleCell, "lstm": nnx.OptimizedLSTMCell, "gru_reset_after": nnx.GRUCell}
BIASED = {"rnn": "dense_i", "lstm": "dense_h", "gru_reset_after": "dense_i"}  # which of its two layers has the bias


def contestants(work: Work) -> list[Contestant]:
    """One for each way to divide the batch. Time comes first, as `nnx.RNN` with `time_major` takes it."""
    graph, weights = nnx.split(_layer(work))

    def forward(weights, xs):
        layer = nnx.merge(graph, weights)
        zeros = layer.cell.initialize_carry(xs.shape[1:], rngs=nnx.Rngs(0))
        return layer(xs, initial_carry=zeros)

    def read(result):
        ys, dweights, dxs = jax.device_get(result)
        cell = dweights["cell"]
        return {
            "ys": ys,
            "xs": dxs,
            "w": cell["dense_i"]["kernel"][...],
            "u": cell["dense_h"]["kernel"][...],
            "b": cell[BIASED[work.cell]]["bias"][...],
        }

    lacks = ("b_n",) if work.cell == "gru_reset_after" else ()
    ways = passes.settings(forward, weights, work.xs, work.dys, batch_axis=1)
    return [Contestant(PEER, setting, call, read, lacks=lacks) for setting, call in ways.items()]


def _layer(work: Work) -> nnx.RNN:
    """Gates are in our order: i, f, g, o and r, z, n."""
    cell = CELLS[work.cell](work.shape.inputs, work.shape.hidden, rngs=nnx.Rngs(0))
    cell.dense_i.kernel[...] = work.weights["w"]
    cell.dense_h.kernel[...] = work.weights["u"]
    getattr(cell, BIASED[work.cell]).bias[...] = work.weights["b"]
    return nnx.RNN(cell, time_major=True, rngs=False)
