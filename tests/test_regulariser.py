"""Pascanu's regulariser against its formula, and what it does to a training step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import test_sequence_tasks
import tiny
from examples import DISTINCT, make, numbers
from flax import nnx

from seqjax.analysis import observe
from seqjax.cells import CELLS
from seqjax.errors import UserError
from seqjax.models import ManyToOne, Readout, Stack
from seqjax.models.parameters import flatten
from seqjax.tasks import find_task
from seqjax.training import loop
from seqjax.training.regulariser import VANISHED, omega
from seqjax.training.step import Trainer

TIME, BATCH, HIDDEN = 6, 5, 4
SLOPES = {"tanh": lambda h: 1 - h**2, "sigmoid": lambda h: h * (1 - h), "relu": lambda h: h > 0, "linear": np.ones_like}


def network_of(cell):
    stack = Stack(lambda inputs, rngs: cell, 3, 1, rngs=nnx.Rngs(0))
    return ManyToOne(stack, Readout(HIDDEN, 2, rngs=nnx.Rngs(1)))


def observed(cell):
    network, xs = network_of(cell), jnp.asarray(numbers(0, TIME, BATCH, 3))
    return network, observe(network, lambda network: (network(xs) ** 2).mean(), TIME, (BATCH,))[1]


def omega_in_numpy(u, states, gradients, slope):
    """The formula, one term at a time."""
    terms = []
    for h, d in zip(states.reshape(-1, HIDDEN), gradients.reshape(-1, HIDDEN), strict=True):
        if d @ d >= VANISHED:
            jacobian = np.diag(slope(h)) @ u.T  # dh_k / dh_{k-1}
            back = d @ jacobian
            terms.append((back @ back / (d @ d) - 1) ** 2)
    return np.mean(terms)


@pytest.mark.parametrize("activation", SLOPES)
def test_equals_its_formula_and_only_the_recurrent_matrix_is_differentiated(float64, activation):
    cell = make("rnn", 3, HIDDEN, activation=activation)
    network, seen = observed(cell)
    states, gradients = np.asarray(seen[0].states), np.asarray(seen[0].gradients)

    def formula(u):
        return omega_in_numpy(u, states, gradients, SLOPES[activation])

    u = np.asarray(cell.u[...])
    np.testing.assert_allclose(omega(network, seen), formula(u), rtol=1e-10)
    found = flatten(jax.grad(lambda network: omega(network, seen))(network))
    by_differences = np.zeros_like(u)
    for place in np.ndindex(*u.shape):
        step = np.zeros_like(u)
        step[place] = 1e-6
        by_differences[place] = (formula(u + step) - formula(u - step)) / 2e-6
    np.testing.assert_allclose(found.pop("stack.layers.0.u"), by_differences, rtol=1e-6, atol=1e-8)
    assert not any(value.any() for value in found.values())


def test_is_zero_where_the_gradient_keeps_its_length(float64):
    cell = CELLS["rnn"](3, HIDDEN, rngs=nnx.Rngs(0), activation="linear")  # orthogonal
    assert omega(*observed(cell)) < 1e-20


def test_gradients_that_have_vanished_are_left_out():
    cell = make("rnn", 3, HIDDEN, activation="linear")
    network, seen = observed(cell)
    gone = jax.tree.map(lambda d: d.at[: TIME // 2].set(1e-12), seen[0].gradients)
    late = jax.tree.map(lambda leaf: leaf[TIME // 2 :], seen[0])
    np.testing.assert_allclose(omega(network, (seen[0]._replace(gradients=gone),)), omega(network, (late,)), rtol=1e-5)
    none = seen[0]._replace(gradients=0 * seen[0].gradients)
    assert omega(network, (none,)) == 0
    assert np.isfinite(jax.grad(lambda network: omega(network, (none,)))(network).stack.layers[0].u[...]).all()


@pytest.mark.parametrize("name", [name for name in DISTINCT if name != "rnn"])
def test_a_gated_cell_is_penalised_for_the_stretch_of_its_whole_state(float64, name):
    cell = make(name, 3, HIDDEN)
    network, seen = observed(cell)
    terms = []
    for t, b in np.ndindex(TIME, BATCH):
        before, z, d = jax.tree.map(lambda a: a[t, b], (seen[0].before, seen[0].z, seen[0].gradients))  # noqa: B023
        jacobian = jax.jacobian(lambda flat: jax.flatten_util.ravel_pytree(cell.step(unravel(flat), z)[0])[0])  # noqa: B023
        flat, unravel = jax.flatten_util.ravel_pytree(before)
        d = jax.flatten_util.ravel_pytree(d)[0]
        back = d @ jacobian(flat)
        if d @ d >= VANISHED:
            terms.append((back @ back / (d @ d) - 1) ** 2)
    np.testing.assert_allclose(omega(network, seen), np.mean(terms), rtol=1e-8)


def trained(weight, name="pascanu", devices=None, **settings):
    """Parameters after two steps, and the metrics."""
    config = test_sequence_tasks.config_of("temporal_order", cell__name="rnn", regulariser__name=name, **settings)
    config.regulariser.weight = weight
    config.train.steps_per_dispatch = 2
    task = find_task("temporal_order").from_corpus(config, None)
    trainer = Trainer(task, config, devices)
    state, metrics = trainer.run(trainer.initialise(), 2)
    return state.parameters, metrics


def test_a_step_with_it_differs_by_its_gradient_and_a_weight_of_zero_changes_nothing():
    sgd = {"optimiser__name": "sgd", "clip__name": "none", "optimiser__learning_rate": 0.1}
    without, _ = trained(1.0, "none", **sgd)
    with_none, metrics = trained(0.0, **sgd)
    with_some, _ = trained(3.0, **sgd)
    for name, value in without.items():
        np.testing.assert_allclose(with_none[name], value, rtol=1e-6, atol=1e-8)
    assert abs(with_some["stack.layers.0.u"] - without["stack.layers.0.u"]).max() > 1e-3
    assert (metrics["omega"] > 0).all()


def test_divided_among_devices_it_is_the_same_also_where_gradients_have_vanished():
    """Over 200 steps from N(0, .1) most gradients are under the bound, some lanes' sooner than others'."""
    start = {"init__kernel": "normal", "init__kernel_scale": 0.1, "init__recurrent": "normal"}
    long = {"task__length": 200, "cell__hidden": 20, "init__recurrent_scale": 0.1, **start}
    whole, measured = trained(4.0, devices=jax.devices()[:1], **long)
    divided, measured_apart = trained(4.0, devices=jax.devices()[:2], **long)
    np.testing.assert_allclose(measured_apart["omega"], measured["omega"], rtol=1e-5)
    for name, value in whole.items():
        np.testing.assert_allclose(divided[name], value, rtol=2e-4, atol=1e-6)


def test_an_unknown_one_is_answered_with_the_nearest_right_one():
    config = test_sequence_tasks.config_of("latch", regulariser__name="pascau")
    with pytest.raises(UserError, match=r"unknown regulariser.name 'pascau'; did you mean 'pascanu'"):
        loop.check(config)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_any_run_can_have_it(cell):
    """Layers, dropout, a state carried from chunk to chunk: a weight of zero trains what no regulariser trains."""
    values = {}
    for name in ("none", "pascanu"):
        config = tiny.config(cell__name=cell, cell__layers=2, model__dropout=0.2, regulariser__name=name)
        config.regulariser.weight = 0.0
        trainer = Trainer(tiny.task(config), config)
        state, metrics = trainer.run(trainer.initialise(), 5)
        values[name] = jax.device_get(state.parameters)
    assert np.isfinite(metrics["omega"]).all() and (metrics["omega"] > 0).all()
    for name, value in values["none"].items():
        np.testing.assert_allclose(values["pascanu"][name], value, rtol=1e-3, atol=1e-6)
