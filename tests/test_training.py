"""The training step: what it computes, on one device or two, and how it meets numbers that are not finite."""

import re
import resource

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from seqjax.errors import UserError
from seqjax.models import parameters
from seqjax.training import memory, optimisers
from seqjax.training.loop import check
from seqjax.training.step import CAUSES, Trainer


def train(config, dispatches, devices=1, stop=10_000):
    trainer = Trainer(tiny.task(config), config, jax.devices()[:devices])
    state, measured = trainer.initialise(), []
    for _ in range(dispatches):
        state, metrics = trainer.run(state, stop)
        measured.append(jax.device_get(metrics))
    return trainer, state, {k: np.concatenate([m[k] for m in measured]) for k in measured[0]}


def test_loss_falls_and_starts_at_knowing_nothing():
    trainer, _, measured = train(tiny.config(train__steps=300, schedule__name="constant"), 60)
    assert abs(measured["nats"][0] - trainer.task.measure.baseline) < 0.3
    assert measured["nats"][-5:].mean() < 0.6 * measured["nats"][0]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_two_devices_compute_what_one_does(dropout):
    config = tiny.config(model__dropout=dropout, cell__layers=2)
    _, one, a = train(config, 4, devices=1)
    trainer, two, b = train(config, 4, devices=2)
    assert trainer.mesh.size == 2
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-10)
    for name in one.parameters:
        np.testing.assert_allclose(one.parameters[name], two.parameters[name], rtol=1e-8, atol=1e-12)


def test_a_batch_that_two_devices_cannot_share_uses_one():
    assert Trainer(tiny.task(tiny.config(task__batch=3)), tiny.config(task__batch=3)).mesh.size == 1


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    first, again = train(tiny.config(), 2)[2]["loss"], train(tiny.config(), 2)[2]["loss"]
    np.testing.assert_array_equal(first, again)
    assert (train(tiny.config(seed=1), 2)[2]["loss"] != first).all()


def test_no_steps_are_taken_past_the_end():
    _, at_end, _ = train(tiny.config(), 2, stop=7)
    assert int(at_end.step) == 7
    _, whole, _ = train(tiny.config(train__steps_per_dispatch=1, train__eval_every=1), 7)
    for name in whole.parameters:
        np.testing.assert_allclose(whole.parameters[name], at_end.parameters[name], rtol=1e-5, atol=1e-6)


def test_lanes_read_the_text_in_order_and_start_over():
    config = tiny.config()
    task = tiny.task(config)
    text, lane = task.splits["train"], len(task.splits["train"]) // 4
    assert task.steps_per_epoch == (lane - 1) // 10
    for step in (0, 1, task.steps_per_epoch - 1, task.steps_per_epoch, 3 * task.steps_per_epoch + 2):
        batch = task.batch({"train": jnp.asarray(text)}, jax.random.key(0), jnp.asarray(step), jnp.arange(4))
        place = step % task.steps_per_epoch * 10
        for b in range(4):
            np.testing.assert_array_equal(batch.symbols[:, b], text[b * lane + place :][:11])
        assert bool(batch.wraps) == (place == 0)


@pytest.mark.usefixtures("float64")
def test_state_is_carried_and_gradients_are_not():
    """Two chunks with the state carried have the loss of one long chunk; the gradient is that of the second alone."""
    config = tiny.config()
    task = tiny.task(config)
    trainer = Trainer(task, config)
    network = trainer.network(trainer.initialise().parameters)
    data, lanes = {"train": jnp.asarray(task.splits["train"])}, jnp.arange(4)
    first, second = (task.batch(data, jax.random.key(0), jnp.asarray(step), lanes) for step in (0, 1))
    _, (carry, _) = task.loss(network, task.initial_carry(network, 4), first)
    loss, _ = task.loss(network, carry, second)
    whole = jnp.concatenate([first.symbols[:-1], second.symbols])
    _, logits = network(whole[:-1])
    log_p = jax.nn.log_softmax(logits[10:])
    expected = -jnp.take_along_axis(log_p, whole[11:, :, None], -1).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
    gradient = jax.grad(lambda c: task.loss(network, c, first)[0])(task.initial_carry(network, 4))
    assert all(not g.any() for g in jax.tree.leaves(gradient))  # the first chunk starts over, whatever it is given


