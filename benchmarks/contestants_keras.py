"""Keras 3's layers with JAX underneath: `KERAS_BACKEND=jax` is set before Keras is imported."""

import jax
import keras
import numpy as np

from benchmarks import passes
from benchmarks.contestant import Contestant
from benchmarks.work import Work

PEER = "Keras"
LAYERS = {
    "rnn": (keras.layers.SimpleRNN, {}),
    "lstm": (keras.layers.LSTM, {}),
    "gru_reset_after": (keras.layers.GRU, {"reset_after": True}),
    "gru": (keras.layers.GRU, {"reset_after": False}),
}


def contestants(work: Work) -> list[Contestant]:
    """One for each way to divide the batch, which comes first in Keras: its arrays are `[batch, time, ...]`."""
    layer = _layer(work)
    weights = [variable.value for variable in layer.trainable_variables]
    rest = [variable.value for variable in layer.non_trainable_variables]

    def forward(weights, xs):
        return layer.stateless_call(weights, rest, xs)[0]

    xs, dys = (np.ascontiguousarray(array.swapaxes(0, 1)) for array in (work.xs, work.dys))
    ways = passes.settings(forward, weights, xs, dys, batch_axis=0)
    return [Contestant(PEER, setting, call, lambda result: _read(work, result)) for setting, call in ways.items()]


def _read(work: Work, result) -> dict:
    ys, (dw, du, db), dxs = jax.device_get(result)
    answer = {"ys": ys.swapaxes(0, 1), "xs": dxs.swapaxes(0, 1), "w": dw, "u": du, "b": db}
    hidden = work.shape.hidden
    if work.cell.startswith("gru"):
        answer |= {"w": _reordered(dw), "u": _reordered(du), "b": _reordered(db if db.ndim == 1 else db[0])}
    if work.cell == "gru_reset_after":
        answer["b_n"] = db[1, 2 * hidden :]
    if work.cell == "gru":
        u = answer.pop("u")
        answer |= {"u_rz": u[:, : 2 * hidden], "u_n": u[:, 2 * hidden :]}
    return answer


def _layer(work: Work):
    make, options = LAYERS[work.cell]
    layer = make(work.shape.hidden, return_sequences=True, **options)
    layer.build((work.shape.batch, work.shape.time, work.shape.inputs))
    ours = work.weights
    w, b = ours["w"], ours["b"]
    u = np.concatenate([ours["u_rz"], ours["u_n"]], axis=1) if work.cell == "gru" else ours["u"]
    if work.cell.startswith("gru"):
        w, u, b = _reordered(w), _reordered(u), _reordered(b)
    if work.cell == "gru_reset_after":  # the second row is added to the product with h; ours has its last third
        inside = np.concatenate([np.zeros(2 * work.shape.hidden, np.float32), ours["b_n"]])
        b = np.stack([b, inside])
    layer.set_weights([w, u, b])
    return layer


def _reordered(array: np.ndarray) -> np.ndarray:
    """The gates r, z, n as Keras has them, z, r, n, or back."""
    first, second, last = np.split(array, 3, axis=-1)
    return np.concatenate([second, first, last], axis=-1)
