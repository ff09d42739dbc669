"""What is read of a network is what its cells do, step by step."""

import io

import jax
import numpy as np
import pytest
import tiny
from examples import DISTINCT, numbers
from flax import nnx

from seqjax.cells import CELLS
from seqjax.errors import UserError
from seqjax.interpret import reading
from seqjax.interpret.reading import part_names, read
from seqjax.models import ManyToMany, parameters
from seqjax.models.networks import OneHot, Readout
from seqjax.models.stack import BidirectionalStack

pytestmark = pytest.mark.usefixtures("quick_compilation")

TIME = 40
PARTS = {name: ["h"] for name in CELLS} | {"lstm": ["h", "c"], "nas": ["h", "c"], "lru": ["real", "imaginary"]}
PARTS["lstm_peephole_fgr"] = ["h", "c1", "c2", "c3", "c4"]


def network_of(layers=2, **settings):
    """Drawn in NumPy: nothing to compile."""
    task = tiny.task(tiny.config(cell__layers=layers, **settings))
    leaves, structure = jax.tree.flatten(jax.eval_shape(lambda: task.network(nnx.Rngs(0))))
    drawn = [np.float32(0.5 * numbers(n, *leaf.shape)) for n, leaf in enumerate(leaves)]
    return jax.tree.unflatten(structure, [jax.numpy.asarray(leaf) for leaf in drawn])


def symbols(time=TIME):
    return np.random.default_rng(0).integers(0, 12, time)


@jax.jit
def one_step(network, states, symbol):
    """The definition: `cell(state, x)` of each layer, the output of one being the input of the next."""
    x = network.embed(symbol[None])
    x = (x.dense() if hasattr(x, "dense") else x)[0]
    new_states, seen = [], []
    for cell, state in zip(network.stack.layers, states, strict=True):
        gates = cell.gates(state, cell.project(x)) if hasattr(cell, "gates") else {}
        state, x = cell(state, x)
        new_states.append(state)
        seen.append(dict(zip(part_names(cell), jax.tree.leaves(state), strict=True)) | gates)
    return new_states, seen, network.readout(x, network.embed)


def step_by_step(network, text):
    """What each layer holds after each symbol, by name, and the logits."""
    states, steps, logits = list(network.stack.initial_state()), [], []
    for symbol in text:
        states, seen, ahead = one_step(network, states, symbol)
        steps.append(seen)
        logits.append(ahead)
    return jax.tree.map(lambda *values: np.stack(values), *steps), np.stack(logits)


@pytest.mark.parametrize("name", DISTINCT)
def test_equals_the_cell_run_step_by_step(monkeypatch, name):
    monkeypatch.setattr(reading, "WINDOW", 16)  # two whole windows and a part of one
    network = network_of(cell__name=name)
    expected, logits = step_by_step(network, symbols())
    seen = read(network, symbols())
    assert len(seen.layers) == 2
    for layer, of in zip(seen.layers, expected, strict=True):
        assert list(layer)[: len(PARTS[name])] == PARTS[name]
        assert layer.keys() == of.keys()
        for part in layer:
            np.testing.assert_allclose(layer[part], of[part], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(seen.logits, logits, rtol=1e-4, atol=1e-5)


def test_the_memory_of_an_lstm_is_not_its_hidden_state():
    """h = o * tanh(c), with the names that the page shows."""
    for layer in read(network_of(cell__name="lstm"), symbols()).layers:
        assert list(layer)[:2] == ["h", "c"]
        np.testing.assert_allclose(layer["h"], layer["output"] * np.tanh(layer["c"]), rtol=1e-4, atol=1e-6)


def test_an_embedding_and_tied_weights():
    network = network_of(cell__name="gru", model__embedding=8, model__tied=True)
    expected, logits = step_by_step(network, symbols(10))
    seen = read(network, symbols(10))
    np.testing.assert_allclose(seen.layers[1]["h"], expected[1]["h"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(seen.logits, logits, rtol=1e-4, atol=1e-5)


def test_the_surprise_is_the_loss_of_the_task():
    made = tiny.config()
    task, network = tiny.task(made), network_of(layers=1)
    text = symbols(200)
    nats = read(network, text, gates=False).nats
    assert np.isnan(nats[0])
    assert nats[1:].mean() == pytest.approx(task.score(network, text)["nats"], rel=1e-5)


def test_a_sure_network_has_no_surprise_and_no_overflow():
    network = network_of(layers=1)
    values = parameters.flatten(network)
    (bias,) = [name for name in values if "readout" in name and name.endswith("b")]
    values[bias] = values[bias].at[3].set(1e4)
    nats = read(parameters.unflatten(network, values), np.array([3, 3, 0])).nats
    assert nats[1] == 0
    assert nats[2] == pytest.approx(1e4, rel=1e-2)


def test_without_gates_the_states_are_the_same():
    network = network_of(cell__name="lstm")
    with_gates, without = read(network, symbols()), read(network, symbols(), gates=False)
    for layer, bare in zip(with_gates.layers, without.layers, strict=True):
        assert list(bare) == ["h", "c"]
        for part in bare:
            np.testing.assert_allclose(bare[part], layer[part], atol=1e-6)


def test_columns_make_a_table_that_numpy_keeps():
    seen = read(network_of(cell__name="gru"), symbols())
    file = io.BytesIO()
    np.savez_compressed(file, **seen.columns())
    file.seek(0)
    with np.load(file, allow_pickle=False) as saved:
        assert set(saved) == {"symbols", "nats"} | {f"layer{n}.{p}" for n in (1, 2) for p in ("h", "reset", "update")}
        np.testing.assert_array_equal(saved["layer2.h"], seen.layers[1]["h"])
        assert all(len(column) == TIME for column in saved.values())


def test_a_cell_with_two_memories_beside_its_output():
    class Slow(CELLS["rnn"]):
        def initial_state(self):
            h = super().initial_state()
            return h, h, h

        def step(self, state, z):
            h, y = super().step(state[0], z)
            return (h, 0.9 * state[1] + h, 0.99 * state[2] + h), y

    cell = Slow(3, 4, rngs=nnx.Rngs(0))
    assert part_names(cell) == ("h", "c1", "c2")


@pytest.mark.parametrize("time", [1, 2])
def test_short_texts(time):
    seen = read(network_of(), symbols(time))
    assert seen.nats.shape == (time,)


def test_what_cannot_be_read(unannotated):
    with pytest.raises(UserError, match="an empty text has nothing to read"):
        read(network_of(), symbols(0))
    make = lambda inputs, rngs: CELLS["gru"](inputs, 4, rngs=rngs)  # noqa: E731
    stack = BidirectionalStack(make, 12, 1, rngs=nnx.Rngs(0))
    network = ManyToMany(stack, Readout(8, 12, rngs=nnx.Rngs(0)), OneHot(12))
    with pytest.raises(UserError, match="layers one above the other, not a BidirectionalStack"):
        read(network, symbols())