@pytest.mark.parametrize(
    ("settings", "cause", "step"),
    [
        ({"optimiser.learning_rate": 1e38, "optimiser.name": "sgd", "clip.name": "none"}, None, None),
        ({"optimiser.learning_rate": float("inf")}, "the update", 1),
    ],
)
def test_a_step_that_is_not_finite_leaves_the_state_as_it_was(settings, cause, step):
    config = tiny.config()
    for key, value in settings.items():
        group, leaf = key.split(".")
        config[group][leaf] = value
    trainer, state, _ = train(config, 1)
    assert int(state.diverged) in CAUSES
    if cause:
        assert (CAUSES[int(state.diverged)], int(state.step) + 1) == (cause, step)
    assert all(bool(jnp.isfinite(value).all()) for value in state.parameters.values())
    steps, kept = int(state.step), jax.device_get(state.parameters)
    state, _ = trainer.run(state, 100)
    assert int(state.step) == steps
    for name, value in kept.items():
        np.testing.assert_array_equal(value, state.parameters[name])


def test_a_loss_that_is_not_finite_is_named_with_its_step():
    config = tiny.config(schedule__name="constant")
    trainer, state, _ = train(config, 1)
    poisoned = {**state.parameters, "readout.b": state.parameters["readout.b"].at[0].set(jnp.nan)}
    state, _ = trainer.run(trainer.place(state.__class__(**{**vars(state), "parameters": poisoned})), 100)
    assert CAUSES[int(state.diverged)] == "the loss"
    assert int(state.step) == 5


REFERENCES = {
    "sgd": lambda c: optax.sgd(0.1),
    "momentum": lambda c: optax.sgd(0.1, momentum=0.9),
    "nesterov": lambda c: optax.sgd(0.1, momentum=0.9, nesterov=True),
    "adagrad": lambda c: optax.adagrad(0.1, initial_accumulator_value=0.0, eps=1e-8),
    "rmsprop": lambda c: optax.rmsprop(0.1, decay=0.95, eps=1e-8, eps_in_sqrt=False),
    "adam": lambda c: optax.adam(0.1),
    "adamw": lambda c: optax.adamw(0.1, weight_decay=0.05),
}


@pytest.mark.parametrize("name", optimisers.OPTIMISERS)
def test_optimisers_are_optax_own(name):
    config = tiny.config(optimiser__name=name, clip__name="none", optimiser__weight_decay=0.05)
    ours, theirs = optimisers.make_optimiser(config, jnp.asarray(1.0)), REFERENCES[name](config)
    values = mine = {"w": jnp.asarray([1.0, -2.0, 3.0])}
    a, b = ours.init(values), theirs.init(values)
    for step in range(5):
        gradients = {"w": jnp.asarray([0.3, -1.0, 2.0]) * (step + 1)}
        updates, a = ours.update(gradients, a, mine, learning_rate=0.1)
        mine = optax.apply_updates(mine, updates)
        updates, b = theirs.update(gradients, b, values)
        values = optax.apply_updates(values, updates)
    np.testing.assert_allclose(mine["w"], values["w"], rtol=1e-6)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("nesterov", [False, True])
def test_dampened_momentum_multiplies_the_rate_by_1_less_it(nesterov):
    """So that settings of unlike momentum take steps of like size, once they go in one direction."""
    momentum, rate = 0.8, 0.1
    settings = {"optimiser__momentum": momentum, "optimiser__dampened": True, "clip__name": "none"}
    config = tiny.config(optimiser__name="nesterov" if nesterov else "momentum", **settings)
    chain = optimisers.make_optimiser(config, jnp.asarray(1.0))
    state = chain.init({"w": jnp.zeros(3)})
    velocity = np.zeros(3)
    for step in range(5):
        gradient = np.asarray([0.3, -1.0, 2.0]) * (step + 1)
        updates, state = chain.update({"w": jnp.asarray(gradient)}, state, learning_rate=rate)
        velocity = momentum * velocity - (1 - momentum) * rate * gradient
        expected = momentum * velocity - (1 - momentum) * rate * gradient if nesterov else velocity
        np.testing.assert_allclose(updates["w"], expected, rtol=1e-12)


@pytest.mark.parametrize(("name", "expected"), [("norm", [0.6, 0.8]), ("element", [1.0, 1.0]), ("none", [3.0, 4.0])])
def test_clipping(name, expected):
    config = tiny.config(optimiser__name="sgd", clip__name=name)
    gradients = {"w": jnp.asarray([3.0, 4.0])}
    chain = optimisers.make_optimiser(config, jnp.asarray(1.0))
    updates, _ = chain.update(gradients, chain.init(gradients), gradients, learning_rate=1.0)
    np.testing.assert_allclose(updates["w"], -np.asarray(expected), rtol=1e-6)
    clipped = optimisers.was_clipped(config, gradients, jnp.asarray(5.0), jnp.asarray(1.0))
    assert bool(clipped) == (name != "none")
    assert not bool(optimisers.was_clipped(config, gradients, jnp.asarray(5.0), jnp.asarray(5.5)))


