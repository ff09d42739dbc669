"""Taps: what they see is what a run by hand sees, and the network does not notice them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from examples import assert_close, numbers
from flax import nnx

from seqjax.analysis import Seen, Tapped, network_slots, observe, slots, state_gradients, tapped
from seqjax.cells import CELLS
from seqjax.errors import UserError
from seqjax.models import BidirectionalStack, ManyToMany, ManyToOne, OneHot, Readout, Stack, parameters
from seqjax.models.stack import dropout, fold_in
from seqjax.recurrence import initial_state, unroll

pytestmark = pytest.mark.usefixtures("quick_compilation")

INPUTS, HIDDEN, TIME, BATCH, VOCAB = 3, 4, 6, 2, 5
CLOSE = {"rtol": 1e-11, "atol": 1e-14}
DROPOUT = {"dropout_rate": 0.4, "keys": jax.random.split(jax.random.key(0), BATCH)}


def network(kind=ManyToMany, cell="lstm", layers=2, stack=Stack, seed=0):
    """Drawn in NumPy: nothing to compile."""

    def make_network():
        rngs = nnx.Rngs(0)
        cells = stack(partial(CELLS[cell], hidden=HIDDEN), VOCAB, layers, rngs=rngs)
        return kind(cells, Readout(cells.outputs, VOCAB, rngs=rngs), OneHot(VOCAB))

    leaves, structure = jax.tree.flatten(jax.eval_shape(make_network))
    values = [jnp.asarray(0.5 * numbers([seed, n], *leaf.shape)) for n, leaf in enumerate(leaves)]
    return jax.tree.unflatten(structure, values)


def symbols(seed=0, batch=BATCH):
    return jnp.asarray(np.random.default_rng(seed).integers(0, VOCAB, (TIME, batch)))


def loss(network, symbols, **options):
    """A number that every output enters with a weight of its own."""
    outputs = network(symbols, **options)
    outputs = outputs[1] if isinstance(outputs, tuple) else outputs
    return (jnp.tanh(outputs) * numbers(7, *outputs.shape)).sum()


class Reader(nnx.Module):
    """A cell whose output is not a part of its state."""

    def __init__(self, rngs):
        self.u = nnx.Param(jax.random.normal(rngs.params(), (HIDDEN, HIDDEN)))
        self.v = nnx.Param(jax.random.normal(rngs.params(), (HIDDEN, HIDDEN)))

    def initial_state(self):
        return jnp.zeros(HIDDEN)

    def project(self, x):
        return x

    def step(self, h, z):
        h = jnp.tanh(z + h @ self.u[...])
        return h, h @ self.v[...]

    def __call__(self, h, x):
        return self.step(h, self.project(x))


def test_parameters_do_not_notice(float64):
    """With layers, dropout, resets, lengths and rematerialisation."""
    model, options = network(), {**DROPOUT, "remat": 4, "lengths": jnp.array([4, TIME])}
    options["resets"] = jnp.zeros((TIME, BATCH), bool).at[2, 1].set(True)
    values = parameters.flatten(model)

    def plain(values):
        return loss(parameters.unflatten(model, values), symbols(), **options)

    def with_taps(values, slots):
        return loss(tapped(parameters.unflatten(model, values), slots), symbols(), **options)

    expected = jax.jit(jax.value_and_grad(plain))(values)
    both = jax.jit(jax.value_and_grad(with_taps, argnums=(0, 1)))
    value, (gradients, _) = both(values, network_slots(model, TIME, (BATCH,)))
    assert_close((value, gradients), expected, rtol=1e-13, atol=1e-15)
    assert not any(isinstance(layer, Tapped) for layer in model.stack.layers)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_states_seen_are_those_of_a_run_step_by_step(float64, cell):
    model = network(cell=cell)
    dropped = partial(loss, symbols=symbols(), **DROPOUT)
    value, seen = jax.jit(lambda model: observe(model, dropped, TIME, (BATCH,)))(model)
    np.testing.assert_allclose(value, jax.jit(dropped)(model), rtol=1e-13)
    xs = model.embed(symbols()).dense()
    for number, (layer, layer_seen) in enumerate(zip(model.stack.layers, seen, strict=True)):
        if number:
            xs = dropout(xs, DROPOUT["dropout_rate"], fold_in(DROPOUT["keys"], number))
        state, rows = initial_state(layer, (BATCH,)), []
        step = jax.jit(jax.vmap(layer))
        for x in xs:
            before = state
            state, y = step(state, x)
            rows.append((before, state, layer.project(x), y))
        before, states, z, xs = jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)
        assert_close((layer_seen.before, layer_seen.states, layer_seen.z), (before, states, z), **CLOSE)


def test_the_gradient_of_a_lower_layer_counts_the_layers_above(float64):
    """By finite differences: the lower layer's state after step 2 is nudged, its output with it."""
    model = network(cell="rnn")
    lower, upper = model.stack.layers
    _, (seen, _) = jax.jit(lambda model: observe(model, partial(loss, symbols=symbols()), TIME, (BATCH,)))(model)

    @jax.jit
    def at(nudge):
        h, ys = initial_state(lower, (BATCH,)), []
        for t, x in enumerate(model.embed(symbols()).dense()):
            h, _ = jax.vmap(lower)(h, x)
            h = h + nudge if t == 2 else h
            ys.append(h)
        outputs = model.readout(unroll(upper, jnp.stack(ys))[1])
        return (jnp.tanh(outputs) * numbers(7, *outputs.shape)).sum()

    for index in ((0, 1), (1, 3)):
        nudge = np.zeros((BATCH, HIDDEN))
        nudge[index] = 1e-6
        difference = (at(nudge) - at(-nudge)) / 2e-6
        np.testing.assert_allclose(difference, seen.gradients[2][index], rtol=1e-7)


