"""Running a cell over time: `unroll` against `jax.lax.scan(cell, cell.initial_state(), xs)` and a plain Python loop."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from examples import DISTINCT, assert_close, cast, make, numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from seqjax.cells import CELLS
from seqjax.errors import UserError
from seqjax.recurrence import initial_state, unroll

pytestmark = pytest.mark.usefixtures("quick_compilation")

INPUTS, HIDDEN, TIME = 3, 4, 7
CLOSE = {"rtol": 1e-11, "atol": 1e-13}

every_cell = pytest.mark.parametrize("name", CELLS)
distinct_cells = pytest.mark.parametrize("name", DISTINCT)
one_and_two_states = pytest.mark.parametrize("name", ["gru", "lstm"])


def example(name, batch=(), time=TIME):
    """A cell, a sequence for it, and a state to start from."""
    cell = make(name, INPUTS, HIDDEN)
    state = jax.tree.map(lambda s: jnp.asarray(numbers(1, *s.shape)), initial_state(cell, batch))
    return cell, jnp.asarray(numbers(0, time, *batch, INPUTS)), state


def weighted(state, ys):
    """A number that every state and every output enters with a weight of its own."""
    leaves = [ys, *jax.tree.leaves(state)]
    return sum(jnp.sum(leaf * numbers(9, *leaf.shape).astype(leaf.dtype)) for leaf in leaves)


def with_gradients(run, jit=True):
    """`run(cell, xs, state) -> (state, ys)` as a function to `((state, ys), gradients with respect to all three)`."""

    def loss(cell, xs, state):
        state, ys = run(cell, xs, state)
        return weighted(state, ys), (state, ys)

    def both(*arguments):
        (_, results), gradients = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(*arguments)
        return results, gradients

    return jax.jit(both) if jit else both


@jax.jit
def _step(cell, state, xs, index):
    return cell(state, xs[index])


def plain_loop(cell, xs, state, *, reverse=False, resets=None, lengths=None):
    """What `unroll` promises, one example and one step after the other."""
    time, batch = xs.shape[0], xs.shape[1:-1]
    states, columns = [], []
    for index in np.ndindex(batch):
        h = jax.tree.map(lambda s: s[index], state)  # noqa: B023
        ys = [jnp.zeros(HIDDEN)] * time
        steps = range(time if lengths is None else int(lengths[index]))
        for t in reversed(steps) if reverse else steps:
            if resets is not None and resets[(t, *index)]:
                h = cell.initial_state()
            h, ys[t] = _step(cell, h, xs, (t, *index))
        states.append(h)
        columns.append(jnp.stack(ys))
    states = jax.tree.map(lambda *leaves: jnp.stack(leaves).reshape(*batch, HIDDEN), *states)
    return states, jnp.stack(columns, axis=1).reshape(time, *batch, HIDDEN)


def random_resets(time, batch, seed=0):
    return np.random.default_rng(seed).random((time, *batch)) < 0.3


@pytest.mark.parametrize(
    ("name", "batch"),
    [*((name, (2, 3)) for name in DISTINCT), ("gru", (3,)), ("lstm", ()), ("lstm_j", ()), ("lstm_peephole", ())],
)
def test_equals_the_definition_example_by_example(float64, name, batch):
    cell, xs, state = example(name, batch)

    def definition(cell, xs, state):
        for axis in range(len(batch)):
            xs = jnp.moveaxis(xs, axis + 1, axis)
        run = lambda state, xs: jax.lax.scan(cell, state, xs)  # noqa: E731
        for _ in batch:
            run = jax.vmap(run)
        state, ys = run(state, xs)
        return state, jnp.moveaxis(ys, -2, 0)

    assert_close(with_gradients(unroll)(cell, xs, state), with_gradients(definition)(cell, xs, state), **CLOSE)


@every_cell
def test_starts_from_the_cells_initial_state(float64, name):
    cell, xs, _ = example(name, (2,))
    assert_close(unroll(cell, xs), unroll(cell, xs, initial_state(cell, (2,))), rtol=0)
    assert_close(initial_state(cell), cell.initial_state(), rtol=0)


@pytest.mark.parametrize(
    ("name", "reverse", "remat"), [*((name, True, 3) for name in DISTINCT), ("gru", False, None), ("lstm", False, None)]
)
def test_everything_at_once_equals_a_plain_loop(float64, name, reverse, remat):
    """Resets and lengths from none to all, values and gradients."""
    cell, xs, state = example(name, (3,), time=5)
    options = {"resets": random_resets(5, (3,), seed=1), "lengths": np.array([0, 3, 5])}
    fast = with_gradients(partial(unroll, **jax.tree.map(jnp.asarray, options), reverse=reverse, remat=remat))
    slow = with_gradients(partial(plain_loop, **options, reverse=reverse), jit=False)
    assert_close(fast(cell, xs, state), slow(cell, xs, state), **CLOSE)


@settings(max_examples=8, deadline=None, derandomize=True, database=None)
@given(
    name=st.sampled_from(sorted(DISTINCT)),
    time=st.integers(1, 6),
    batch=st.sampled_from([(), (1,), (3,), (2, 2)]),
    reverse=st.booleans(),
    remat=st.none() | st.integers(1, 7),
    with_resets=st.booleans(),
    with_lengths=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_any_options_equal_a_plain_loop(name, time, batch, reverse, remat, with_resets, with_lengths, seed):
    with jax.enable_x64(True):
        cell, xs, state = example(name, batch, time)
        options = {}
        if with_resets:
            options["resets"] = random_resets(time, batch, seed)
        if with_lengths:
            options["lengths"] = np.asarray(np.random.default_rng(seed).integers(0, time + 1, batch))
        fast = unroll(cell, xs, state, **jax.tree.map(jnp.asarray, options), reverse=reverse, remat=remat)
        assert_close(fast, plain_loop(cell, xs, state, **options, reverse=reverse), **CLOSE)


@one_and_two_states
def test_reverse_is_the_run_over_the_reversed_sequence(float64, name):
    cell, xs, state = example(name, (2,))
    last, ys = unroll(cell, xs[::-1], state)
    assert_close(unroll(cell, xs, state, reverse=True), (last, ys[::-1]), rtol=0)


@one_and_two_states
@pytest.mark.parametrize("reverse", [False, True])
def test_pieces_between_resets_are_run_by_themselves(float64, name, reverse):
    cell, xs, state = example(name, (2,), time=6)
    first_processed = [3, 1] if reverse else [2, 4]
    resets = jnp.zeros((6, 2), bool).at[jnp.array(first_processed)].set(True)
    outputs, last = {}, state
    for start in (4, 2, 0) if reverse else (0, 2, 4):
        last, outputs[start] = unroll(cell, xs[start : start + 2], last, reverse=reverse)
        final, last = last, initial_state(cell, (2,))
    ys = jnp.concatenate([outputs[start] for start in (0, 2, 4)])
    assert_close(unroll(cell, xs, state, resets=resets, reverse=reverse), (final, ys), **CLOSE)


@one_and_two_states
def test_no_gradient_crosses_a_reset(float64, name):
    cell, xs, state = example(name)
    resets = jnp.arange(TIME) == 3
    gradient = jax.grad(lambda xs, state: unroll(cell, xs, state, resets=resets)[1][3:].sum(), argnums=(0, 1))
    xs_gradient, state_gradient = gradient(xs, state)
    assert not xs_gradient[:3].any() and xs_gradient[3:].all()
    assert not any(leaf.any() for leaf in jax.tree.leaves(state_gradient))


@pytest.mark.parametrize(
    ("name", "reverse"), [*((name, False) for name in DISTINCT), *((name, True) for name in ["gru", "lstm"])]
)
def test_what_stands_in_the_padding_reaches_nothing(float64, name, reverse):
    """Neither values nor gradients, not even a NaN: 0 times NaN is NaN, so a gradient needs more than a selection."""
    cell, xs, state = example(name, (3,))
    lengths = jnp.array([0, 4, TIME])
    valid = jnp.arange(TIME)[:, None] < lengths
    run = with_gradients(partial(unroll, lengths=lengths, reverse=reverse))
    clean = run(cell, xs, state)
    for padding in np.nan, np.inf:
        assert_close(run(cell, jnp.where(valid[..., None], xs, padding), state), clean, rtol=0)
    (last, ys), (_, xs_gradient, _) = clean
    assert not ys[~valid].any() and ys[valid].all()
    assert not xs_gradient[~valid].any() and xs_gradient[valid].any(axis=-1).all()
    nothing_read = jax.tree.map(lambda a, b: np.array_equal(a[0], b[0]), last, state)
    assert all(jax.tree.leaves(nothing_read))


@one_and_two_states
@pytest.mark.parametrize("reverse", [False, True])
def test_resets_in_the_padding_leave_the_state_alone(float64, name, reverse):
    cell, xs, state = example(name, (2,))
    lengths = jnp.array([0, 4])
    resets = jnp.arange(TIME)[:, None] >= lengths
    plain = unroll(cell, xs, state, lengths=lengths, reverse=reverse)
    assert_close(unroll(cell, xs, state, lengths=lengths, resets=resets, reverse=reverse), plain, **CLOSE)


@one_and_two_states
def test_reverse_starts_at_the_last_valid_step(float64, name):
    cell, xs, state = example(name, (2,))
    last, ys = unroll(cell, xs, state, lengths=jnp.array([3, TIME]), reverse=True)
    for number, length in enumerate([3, TIME]):
        one = jax.tree.map(lambda s: s[number], state)  # noqa: B023
        expected = unroll(cell, xs[:length, number], one, reverse=True)
        actual = jax.tree.map(lambda s: s[number], last), ys[:length, number]  # noqa: B023
        assert_close(actual, expected, **CLOSE)


@pytest.mark.parametrize("reverse", [False, True])
def test_remat_changes_no_number(float64, reverse):
    """Segments of one step, of a divisor's and of another length, and of the whole sequence."""
    cell, xs, state = example("lstm", (2,), time=6)
    options = {"resets": jnp.asarray(random_resets(6, (2,))), "lengths": jnp.array([5, 6]), "reverse": reverse}
    stored = with_gradients(partial(unroll, **options))(cell, xs, state)
    for remat in 1, 3, 4, 6:
        assert_close(with_gradients(partial(unroll, **options, remat=remat))(cell, xs, state), stored, **CLOSE)


