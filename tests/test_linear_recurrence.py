"""Linear cells in parallel over time, against `jax.lax.scan(cell, ...)` and a plain loop; and what is said of LRU."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from examples import assert_close, cast, make, numbers
from flax import nnx
from test_recurrence import HIDDEN, INPUTS, plain_loop, random_resets, with_gradients
from test_recurrence import example as example_of

from seqjax.cells import CELLS
from seqjax.errors import UserError
from seqjax.linear_recurrence import affine_scan, best_method, is_linear, unroll_parallel
from seqjax.recurrence import initial_state, unroll

pytestmark = pytest.mark.usefixtures("quick_compilation")

LINEAR = ("min_gru", "min_lstm", "lru")
CLOSE = {"rtol": 1e-11, "atol": 1e-12}
TIME = 6
CHUNKS = (None, 1, 3, 4)  # all steps at once, each by itself, two chunks, and one chunk with two steps left

every_linear_cell = pytest.mark.parametrize("name", LINEAR)
every_chunk = pytest.mark.parametrize("chunk", CHUNKS)
both_directions = pytest.mark.parametrize("reverse", [False, True])
real_and_complex = pytest.mark.parametrize("name", ["min_gru", "lru"])


def example(name, batch=(), time=TIME):
    return example_of(name, batch, time)


def definition(cell, xs, state):
    """`jax.lax.scan(cell, state, xs)`, mapped over the batch axes."""
    batch = xs.ndim - 2
    for axis in range(batch):
        xs = jnp.moveaxis(xs, axis + 1, axis)
    run = lambda state, xs: jax.lax.scan(cell, state, xs)  # noqa: E731
    for _ in range(batch):
        run = jax.vmap(run)
    state, ys = run(state, xs)
    return state, jnp.moveaxis(ys, -2, 0)


def test_the_linear_cells_are_those_whose_gates_do_not_see_the_state():
    assert {name for name, cell in CELLS.items() if is_linear(cell)} == set(LINEAR)


@every_linear_cell
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_equals_the_definition(float64, name, batch):
    cell, xs, state = example(name, batch)
    expected = with_gradients(definition)(cell, xs, state)
    for chunk in CHUNKS:
        assert_close(with_gradients(partial(unroll_parallel, chunk=chunk))(cell, xs, state), expected, **CLOSE)


@real_and_complex
@pytest.mark.parametrize("chunk", [None, 1, 64])
def test_equals_the_definition_over_a_thousand_steps_of_32_bits(name, chunk):
    cell, xs, state = cast(example(name, (2,), time=1000), jnp.float32)
    parallel = with_gradients(partial(unroll_parallel, chunk=chunk))(cell, xs, state)
    expected = with_gradients(definition)(cell, xs, state)
    for found, wanted in zip(jax.tree.leaves(parallel), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-5 * np.abs(wanted).max())


@real_and_complex
@both_directions
@pytest.mark.parametrize(
    ("with_resets", "with_lengths"), [(False, False), (True, False), (False, True), (True, True)], ids=str
)
def test_every_option_equals_a_plain_loop(float64, name, reverse, with_resets, with_lengths):
    """Resets from none to all, lengths from none to all, in one chunk or several; values and gradients."""
    cell, xs, state = example(name, (3,))
    options = {}
    if with_resets:
        options["resets"] = random_resets(TIME, (3,), seed=1)
    if with_lengths:
        options["lengths"] = np.array([0, 4, TIME])
    expected = with_gradients(partial(plain_loop, **options, reverse=reverse), jit=False)(cell, xs, state)
    options = jax.tree.map(jnp.asarray, options)
    for chunk in None, 4:
        run = with_gradients(partial(unroll_parallel, **options, reverse=reverse, chunk=chunk))
        assert_close(run(cell, xs, state), expected, **CLOSE)


@real_and_complex
def test_two_batch_axes_with_every_option(float64, name):
    cell, xs, state = example(name, (2, 2))
    options = {"resets": jnp.asarray(random_resets(TIME, (2, 2))), "lengths": jnp.array([[0, 3], [TIME, 5]])}
    expected = with_gradients(partial(unroll, **options, method="scan"))(cell, xs, state)
    assert_close(with_gradients(partial(unroll_parallel, **options))(cell, xs, state), expected, **CLOSE)


@real_and_complex
def test_starts_from_the_cells_initial_state(float64, name):
    cell, xs, _ = example(name, (2,))
    assert_close(unroll_parallel(cell, xs), unroll_parallel(cell, xs, initial_state(cell, (2,))), rtol=0)


@real_and_complex
@both_directions
@pytest.mark.parametrize("chunk", [None, 4])
def test_what_stands_in_the_padding_reaches_nothing(float64, name, reverse, chunk):
    cell, xs, state = example(name, (3,))
    lengths = jnp.array([0, 4, TIME])
    valid = jnp.arange(TIME)[:, None] < lengths
    run = with_gradients(partial(unroll_parallel, lengths=lengths, reverse=reverse, chunk=chunk))
    clean = run(cell, xs, state)
    for padding in np.nan, np.inf:
        assert_close(run(cell, jnp.where(valid[..., None], xs, padding), state), clean, rtol=0)
    (_, ys), (_, xs_gradient, _) = clean
    assert not ys[~valid].any() and not xs_gradient[~valid].any()


@real_and_complex
@every_chunk
def test_a_reset_keeps_out_what_is_not_finite(float64, name, chunk):
    """As in the plain scan, though 0 times NaN is NaN: of the state given, of an input before, and in gradients."""
    cell, xs, state = example(name, (2,))
    xs, state = xs.at[1].set(jnp.nan), jax.tree.map(lambda s: s * jnp.nan, state)
    resets = jnp.zeros((TIME, 2), bool).at[jnp.array([0, 3])].set(True)
    run = jax.jit(partial(unroll_parallel, resets=resets, chunk=chunk))
    last, ys = run(cell, xs, state)
    assert np.isnan(ys[1:3]).all()
    assert_close((last, ys[3:]), unroll(cell, xs[3:], method="scan"), **CLOSE)

    def loss(xs, state):
        return run(cell, xs, state)[1][3:].sum()

    xs_gradient, state_gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))(xs, state)
    assert np.isfinite(xs_gradient[3:]).all() and xs_gradient[3:].any()
    assert not any(leaf.any() for leaf in jax.tree.leaves(state_gradient))


@every_linear_cell
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_numbers_keep_their_type_under_strict_promotion(name, dtype):
    cell, xs = cast(make(name, INPUTS, HIDDEN), dtype), jnp.zeros((TIME, 2, INPUTS), dtype)
    options = {"resets": jnp.zeros((TIME, 2), bool), "lengths": jnp.array([3, TIME]), "chunk": 3}
    with jax.numpy_dtype_promotion("strict"):
        run = with_gradients(partial(unroll_parallel, **options))
        results = jax.eval_shape(run, cell, xs, initial_state(cell, (2,)))
    assert {leaf.dtype for leaf in jax.tree.leaves(results)} == {jnp.dtype(dtype)}


@every_chunk
@both_directions
def test_gradients_of_gradients(float64, chunk, reverse):
    a, b, start = (jnp.asarray(numbers(seed, *shape)) for seed, shape in enumerate([(5, 3), (5, 3), (3,)]))

    def by_loop(a, b, start):
        states, state = [None] * 5, start
        for t in reversed(range(5)) if reverse else range(5):
            state = states[t] = a[t] * state + b[t]
        return jnp.stack(states)

    def twice(run):
        def loss(*arguments):
            return (run(*arguments) ** 2 * numbers(3, 5, 3)).sum()

        def of_gradient(*arguments):
            return sum((g**2).sum() for g in jax.grad(loss, argnums=(0, 1, 2))(*arguments))

        return jax.jit(jax.grad(of_gradient, argnums=(0, 1, 2)))(a, b, start)

    assert_close(twice(lambda a, b, start: affine_scan(a, b, start, reverse, chunk)), twice(by_loop), **CLOSE)


def test_chunks_bound_the_memory():
    """Beyond what one step after the other needs, by the size of a chunk; all at once by more than the states' own."""
    cell, xs, _ = example("min_gru", (8,), time=512)

    def scratch(chunk):
        gradient = jax.grad(lambda cell, xs: unroll_parallel(cell, xs, chunk=chunk)[1].sum())
        return jax.jit(gradient).lower(cell, xs).compile().memory_analysis().temp_size_in_bytes

    states = 512 * 8 * HIDDEN * xs.dtype.itemsize
    assert scratch(16) < scratch(1) + states / 4
    assert scratch(None) > scratch(1) + states