def test_many_to_one_with_lengths(float64):
    lengths = jnp.array([3, TIME])
    model = network(ManyToOne)
    read = partial(loss, symbols=symbols(), lengths=lengths)
    _, (_, top) = jax.jit(lambda model: observe(model, read, TIME, (BATCH,)))(model)
    memory, hidden = top.gradients
    for example, length in enumerate([3, TIME]):
        assert hidden[:length, example].all() and not hidden[length:, example].any()
        assert memory[: length - 1, example].all() and not memory[length - 1 :, example].any()


def test_an_output_beside_the_state_counts_through_later_states_alone(float64):
    cell, xs = Reader(nnx.Rngs(0)), jnp.asarray(numbers(0, TIME, HIDDEN))
    gradients = state_gradients(cell, lambda ys: ys[3].sum(), xs)
    assert gradients[:3].all() and not gradients[3:].any()


def test_a_batch_divided_among_devices(float64):
    """Under shard_map the slots are divided like the batch."""
    model = network(cell="gru", layers=1)
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec(None, "batch")

    def gradients(symbols, slots):
        return jax.grad(lambda slots: jnp.tanh(tapped(model, slots)(symbols)[1]).sum())(slots)

    divided = jax.shard_map(gradients, mesh=mesh, in_specs=(spec, spec), out_specs=spec, check_vma=False)
    arguments = symbols(), network_slots(model, TIME, (BATCH,))
    assert_close(jax.jit(divided)(*arguments), jax.jit(gradients)(*arguments), **CLOSE)


def test_trials_stacked_under_vmap(float64):
    models = [network(cell="gru", layers=1), network(cell="gru", layers=1, seed=5)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)

    def run(model):
        return observe(model, partial(loss, symbols=symbols()), TIME, (BATCH,))

    together, alone = jax.jit(jax.vmap(run))(stacked), jax.jit(run)
    for number, model in enumerate(models):
        assert_close(jax.tree.map(lambda leaf: leaf[number], together), alone(model), **CLOSE)  # noqa: B023


@pytest.mark.parametrize("inputs", [INPUTS, HIDDEN])
@pytest.mark.parametrize("name", CELLS)
def test_slots_have_the_shapes_of_what_is_seen(name, inputs):
    """The width of the inputs is found, MUT1's with and without a widening matrix too."""
    cell = jax.eval_shape(lambda: CELLS[name](inputs, HIDDEN, rngs=nnx.Rngs(0)))

    def expected(cell, xs):
        state = jax.tree.map(lambda leaf: jnp.stack([leaf] * TIME), initial_state(cell, (BATCH,)))
        return Seen(before=state, states=state, gradients=state, z=cell.project(xs))

    xs = jax.ShapeDtypeStruct((TIME, BATCH, inputs), jnp.float32)
    assert jax.eval_shape(lambda cell: slots(cell, TIME, (BATCH,)), cell) == jax.eval_shape(expected, cell, xs)


def test_errors_are_sentences():
    with pytest.raises(UserError, match="taps need a stack with layers one above the other, not a Bidirectional"):
        network_slots(network(stack=BidirectionalStack), TIME)

    class Summer(Reader):
        def step(self, h, z):
            h = jnp.tanh(z.sum() + h @ self.u[...][:, :HIDDEN])
            return h, h

    cell = Summer(nnx.Rngs(0))
    cell.v = nnx.Param(jnp.zeros((7, 2)))
    with pytest.raises(UserError, match=r"of Summer is unknown, any of \[2, 4, 7\] would do: give it as inputs="):
        slots(cell, TIME)
    assert slots(cell, TIME, inputs=7).z.shape == (TIME, 7)