def test_remat_stores_a_state_a_segment():
    """Less memory is what it is for: what the compiled gradient needs beside its arguments and results."""
    cell, xs, _ = example("lstm", (8,), time=400)

    def scratch(remat):
        gradient = jax.grad(lambda cell, xs: unroll(cell, xs, remat=remat)[0][1].sum())
        return jax.jit(gradient).lower(cell, xs).compile().memory_analysis().temp_size_in_bytes

    assert scratch(20) < 0.6 * scratch(None)


@distinct_cells
def test_chunks_with_the_state_carried_equal_one_long_run(float64, name):
    cell, xs, state = example(name, (2,), time=6)
    long_state, long_ys = unroll(cell, xs, state)
    chunks = []
    for chunk in xs[:2], xs[2:4], xs[4:]:
        state, ys = unroll(cell, chunk, state)
        chunks.append(ys)
    assert_close((state, jnp.concatenate(chunks)), (long_state, long_ys), **CLOSE)


@distinct_cells
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_numbers_keep_their_type_under_strict_promotion(name, dtype):
    cell, xs = cast(make(name, INPUTS, HIDDEN), dtype), jnp.zeros((TIME, 2, INPUTS), dtype)
    options = {"resets": jnp.zeros((TIME, 2), bool), "lengths": jnp.array([3, TIME]), "remat": 3}
    with jax.numpy_dtype_promotion("strict"):
        results = jax.eval_shape(with_gradients(partial(unroll, **options)), cell, xs, initial_state(cell, (2,)))
    assert {leaf.dtype for leaf in jax.tree.leaves(results)} == {jnp.dtype(dtype)}


@one_and_two_states
def test_a_batch_split_over_two_devices_gives_the_same(float64, name):
    cell, xs, state = example(name, (4,))
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, "batch"))
    run = with_gradients(unroll)
    assert_close(run(cell, jax.device_put(xs, split), state), run(cell, xs, state), **CLOSE)


@pytest.mark.usefixtures("unannotated")
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"state": (jnp.zeros((2, HIDDEN)),) * 2}, "the state given to unroll has the structure"),
        ({"state": jnp.zeros((3, HIDDEN))}, r"the state given to unroll has the shape \(3, 4\), expected \(2, 4\)"),
        ({"resets": jnp.zeros(TIME, bool)}, r"resets have the shape \(7,\), expected \(7, 2\)"),
        ({"lengths": jnp.ones(3, int)}, r"lengths have the shape \(3,\), expected \(2,\): one number an example"),
        ({"remat": 0}, "remat is the number of steps in a segment, at least 1, not 0"),
    ],
)
def test_errors_are_sentences(options, sentence):
    with pytest.raises(UserError, match=sentence):
        unroll(make("rnn", INPUTS, HIDDEN), jnp.zeros((TIME, 2, INPUTS)), **options)
