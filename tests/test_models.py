"""Stacks of cells, dropout, and the networks built from them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from examples import assert_close, numbers, perturbed
from flax import nnx

from seqjax.cells import CELLS
from seqjax.errors import UserError
from seqjax.models import (
    BidirectionalStack,
    Embedding,
    ManyToMany,
    ManyToOne,
    OneHot,
    OneToMany,
    OneToOne,
    Readout,
    Stack,
    TiedReadout,
    parameters,
)
from seqjax.models.stack import dropout
from seqjax.recurrence import unroll

pytestmark = pytest.mark.usefixtures("quick_compilation")

INPUTS, HIDDEN, TIME, BATCH, VOCAB = 3, 4, 6, 2, 5
CLOSE = {"rtol": 1e-12, "atol": 1e-13}


def rngs():
    return nnx.Rngs(0)


def stack(kind=Stack, cell="rnn", inputs=INPUTS, hidden=HIDDEN, layers=2):
    return perturbed(kind(partial(CELLS[cell], hidden=hidden), inputs, layers, rngs=rngs()))


def sequence(time=TIME, *batch):
    return jnp.asarray(numbers(0, time, *(batch or (BATCH,)), INPUTS))


def symbols(time=TIME):
    return jnp.asarray(np.random.default_rng(0).integers(0, VOCAB, (time, BATCH)))


def keys(count=BATCH, seed=0):
    return jax.random.split(jax.random.key(seed), count)


# Stacks


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_stack_is_one_unroll_after_the_other(float64, cell):
    layers = stack(cell=cell)
    options = {"resets": jnp.asarray(numbers(1, TIME, BATCH) > 1), "lengths": jnp.array([4, TIME]), "remat": 4}
    state, ys = layers.unroll(sequence(), **options)
    xs, states = sequence(), []
    for layer in layers.layers:
        last, xs = unroll(layer, xs, **options)
        states.append(last)
    assert_close((state, ys), (tuple(states), xs), rtol=0)
    assert layers.outputs == ys.shape[-1] == HIDDEN


def test_stack_carries_its_state_from_chunk_to_chunk(float64):
    layers, xs = stack(cell="lstm"), sequence()
    state, first = layers.unroll(xs[:4], layers.initial_state((BATCH,)))
    state, second = layers.unroll(xs[4:], state)
    assert_close((state, jnp.concatenate([first, second])), layers.unroll(xs), **CLOSE)


def test_layers_have_weights_of_their_own():
    layers = Stack(partial(CELLS["rnn"], hidden=HIDDEN), HIDDEN, 2, rngs=rngs()).layers
    assert not np.allclose(layers[0].u[...], layers[1].u[...])


def test_bidirectional_stack_is_a_run_in_each_direction(float64):
    layers, lengths = stack(BidirectionalStack), jnp.array([4, TIME])
    states, ys = layers.unroll(sequence(), lengths=lengths)
    xs, expected = sequence(), []
    for forward, backward in zip(layers.forward, layers.backward, strict=True):
        ahead, left = unroll(forward, xs, lengths=lengths)
        back, right = unroll(backward, xs, lengths=lengths, reverse=True)
        xs = jnp.concatenate([left, right], axis=-1)
        expected.append((ahead, back))
    assert_close((states, ys), (tuple(expected), xs), rtol=0)
    assert layers.outputs == ys.shape[-1] == 2 * HIDDEN


@pytest.mark.parametrize("kind", [Stack, BidirectionalStack])
def test_padding_changes_nothing(float64, kind):
    layers, xs = stack(kind), sequence()
    xs = xs.at[4:, 0].set(jnp.nan)
    lengths = jnp.array([4, TIME])
    _, ys = layers.unroll(xs, lengths=lengths)
    for example, length in enumerate([4, TIME]):
        alone = layers.unroll(xs[:length, example])[1]
        assert_close(ys[:length, example], alone, **CLOSE)
        assert_close(layers.last(ys, lengths)[example], layers.last(alone), **CLOSE)
    assert not ys[4:, 0].any()


@pytest.mark.parametrize("kind", [Stack, BidirectionalStack])
def test_documents_do_not_see_each_other(float64, kind):
    layers, xs = stack(kind), sequence()
    resets = jnp.zeros((TIME, BATCH), bool).at[2].set(True).at[5].set(True)
    _, ys = layers.unroll(xs, resets=resets)
    pieces = [layers.unroll(xs[piece])[1] for piece in (slice(0, 2), slice(2, 5), slice(5, 6))]
    assert_close(ys, jnp.concatenate(pieces), **CLOSE)


def test_last_of_both_directions_has_read_everything(float64):
    layers = stack(BidirectionalStack, layers=1)
    states, ys = layers.unroll(sequence())
    assert_close(layers.last(ys), jnp.concatenate(states[0], axis=-1), rtol=0)


# Dropout


def test_dropout_of_rate_0_is_the_identity(float64):
    assert_close(dropout(sequence(), 0.0, keys()), sequence(), rtol=0)
    plain = stack().unroll(sequence())
    assert_close(stack().unroll(sequence(), dropout_rate=0.0, keys=keys()), plain, rtol=0)


def test_dropout_keeps_the_mean_and_drops_at_its_rate():
    dropped = dropout(jnp.ones((100, 50, 20)), 0.3, keys(50))
    assert set(np.unique(dropped)) == {0, np.float32(1 / 0.7)}
    assert np.mean(dropped) == pytest.approx(1, abs=4 * np.sqrt(0.3 / 0.7 / dropped.size))


def test_an_examples_mask_does_not_depend_on_its_batch():
    xs = jnp.ones((TIME, 8, 20))
    together = dropout(xs, 0.5, keys(8))
    assert_close(dropout(xs[:, 3:5], 0.5, keys(8)[3:5]), together[:, 3:5], rtol=0)
    assert_close(dropout(xs[:, 3], 0.5, keys(8)[3]), together[:, 3], rtol=0)
    assert_close(dropout(xs.reshape(TIME, 2, 4, 20), 0.5, keys(8).reshape(2, 4)).reshape(xs.shape), together, rtol=0)
    assert not np.array_equal(together[:, 0], together[:, 1])


@pytest.mark.parametrize("kind", [Stack, BidirectionalStack])
def test_dropout_stands_between_layers_and_not_in_the_recurrence(float64, kind):
    """One layer is never dropped; in two, the first's states are those without dropout, the second's are not."""
    xs, options = sequence(), {"dropout_rate": 0.5, "keys": keys()}
    one, two = stack(kind, layers=1), stack(kind)
    assert_close(one.unroll(xs, **options), one.unroll(xs), rtol=0)
    dropped, plain = two.unroll(xs, **options)[0], two.unroll(xs)[0]
    assert_close(dropped[0], plain[0], rtol=0)
    assert not any(np.allclose(*pair) for pair in zip(*map(jax.tree.leaves, (dropped[1], plain[1])), strict=True))


def test_each_layer_has_a_mask_of_its_own(float64):
    """Layers that copy their input show their masks: what passes two of them was kept by both."""

    class Copy(nnx.Module):
        def __init__(self, inputs, rngs):
            self.scale = nnx.Param(jnp.ones(inputs))

        def initial_state(self):
            return jnp.zeros_like(self.scale[...])

        def project(self, x):
            return x

        def step(self, h, z):
            return h, self.scale[...] * z

        def __call__(self, h, x):
            return self.step(h, self.project(x))

    xs = jnp.ones((50, BATCH, 20))
    _, twice = Stack(Copy, 20, 3, rngs=rngs()).unroll(xs, dropout_rate=0.5, keys=keys())
    _, once = Stack(Copy, 20, 2, rngs=rngs()).unroll(xs, dropout_rate=0.5, keys=keys())
    network = ManyToMany(Stack(Copy, 20, 3, rngs=rngs()), lambda ys, embed: ys)
    _, thrice = network(xs, dropout_rate=0.5, keys=keys())
    for ys, kept in (once, 1 / 2), (twice, 1 / 4), (thrice, 1 / 8):
        assert np.mean(ys != 0) == pytest.approx(kept, abs=4 * np.sqrt(kept / ys.size))


# Networks


def test_one_to_one_is_a_single_step(float64):
    network = OneToOne(stack(layers=1), perturbed(Readout(HIDDEN, 2, rngs=rngs())))
    x, cell = sequence()[0], network.stack.layers[0]
    h = jnp.stack([cell(cell.initial_state(), one)[1] for one in x])
    assert_close(network(x), h @ network.readout.w[...] + network.readout.b[...], **CLOSE)


def test_one_to_many_fed_with_its_own_outputs_is_the_free_run(float64):
    network = perturbed(OneToMany(stack(cell="lstm"), Readout(HIDDEN, 2, rngs=rngs()), INPUTS, 2, rngs=rngs()))
    x = sequence()[0]
    free = network(x, TIME)
    assert free.shape == (TIME, BATCH, 2)
    assert_close(network(x, TIME, targets=free), free, **CLOSE)
    assert_close(network(x, TIME, targets=free.at[TIME - 1].set(jnp.nan)), free, **CLOSE)  # is never read
    assert not np.allclose(network(x, TIME, targets=free + 1)[1:], free[1:])


@pytest.mark.parametrize("kind", [Stack, BidirectionalStack])
def test_many_to_one_reads_the_last_valid_step(float64, kind):
    layers = stack(kind)
    network = ManyToOne(layers, perturbed(Readout(layers.outputs, 2, rngs=rngs())))
    xs = sequence().at[4:, 0].set(jnp.nan)
    lengths = jnp.array([4, TIME])
    alone = jnp.stack([network(xs[:length, example]) for example, length in enumerate([4, TIME])])
    assert_close(network(xs, lengths=lengths), alone, **CLOSE)
    gradient = jax.jit(jax.grad(lambda xs: network(xs, lengths=lengths).sum()))(xs)
    assert not gradient[4:, 0].any() and gradient[:4, 0].all() and gradient[:, 1].all()


def test_many_to_one_drops_what_it_reads():
    layers = stack(layers=1, hidden=200)
    network = ManyToOne(layers, lambda h, embed: h)
    plain, dropped = network(sequence()), network(sequence(), dropout_rate=0.5, keys=keys())
    assert np.mean(dropped == 0) == pytest.approx(0.5, abs=0.1)
    assert_close(dropped[dropped != 0], 2 * plain[dropped != 0], rtol=1e-6)


def test_an_embedding_is_dropped_where_it_says_so():
    """At a rate that may be traced, each number by itself, what is left scaled up; not at all without a rate."""

    def seen(dropped, rate):
        embed = Embedding(VOCAB, 200, rngs=rngs(), dropped=dropped)
        layers = stack(inputs=200, hidden=200, layers=1)
        layers.unroll = lambda xs, **options: ((), xs)
        network = ManyToOne(layers, lambda h, embed: h, embed)
        options = {} if rate is None else {"dropout_rate": rate, "keys": keys(8)}
        return network(jnp.zeros((1, 8), int), **options), embed.table[0]

    once, row = jax.jit(partial(seen, False))(0.5)
    twice, _ = jax.jit(partial(seen, True))(0.5)
    assert np.mean(once != 0) == pytest.approx(1 / 2, abs=0.05)
    assert np.mean(twice != 0) == pytest.approx(1 / 4, abs=0.05)  # as embedding and as what is read: two masks
    assert_close(twice[twice != 0], jnp.broadcast_to(4 * row, (8, 200))[twice != 0], rtol=1e-6)
    assert_close(seen(True, None)[0], jnp.broadcast_to(row, (8, 200)), rtol=1e-6)


@pytest.mark.parametrize("embedding", ["one-hot", "learned", "tied"])
def test_many_to_many_embeds_runs_and_reads(float64, embedding):
    embed = OneHot(VOCAB) if embedding == "one-hot" else Embedding(VOCAB, HIDDEN, rngs=rngs())
    layers = stack(inputs=embed.width)
    readout = TiedReadout(HIDDEN, embed) if embedding == "tied" else Readout(HIDDEN, VOCAB, rngs=rngs())
    network = perturbed(ManyToMany(layers, readout, embed))
    vectors = jnp.eye(VOCAB) if embedding == "one-hot" else network.embed.table[...]
    w = vectors.T if embedding == "tied" else network.readout.w[...]
    state, ys = network.stack.unroll(vectors[symbols()])
    assert_close(network(symbols()), (state, ys @ w + network.readout.b[...]), **CLOSE)
    half, _ = network(symbols()[:3])
    assert_close(network(symbols()[3:], half)[0], state, **CLOSE)


def test_many_to_many_takes_a_bidirectional_stack(float64):
    layers = stack(BidirectionalStack)
    network = ManyToMany(layers, Readout(layers.outputs, 2, rngs=rngs()))
    assert network(sequence())[1].shape == (TIME, BATCH, 2)


def test_tied_weights_are_one_matrix_with_the_gradient_of_both_uses(float64):
    embed = Embedding(VOCAB, HIDDEN, rngs=rngs())
    tied = ManyToMany(stack(inputs=HIDDEN), TiedReadout(HIDDEN, embed), embed)
    untied = ManyToMany(stack(inputs=HIDDEN), Readout(HIDDEN, VOCAB, rngs=rngs()), embed)
    untied.readout.w = nnx.Param(embed.table[...].T)
    assert parameters.count(untied) - parameters.count(tied) == VOCAB * HIDDEN
    weights = numbers(5, TIME, BATCH, VOCAB)
    gradient = jax.jit(jax.grad(lambda network: jnp.sum(network(symbols())[1] * weights)))
    one, two = gradient(tied), gradient(untied)
    assert_close(one.embed.table[...], two.embed.table[...] + two.readout.w[...].T, **CLOSE)
    assert two.embed.table[...].any() and two.readout.w[...].any()


def test_an_embedding_starts_as_wide_as_1_over_its_width():
    table = np.asarray(Embedding(500, 64, rngs=rngs()).table[...])
    assert table.std() == pytest.approx(1 / 8, rel=0.02)


def test_tied_weights_need_a_learned_embedding_of_the_right_width():
    with pytest.raises(UserError, match="tied weights need a learned embedding"):
        TiedReadout(HIDDEN, OneHot(VOCAB))
    with pytest.raises(UserError, match="an embedding as wide as the hidden state: 3 is not 4"):
        TiedReadout(HIDDEN, Embedding(VOCAB, 3, rngs=rngs()))


# Parameters


def network():
    return perturbed(
        ManyToMany(stack(cell="gru", inputs=2), Readout(HIDDEN, VOCAB, rngs=rngs()), Embedding(VOCAB, 2, rngs=rngs()))
    )


def test_parameters_are_named_by_their_path():
    names = list(parameters.flatten(network()))
    assert names == sorted(names)
    assert {"embed.table", "readout.w", "readout.b", "stack.layers.0.u_rz", "stack.layers.1.b"} <= set(names)


@pytest.mark.parametrize("through", [lambda a: a, np.asarray], ids=["as they are", "through NumPy"])
def test_flatten_and_unflatten_are_inverse(through):
    original, flat = network(), parameters.flatten(network())
    other = jax.tree.map(jnp.zeros_like, original)
    rebuilt = parameters.unflatten(other, {name: through(value) for name, value in reversed(flat.items())})
    assert_close(rebuilt, original, rtol=0)
    assert_close(rebuilt(symbols()), original(symbols()), rtol=0)
    assert not any(leaf.any() for leaf in jax.tree.leaves(other))


def test_parameters_that_do_not_fit_are_named():
    flat = parameters.flatten(network())
    with pytest.raises(UserError, match=r"missing \['readout.b'\], left over \['readout.c'\]"):
        parameters.unflatten(network(), {name.replace("out.b", "out.c"): value for name, value in flat.items()})
    with pytest.raises(UserError, match=r"the parameter readout.b has the shape \(6,\), this network's has \(5,\)"):
        parameters.unflatten(network(), flat | {"readout.b": np.zeros(VOCAB + 1)})


def test_count_is_the_number_of_numbers():
    gru = 3 * HIDDEN * (2 + HIDDEN + 1) + 3 * HIDDEN * (HIDDEN + HIDDEN + 1)
    assert parameters.count(network()) == gru + VOCAB * 2 + (HIDDEN + 1) * VOCAB
    assert parameters.count(network()) == sum(value.size for value in parameters.flatten(network()).values())