@real_and_complex
def test_trials_stacked_under_vmap(float64, name):
    cells = [make(name, INPUTS, HIDDEN, seed=seed) for seed in (0, 1)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *cells)
    _, xs, _ = example(name, (2,))
    run = jax.jit(lambda cell: unroll_parallel(cell, xs)[1])
    together = jax.jit(jax.vmap(run))(stacked)
    for number, cell in enumerate(cells):
        assert_close(together[number], run(cell), **CLOSE)


@real_and_complex
def test_a_batch_split_over_two_devices_gives_the_same(float64, name):
    cell, xs, state = example(name, (4,))
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, "batch"))
    run = with_gradients(unroll_parallel)
    assert_close(run(cell, jax.device_put(xs, split), state), run(cell, xs, state), **CLOSE)


@every_linear_cell
@pytest.mark.parametrize(("platform", "batch"), [("cpu", 1), ("cpu", 5), ("gpu", 5)])
def test_the_method_that_is_best_gives_the_same(float64, name, platform, batch):
    cell, xs, state = example(name, (3,))
    options = best_method(platform, batch)
    run = partial(unroll_parallel, chunk=options["chunk"]) if options["method"] == "parallel" else unroll
    assert_close(run(cell, xs, state), unroll(cell, xs, state, method="scan"), **CLOSE)