def test_schedules():
    def factors(steps, steps_per_epoch=10, **settings):
        config = tiny.config(**settings)
        factor = optimisers.schedule(config, steps_per_epoch)
        return [float(factor(step)) for step in steps]

    assert factors([0, 39], schedule__name="constant") == [1, 1]
    np.testing.assert_allclose(factors([0, 20, 40], schedule__name="cosine", schedule__final=0.1), [1, 0.55, 0.1])
    exponential = {"schedule__name": "exponential", "schedule__decay": 0.5, "schedule__begin": 2}
    np.testing.assert_allclose(factors([0, 2, 3, 4], **exponential), [1, 1, 0.5, 0.25])
    epochs = factors([0, 20, 29, 30, 40], schedule__unit="epochs", **exponential)
    np.testing.assert_allclose(epochs, [1, 1, 1, 0.5, 0.25])
    rising = factors([0, 4, 9, 10, 20], schedule__name="constant", schedule__warmup=10)
    np.testing.assert_allclose(rising, [0.1, 0.5, 1, 1, 1], rtol=1e-6)


def test_the_learning_rate_is_data_of_the_program():
    """Runs that differ in learning rate, clipping threshold or seed share one compilation."""
    compiled = []
    for settings in ({}, {"optimiser__learning_rate": 0.1, "clip__value": 2.0, "seed": 3}):
        config = tiny.config(**settings)
        trainer = Trainer(tiny.task(config), config)
        compiled.append(trainer._run.lower(*trainer._arguments(trainer.initialise(), 5)).as_text())
    assert compiled[0] == compiled[1]


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("optimiser.name", "adamm", "unknown optimiser.name 'adamm'; did you mean 'adam'?"),
        ("clip.name", "norms", "unknown clip.name 'norms'; did you mean 'norm'?"),
        ("schedule.name", "cos", "unknown schedule.name 'cos'; did you mean 'cosine'?"),
        ("optimiser.learning_rate", -1.0, "'optimiser.learning_rate' is -1.0; it should be at least 0"),
        ("optimiser.learning_rate", float("nan"), "'optimiser.learning_rate' is nan"),
        ("train.steps", 0, "'train.steps' is 0; it should be at least 1"),
        ("train.eval_every", 7, "train.eval_every is 7; it should be a multiple of train.steps_per_dispatch, 5"),
        ("model.dropout", 1.0, "'model.dropout' is 1.0; it should be under 1"),
        ("seed", -1, "'seed' is -1; it should be at least 0"),
    ],
)
def test_values_out_of_range(key, value, sentence):
    config = tiny.config()
    group, _, leaf = key.rpartition(".")
    (config[group] if group else config)[leaf] = value
    with pytest.raises(UserError) as raised:
        check(config)
    assert sentence in str(raised.value)


def test_weights_of_another_shape_are_refused():
    config = tiny.config()
    trainer = Trainer(tiny.task(config), config)
    values = {name: np.asarray(v) for name, v in trainer.initialise().parameters.items()}
    with pytest.raises(UserError, match=r"the parameter readout.b has the shape \(3,\)"):
        trainer.initialise({**values, "readout.b": np.zeros(3)})
    assert parameters.count(trainer.template) == sum(v.size for v in values.values())


def set_address_space(patch, tmp_path, limit):
    """A real one: more than this process has, less than the machine."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def set_container(patch, tmp_path, limit):
    patch.setattr(memory, "CGROUP", tmp_path / "memory.max")
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    return lambda: None


@pytest.mark.parametrize("set_limit", [set_address_space, set_container])
def test_a_network_larger_than_the_memory_is_refused_in_a_sentence(set_limit, monkeypatch, tmp_path):
    undo = set_limit(monkeypatch, tmp_path, 12_000_000_000)
    try:
        assert memory.limit(jax.devices()[0]) == 12_000_000_000
        config = tiny.config(cell__name="lstm", cell__hidden=15_000, optimiser__name="adam")
        with pytest.raises(UserError) as raised:
            Trainer(tiny.task(config), config)
    finally:
        undo()
    sentence = re.fullmatch(r"([\d,]+) weights, .* take ([\d.]+) GB, more than the 12.0 GB there .*", str(raised.value))
    count, needed = (float(part.replace(",", "")) for part in sentence.groups())
    weights = 4 * 15_000**2  # of the recurrence; Adam keeps two numbers for each weight, and each has a gradient
    assert weights < count < 1.02 * weights
    assert needed == pytest.approx(16 * count / 1e9, abs=0.1)


def test_a_container_without_a_limit_has_the_machines_memory(monkeypatch, tmp_path):
    machine = memory.limit(jax.devices()[0])
    set_container(monkeypatch, tmp_path, "max")
    assert memory.limit(jax.devices()[0]) == machine
