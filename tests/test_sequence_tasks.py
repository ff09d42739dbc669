"""The pathological problems: what a sequence looks like, what the trivial answer scores, and how answers are scored."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from flax import nnx
from ml_collections import ConfigDict

from seqjax.config import load_config, override
from seqjax.errors import UserError
from seqjax.tasks import find_task
from seqjax.training.step import Trainer
from seqjax.training.trial import identity, resolve

LENGTH = 40
MANY = 4000
VARIANTS = ("adding", "copy_memory", "temporal_order", "temporal_order_3", "latch", "parity", "permutation")
pytestmark = pytest.mark.usefixtures("quick_compilation")
every_problem = pytest.mark.parametrize("variant", VARIANTS)


def config_of(variant, **settings):
    config, _ = load_config(f"configs/pathological.py:{variant}")
    small = {"task.length": LENGTH, "task.batch": 4, "task.evaluation": 100, "cell.hidden": 5}
    for key, value in {**small, **{key.replace("__", "."): value for key, value in settings.items()}}.items():
        override(config, key, value)
    return config


def problem(variant, **settings):
    config = config_of(variant, **settings)
    return find_task(config.task.name).from_corpus(config, None)


def examples(task, count=MANY, seed=0):
    """`(inputs [count, time, ...], target [count, ...], length [count] or None)` as NumPy arrays."""
    keys = jax.random.split(jax.random.key(seed), count)
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(task.example))(keys))


def uniform_over(values, places):
    """Whether integers fall on all of `places` and on nothing else, each about as often (5 standard deviations)."""
    counts = np.array([(values == place).sum() for place in places])
    expected = len(values) / len(places)
    return counts.sum() == len(values) and (abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_adding_as_arjovsky_has_a_mark_in_each_half_and_the_sum_as_target():
    inputs, target, length = examples(problem("adding"))
    values, marks = inputs[..., 0], inputs[..., 1]
    assert length is None
    assert values.min() >= 0 and values.max() <= 1 and abs(values.mean() - 0.5) < 0.01
    assert set(np.unique(marks)) == {0, 1}
    assert (marks[:, : LENGTH // 2].sum(1) == 1).all() and (marks[:, LENGTH // 2 :].sum(1) == 1).all()
    assert uniform_over(marks[:, : LENGTH // 2].argmax(1), range(LENGTH // 2))
    assert uniform_over(marks[:, LENGTH // 2 :].argmax(1), range(LENGTH // 2))
    np.testing.assert_allclose(target, (values * marks).sum(1), rtol=1e-6)


def test_adding_as_pascanu_draws_lengths_and_marks_and_halves_the_sum():
    inputs, target, lengths = examples(problem("adding", task__form="pascanu"))
    values, marks = inputs[..., 0], inputs[..., 1]
    assert uniform_over(lengths, range(LENGTH, int(1.1 * LENGTH) + 1))
    places = [np.flatnonzero(row) for row in marks]
    first, second = np.array([p[0] for p in places]), np.array([p[-1] for p in places])
    assert all(len(p) == 2 for p in places)
    assert (first < lengths // 10).all() and (second >= lengths // 10).all() and (second < lengths // 2).all()
    np.testing.assert_allclose(target, (values * marks).sum(1) / 2, rtol=1e-6)


def test_copy_memory_asks_for_the_first_ten_symbols_after_the_silence():
    inputs, target, _ = examples(problem("copy_memory"))
    assert inputs.shape == target.shape == (MANY, LENGTH + 20)
    assert uniform_over(inputs[:, :10].ravel(), range(8))
    assert (inputs[:, 10 : LENGTH + 9] == 8).all(), "T - 1 blanks"
    assert (inputs[:, LENGTH + 9] == 9).all(), "the delimiter"
    assert (inputs[:, LENGTH + 10 :] == 8).all()
    assert (target[:, : LENGTH + 10] == 8).all()
    np.testing.assert_array_equal(target[:, LENGTH + 10 :], inputs[:, :10])


@pytest.mark.parametrize(
    ("variant", "ranges"),
    [("temporal_order", [(4, 8), (16, 20)]), ("temporal_order_3", [(4, 8), (12, 16), (24, 28)])],
)
def test_temporal_order_places_its_symbols_and_names_their_order(variant, ranges):
    inputs, target, _ = examples(problem(variant))
    places = [np.flatnonzero(row < 2) for row in inputs]
    assert all(len(p) == len(ranges) for p in places)
    places = np.array(places)
    for column, (begin, end) in zip(places.T, ranges, strict=True):
        assert uniform_over(column, range(begin, end))
    symbols = np.take_along_axis(inputs, places, axis=1)
    np.testing.assert_array_equal(target, (symbols * 2 ** np.arange(len(ranges))).sum(1))
    assert uniform_over(target, range(2 ** len(ranges)))
    assert uniform_over(inputs[inputs >= 2], range(2, 6))


def test_latch_begins_with_the_class_and_goes_on_with_noise():
    inputs, target, _ = examples(problem("latch"))
    np.testing.assert_array_equal(inputs[:, 0, 0], 2 * target - 1)
    assert uniform_over(target, (0, 1))
    assert abs(inputs[:, 1:].var() - 0.2) < 0.005 and abs(inputs[:, 1:].mean()) < 0.01


def test_parity_counts_every_bit():
    inputs, target, _ = examples(problem("parity"))
    np.testing.assert_array_equal(target, inputs.sum(1) % 2)
    assert uniform_over(inputs.ravel(), (0, 1))


def test_permutation_asks_for_its_first_symbol():
    inputs, target, _ = examples(problem("permutation"))
    np.testing.assert_array_equal(target, inputs[:, 0])
    assert uniform_over(target, (0, 1))
    assert uniform_over(inputs[:, 1:].ravel(), range(2, 100))


class Trivial:
    """A network that gives the trivial answer."""

    def __init__(self, variant):
        self.variant = variant

    def __call__(self, inputs, **options):
        lanes = inputs.shape[1]
        if self.variant == "adding":
            return jnp.ones((lanes, 1))
        if self.variant == "adding_pascanu":
            return jnp.full((lanes, 1), 0.5)
        if self.variant == "copy_memory":
            blanks = jnp.zeros((LENGTH + 10, lanes, 9)).at[..., 8].set(1e9)
            guesses = jnp.zeros((10, lanes, 9)).at[..., 8].set(-1e9)
            return (), jnp.concatenate([blanks, guesses])
        classes = {"temporal_order": 4, "temporal_order_3": 8, "permutation": 100}.get(self.variant, 2)
        return jnp.zeros((lanes, classes)).at[:, 0].set(1.0)


@pytest.mark.parametrize("variant", [*VARIANTS, "adding_pascanu"])
def test_the_baseline_is_what_the_trivial_answer_scores(variant):
    form = {"task__form": "pascanu"} if variant == "adding_pascanu" else {}
    task = problem(variant.removesuffix("_pascanu"), task__evaluation=10_000, **form)
    batch = jax.vmap(task.example, out_axes=task._axes)(jax.random.split(jax.random.key(3), 10_000))
    _, (_, means) = task.loss(Trivial(variant), (), batch)
    np.testing.assert_allclose(means[task.measure.name], task.measure.baseline, rtol=0.05)
    assert task.measure.solved_below < task.measure.baseline
    assert task.measure.baseline_is and task.measure.solved_is and task.measure.unit


@every_problem
def test_a_batch_is_a_function_of_key_and_step_and_lanes_are_independent_of_their_number(variant):
    task = problem(variant)
    draw = jax.jit(lambda step, lanes: task.batch({}, jax.random.fold_in(jax.random.key(1), step), step, lanes))
    whole, again, other = draw(7, jnp.arange(4)), draw(7, jnp.arange(4)), draw(8, jnp.arange(4))
    half = draw(7, jnp.arange(2, 4))
    np.testing.assert_array_equal(whole.inputs, again.inputs)
    assert (whole.inputs != other.inputs).any()
    np.testing.assert_array_equal(whole.inputs[:, 2:], half.inputs)
    assert whole.inputs.shape[:2] == (task.time, 4)


@every_problem
def test_evaluation_is_the_mean_over_its_sequences_whatever_the_devices(variant):
    task = problem(variant, task__evaluation=101)
    network = task.network(nnx.Rngs(0))
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("lanes",))
    alone, together = task.evaluate(network, "validation"), task.evaluate(network, "validation", mesh)

    @jax.jit
    def scores(number):
        example = task.draw_held_out({}, "validation", number)
        lane = jax.tree.map(lambda leaf, axis: jnp.expand_dims(leaf, axis), example, axes(task, example))
        return task._scores_of(network, lane)

    one_by_one = [scores(number) for number in range(101)]
    for name, value in alone.items():
        np.testing.assert_allclose(value, np.mean([scores[name] for scores in one_by_one]), rtol=1e-4)
        np.testing.assert_allclose(together[name], value, rtol=1e-5)
    assert task.evaluate(network, "train") == {}


@every_problem
def test_held_out_sequences_are_the_same_for_every_run_and_not_those_of_another_split(variant):
    task, again = problem(variant), problem(variant, seed=5)
    for number in range(3):
        example = task.draw_held_out({}, "validation", number)
        np.testing.assert_array_equal(example.inputs, again.draw_held_out({}, "validation", number).inputs)
        assert (example.inputs != task.draw_held_out({}, "test", number).inputs).any()


def axes(task, example):
    return jax.tree.unflatten(jax.tree.structure(example), jax.tree.leaves(task._axes)[: len(jax.tree.leaves(example))])


@every_problem
def test_a_sample_shows_examples_with_target_and_answer(variant):
    task = problem(variant)
    shown = task.sample(task.network(nnx.Rngs(0)), 0)
    assert shown.count("target ") == shown.count(", answer ") == 3
    assert shown == task.sample(task.network(nnx.Rngs(0)), 0) != task.sample(task.network(nnx.Rngs(0)), 1)


@every_problem
def test_a_run_restores_the_problem_from_its_description(variant):
    task = problem(variant)
    again = type(task).from_description(task.config, task.description())
    assert (again.title, again.measure, again.time) == (task.title, task.measure, task.time)


@pytest.mark.parametrize(
    ("variant", "length", "sentence"),
    [
        ("temporal_order", 0, "'task.length' is 0; it should be at least 10"),
        ("temporal_order", 1, "'task.length' is 1; it should be at least 10"),
        ("adding", 1, "'task.length' is 1; it should be at least 2"),
        ("latch", 1, "'task.length' is 1; it should be at least 2"),
        ("copy_memory", 0, "'task.length' is 0; it should be at least 1"),
    ],
)
def test_a_length_that_leaves_no_problem_is_refused(variant, length, sentence):
    with pytest.raises(UserError, match=sentence):
        problem(variant, task__length=length)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_shortest_length_allowed_makes_sequences(variant):
    task = problem(variant, task__length=problem(variant).shortest)
    inputs, target, _ = examples(task, 50)
    assert np.isfinite(inputs).all() and np.isfinite(target).all()


def test_pascanus_adding_needs_a_tenth_of_a_length():
    with pytest.raises(UserError, match=r"'task.length' is 9; it should be at least 10"):
        problem("adding", task__form="pascanu", task__length=9)


def test_places_of_three_symbols_are_exact_tenths():
    inputs, _, _ = examples(problem("temporal_order_3", task__length=90))
    last = np.array([np.flatnonzero(row < 2)[2] for row in inputs])
    assert uniform_over(last, range(54, 63))


@pytest.mark.parametrize(
    ("variant", "settings", "sentence"),
    [
        ("temporal_order", {"task__symbols": 4}, "unknown task.symbols 4; known: 2, 3"),
        ("adding", {"task__form": "pascan"}, "unknown task.form 'pascan'; did you mean 'pascanu'"),
        ("latch", {"train__epochs": 3}, "makes its sequences without end, so it has no epochs"),
        ("latch", {"schedule__unit": "epochs"}, "makes its sequences without end, so it has no epochs"),
        ("adding", {"model__embedding": 8}, "model.embedding and model.tied are for symbols"),
        ("parity", {"model__embedding": 5, "model__tied": True, "task__length": 0}, "'task.length' is 0"),
        ("permutation", {"probe__every": 7}, "probe.every is 7; it should be a multiple of train.steps_per_dispatch"),
    ],
)
def test_settings_that_cannot_be_are_answered_with_a_sentence(variant, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        resolve(config_of(variant, **settings), {})


def test_stopping_when_solved_needs_a_criterion():
    with pytest.raises(UserError, match="the task char_lm has no criterion of success"):
        resolve(tiny.config(train__stop_when_solved=True), {})


def test_looking_more_often_or_a_setting_of_a_later_version_makes_no_other_trial():
    config = config_of("latch", train__stop_when_solved=False)
    record = resolve(config, {})
    assert record["measure"]["name"] == "error" and record["corpus"] is None
    assert (
        resolve(config_of("latch", train__stop_when_solved=False, probe__every=100), {})["identity"]
        == record["identity"]
    )
    of_before = ConfigDict(record["config"])
    for group in ("regulariser", "probe"):
        del of_before[group]
    del of_before.train["stop_when_solved"]
    assert identity(of_before, record) == record["identity"]
    others = [config_of("latch", train__stop_when_solved=False, **{key: value}) for key, value in OTHER_TRIALS.items()]
    identities = {resolve(other, {})["identity"] for other in others}
    assert len(identities) == len(OTHER_TRIALS) and record["identity"] not in identities


OTHER_TRIALS = {"regulariser__name": "pascanu", "task__length": 41, "seed": 1, "regulariser__weight": 1.0}


def test_an_lstm_learns_to_latch():
    config = config_of("latch", task__length=12, task__batch=32, cell__hidden=16, train__steps_per_dispatch=100)
    task = find_task("latch").from_corpus(config, None)
    trainer = Trainer(task, config)
    state = trainer.initialise()
    assert task.evaluate(trainer.network(state.parameters), "test")["error"] > 0.2
    for _ in range(4):
        state, _ = trainer.run(state, 400)
    assert task.evaluate(trainer.network(state.parameters), "test")["error"] < 0.02