@pytest.mark.usefixtures("unannotated")
def test_errors_are_sentences():
    xs = jnp.zeros((TIME, 2, INPUTS))
    with pytest.raises(UserError, match="GRU has no affine and output: only linear cells run in parallel over time"):
        unroll_parallel(make("gru", INPUTS, HIDDEN), xs)
    with pytest.raises(UserError, match="chunk is a number of steps, at least 1, not 0"):
        unroll_parallel(make("min_gru", INPUTS, HIDDEN), xs, chunk=0)


# The cells


def test_the_shares_of_a_minimal_lstm_are_finite_when_both_gates_are_shut():
    cell = make("min_lstm", INPUTS, HIDDEN)
    z = jnp.concatenate([jnp.full(HIDDEN, -200.0), jnp.full(HIDDEN, -201.0), jnp.ones(HIDDEN)])
    step, gradient = jax.value_and_grad(lambda h, z: cell.step(h, z)[1].sum(), argnums=(0, 1))(jnp.ones(HIDDEN), z)
    shares = cell.gates(jnp.ones(HIDDEN), z)
    np.testing.assert_allclose(shares["forget"], 1 / (1 + np.exp(-1.0)), rtol=1e-5)
    np.testing.assert_allclose(shares["forget"] + shares["input"], 1, rtol=1e-6)
    assert np.isfinite(step) and all(np.isfinite(g).all() for g in gradient)


def test_the_forget_bias_of_a_minimal_lstm():
    cell = CELLS["min_lstm"](INPUTS, HIDDEN, rngs=nnx.Rngs(0), forget_bias=3.0)
    forget = cell.gates(cell.initial_state(), cell.project(jnp.zeros(INPUTS)))["forget"]
    sigmoid = 1 / (1 + np.exp(-3.0))
    np.testing.assert_allclose(forget, sigmoid / (sigmoid + 0.5), rtol=1e-6)


def eigenvalues(cell):
    nu, theta = np.exp(np.asarray(cell.nu_log[...])), np.exp(np.asarray(cell.theta_log[...]))
    return np.exp(-nu + 1j * theta)


@pytest.mark.parametrize(("r_min", "r_max"), [(0.0, 1.0), (0.9, 0.999), (0.4, 0.8), (0.5, 0.5), (1.0, 1.0)])
def test_lru_starts_on_its_ring(float64, r_min, r_max):
    """Uniform on its area, within the phase asked for. With gamma white inputs lead to states of one size: the sum of
    gamma^2 |lambda|^(2 k) over all k is 1."""
    cell = CELLS["lru"](INPUTS, 2000, rngs=nnx.Rngs(0), r_min=r_min, r_max=r_max, max_phase=1.5)
    radii, phases = np.abs(eigenvalues(cell)), np.angle(eigenvalues(cell))
    assert (radii >= r_min - 1e-12).all() and (radii <= r_max + 1e-12).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(cell))
    assert (phases > 0).all() and (phases < 1.5).all()
    np.testing.assert_allclose(np.mean(radii**2), (r_min**2 + r_max**2) / 2, atol=0.02)
    np.testing.assert_allclose(phases.mean(), 0.75, atol=0.04)
    np.testing.assert_allclose(np.exp(2 * cell.gamma_log[...]), 1 - radii**2, rtol=1e-6, atol=1e-15)


def test_lru_is_drawn_as_in_the_paper():
    """Variances of B, C and D where inputs and hidden are the same: 1 / (2 H), 1 / H and 1."""
    cell = CELLS["lru"](200, 200, rngs=nnx.Rngs(0))
    assert [cell.b[...].var() * 400, cell.c[...].var() * 200] == pytest.approx([1, 1], abs=0.02)
    assert cell.d.shape == (200,) and float(cell.d[...].var()) == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("inputs", [INPUTS, HIDDEN])
def test_lru_is_its_impulse_response(float64, inputs):
    """y_t = D x_t + sum over s <= t of Re(C lambda^(t-s) gamma B) x_s."""
    cell = make("lru", inputs, HIDDEN)
    xs, time = numbers(0, 30, inputs), 30
    b_real, b_imaginary = np.split(np.asarray(cell.b[...]), 2, axis=1)
    c_real, c_imaginary = np.split(np.asarray(cell.c[...]), 2, axis=0)
    powers = eigenvalues(cell) ** np.arange(time)[:, None]
    into = np.exp(cell.gamma_log[...]) * (b_real + 1j * b_imaginary)
    response = np.einsum("ih,th,ho->tio", into, powers, c_real + 1j * c_imaginary).real
    expected = [sum(xs[s] @ response[t - s] for s in range(t + 1)) for t in range(time)]
    d = np.asarray(cell.d[...])
    expected = np.stack(expected) + (xs * d if inputs == HIDDEN else xs @ d)
    np.testing.assert_allclose(jax.jit(unroll_parallel)(cell, jnp.asarray(xs))[1], expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"r_min": 0.9, "r_max": 0.5}, "lru needs 0 <= r_min <= r_max <= 1, not r_min 0.9 and r_max 0.5"),
        ({"r_max": 1.1}, "lru needs 0 <= r_min <= r_max <= 1, not r_min 0.0 and r_max 1.1"),
        ({"max_phase": 0.0}, "max_phase is an angle over 0, not 0.0"),
    ],
)
def test_a_ring_that_is_none_is_refused(options, sentence):
    with pytest.raises(UserError, match=sentence):
        CELLS["lru"](INPUTS, HIDDEN, rngs=nnx.Rngs(0), **options)
