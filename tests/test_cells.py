"""One table for all cells: a cell is tested by being registered. What a cell promises is in the design's contract."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cells_numpy import ACTIVATIONS, GATES, PACKING, STEPS, named
from examples import DISTINCT, LIKE_THE_LSTM, assert_close, cast, make, numbers
from flax import nnx
from jax.test_util import check_grads

from seqjax.cells import CELLS, VARIANTS, cell_options, find_cell, rnn
from seqjax.config import defaults, override
from seqjax.errors import UserError
from seqjax.initialisers import initialiser
from seqjax.models import parameters
from seqjax.models.build import cell_maker

HIDDEN = 4
PARTS = {"B_re", "B_im"}  # of LRU's complex matrix: each has half of the variance
every_cell = pytest.mark.parametrize("name", CELLS)
every_width = pytest.mark.parametrize("inputs", [3, HIDDEN])


def random_state(cell, seed=1):
    return jax.tree.map(lambda s: 0.5 * jnp.asarray(numbers(seed, *s.shape), s.dtype), cell.initial_state())


@every_cell
def test_initial_state_is_zeros_of_the_hidden_size(name):
    cell = make(name, hidden=HIDDEN)
    for leaf in jax.tree.leaves(cell.initial_state()):
        assert leaf.shape == (HIDDEN,)
        assert leaf.dtype == jnp.float32
        assert not leaf.any()


@every_cell
@every_width
def test_call_is_project_then_step(name, inputs):
    cell = make(name, inputs, HIDDEN)
    state, x = random_state(cell), jnp.asarray(numbers(2, inputs), jnp.float32)
    assert_close(cell(state, x), cell.step(state, cell.project(x)), rtol=0)


@every_cell
def test_project_maps_over_any_leading_axes(float64, name):
    cell, xs = make(name), numbers(0, 5, 2, 3)
    project = jax.jit(cell.project)
    one_by_one = np.stack([np.stack([project(x) for x in row]) for row in xs])
    assert_close(np.asarray(project(xs)), one_by_one, rtol=1e-13, atol=1e-14)


@every_cell
def test_batches_of_any_shape_through_vmap(float64, name):
    cell = make(name)
    state, xs = random_state(cell), jnp.asarray(numbers(0, 2, 3, 3))
    states = jax.tree.map(lambda s: s * jnp.arange(6.0).reshape(2, 3, 1), state)
    mapped = jax.vmap(jax.vmap(cell))(states, xs)
    for i, j in np.ndindex(2, 3):
        one = cell(jax.tree.map(lambda s: s[i, j], states), xs[i, j])  # noqa: B023
        assert_close(jax.tree.map(lambda a: a[i, j], mapped), one, rtol=1e-13, atol=1e-14)  # noqa: B023


@pytest.mark.parametrize("name", DISTINCT)
def test_gradients_equal_finite_differences(float64, name):
    cell = make(name)
    arguments = cell, random_state(cell), jnp.asarray(numbers(2, 3))
    check_grads(jax.jit(lambda cell, state, x: cell(state, x)), arguments, order=1, atol=1e-7, rtol=1e-7, eps=1e-5)


@every_cell
def test_jitted_equals_eager_and_a_second_call_does_not_retrace(float64, name):
    traces = []

    @jax.jit
    def run(cell, state, x):
        traces.append(name)
        return cell(state, x)

    for seed in range(3):
        cell = make(name, seed=seed)
        state, x = random_state(cell, seed), jnp.asarray(numbers(seed, 3))
        assert_close(run(cell, state, x), cell(state, x), rtol=1e-13, atol=1e-14)
    assert len(traces) == 1


@every_cell
def test_is_an_immutable_pytree(float64, name):
    cell = make(name)
    hash(jax.tree.structure(cell))
    before = jax.tree.map(np.array, cell)
    state, xs = random_state(cell), jnp.asarray(numbers(0, 6, 3))

    def loss(cell):
        return jax.lax.scan(cell, state, xs)[1].sum()

    value, gradient = jax.jit(jax.value_and_grad(loss))(cell)
    assert type(gradient) is type(cell)
    assert jax.tree.structure(gradient) == jax.tree.structure(cell)
    assert all(leaf.any() for leaf in jax.tree.leaves(gradient)), "a parameter has no influence"
    cells = jax.tree.map(lambda *leaves: jnp.stack(leaves), cell, jax.tree.map(lambda leaf: 2 * leaf, cell))
    np.testing.assert_allclose(jax.jit(jax.vmap(loss))(cells)[0], value, rtol=1e-12)
    assert_close(cell, before, rtol=0)


@every_cell
@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_numbers_keep_their_type_under_strict_promotion(float64, name, dtype):
    cell = cast(make(name), dtype)
    state, xs = cell.initial_state(), jnp.zeros((5, 3), dtype)

    def run(cell, xs):
        return jax.lax.scan(cell, state, xs)[1]

    with jax.numpy_dtype_promotion("strict"):
        assert jax.eval_shape(run, cell, xs).dtype == dtype
        gradient = jax.eval_shape(jax.grad(lambda *arguments: run(*arguments).sum()), cell, xs)
    assert {leaf.dtype for leaf in jax.tree.leaves((gradient, state))} == {jnp.dtype(dtype)}


@every_cell
def test_built_with_64_bits_enabled_is_of_64_bits(float64, name):
    cell = CELLS[name](3, HIDDEN, rngs=nnx.Rngs(0))
    assert {leaf.dtype for leaf in jax.tree.leaves((cell, cell.initial_state()))} == {jnp.dtype("float64")}


@every_cell
@every_width
def test_equals_the_equations_in_numpy(float64, name, inputs):
    assert name in STEPS and name in PACKING, (
        f"the cell {name!r} has no NumPy reference: write the step of its paper in tests/cells_numpy.py, "
        "and name its matrices in PACKING there"
    )
    cell = make(name, inputs, HIDDEN)
    xs = numbers(0, 25, inputs)
    weights = named(PACKING[name], parameters.flatten(cell))
    state, ys = jax.tree.map(np.asarray, random_state(cell)), []
    actual = jax.lax.scan(cell, random_state(cell), jnp.asarray(xs))
    for x in xs:
        state, y = STEPS[name](weights, state, x)
        ys.append(y)
    assert_close(actual, (state, np.stack(ys)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [name for name, cell in CELLS.items() if hasattr(cell, "gates")])
@every_width
def test_gates_equal_the_equations_in_numpy(float64, name, inputs):
    assert name in GATES, f"the cell {name!r} offers its gates: write their equations in GATES of tests/cells_numpy.py"
    cell, x = make(name, inputs, HIDDEN), numbers(2, inputs)
    gates = cell.gates(random_state(cell), cell.project(jnp.asarray(x)))
    weights = named(PACKING[name], parameters.flatten(cell))
    assert_close(gates, GATES[name](weights, jax.tree.map(np.asarray, random_state(cell)), x), rtol=1e-13, atol=1e-14)
    assert all(0 < value < 1 for gate in gates.values() for value in gate)


def matrices_in_the_step(name):
    """The shape of every matrix that the step multiplies a vector with, and the form of the state."""
    cell = make(name)
    state = cell.initial_state()
    jaxpr = jax.make_jaxpr(cell.step)(state, cell.project(jnp.zeros(3))).jaxpr
    products = [equation for equation in jaxpr.eqns if equation.primitive.name == "dot_general"]
    return [product.invars[1].aval.shape for product in products], jax.tree.structure(state)


@pytest.mark.parametrize("name", ["lstm", *sorted(LIKE_THE_LSTM)])
def test_cells_like_the_lstm_have_its_state_and_its_product(name):
    """Which is why the engine's longest tests may pass them over."""
    [(rows, columns)], structure = matrices_in_the_step(name)
    assert rows == HIDDEN and columns in (3 * HIDDEN, 4 * HIDDEN)
    assert structure == matrices_in_the_step("lstm")[1]


def coupled(weights):
    """The forget gate with the negatives of the input gate's weights, so that it is 1 less it."""
    return weights | {key[:-1] + "f": -value for key, value in weights.items() if key.endswith("i")}


def small(block, scale=1e-6):
    """What comes into a block so small that its tanh is the identity."""
    return lambda weights: {key: value * (scale if key[-1] == block else 1) for key, value in weights.items()}


def closed(gate):
    """The bias of a gate so low that it is 1e-6 or so, and the memory so small that its tanh is the identity."""
    return lambda weights: weights | {f"b_{gate}": np.full(HIDDEN, np.log(1e-6))}


def with_weights(name, weights):
    """The cell with the matrices and vectors that `PACKING` names, out of `weights`."""
    values = {
        parameter: np.concatenate([weights[block].T for block in names.split()], axis=-1)
        for parameter, names in PACKING[name].items()
    }
    return parameters.unflatten(make(name), {key: jnp.asarray(value) for key, value in values.items()})


def saturated(gate):
    """The bias of a gate, or of the tanh that stands for one, so large that it is 1."""
    return lambda weights: weights | {f"b_{gate}": np.full(HIDDEN, 1e3)}


def without(prefix):
    return lambda weights: {key: 0 * value if key.startswith(prefix) else value for key, value in weights.items()}


def outputs(name, weights):
    cell = with_weights(name, weights)
    return jax.lax.scan(cell, cell.initial_state(), jnp.asarray(numbers(0, 10, 3)))[1]


@pytest.mark.parametrize(
    ("name", "change", "limit"),
    [
        ("lstm_peephole", saturated("i"), "lstm_peephole_nig"),
        ("lstm_peephole", saturated("f"), "lstm_peephole_nfg"),
        ("lstm_peephole", saturated("o"), "lstm_peephole_nog"),
        ("lstm_peephole", without("p_"), "lstm_peephole_np"),
        ("lstm_peephole", coupled, "lstm_peephole_cifg"),
        ("lstm_peephole", small("z"), "lstm_peephole_niaf"),
        ("lstm_peephole", closed("i"), "lstm_peephole_noaf"),
        ("lstm_peephole_fgr", without("R_"), "lstm_peephole"),
        ("lstm_j", saturated("f"), "lstm_j_no_forget"),
        ("lstm_j", saturated("j"), "lstm_j_no_input"),
        ("lstm_j", saturated("o"), "lstm_j_no_output"),
    ],
)
def test_a_cell_becomes_its_variant_where_what_that_leaves_out_does_nothing(float64, name, change, limit):
    weights = change(named(PACKING[name], parameters.flatten(make(name))))
    assert_close(outputs(name, weights), outputs(limit, weights), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "letters", "other"),
    [
        ("lstm_peephole_np", {"z": "g"}, "lstm"),
        ("lstm_peephole_nog", {"z": "i", "i": "j"}, "lstm_j_no_output"),
        ("lstm_j", {}, "lstm_j_bias"),
    ],
)
def test_cells_of_the_same_equations_agree(float64, name, letters, other):
    """But for the letters, and for peepholes of weight 0."""
    weights = without("p_")(named(PACKING[name], parameters.flatten(make(name))))
    renamed = {key[:-1] + letters.get(key[-1], key[-1]): value for key, value in weights.items()}
    assert_close(outputs(name, weights), outputs(other, renamed), rtol=1e-13, atol=1e-14)


def test_biases_start_at_0_but_that_of_the_forget_gate_in_lstm_b():
    for name in ("lstm_j", "lstm_peephole", *VARIANTS):
        weights = named(PACKING[name], parameters.flatten(CELLS[name](3, HIDDEN, rngs=nnx.Rngs(0))))
        for key, value in weights.items():
            if key.startswith("b_"):
                assert (value == (1 if (name, key) == ("lstm_j_bias", "b_f") else 0)).all(), (name, key)


def test_peepholes_start_like_the_weights_of_the_inputs():
    """With N(0, 0.1) for all weights that is the start of Greff et al."""
    normal = initialiser("normal", 0.1)
    cell = CELLS["lstm_peephole"](3, 400, rngs=nnx.Rngs(0), kernel_init=normal, recurrent_init=normal)
    for weights in cell.u[...], cell.w[...], cell.p[...]:
        assert float(weights.std()) == pytest.approx(0.1, rel=0.06)
        assert float(weights.mean()) == pytest.approx(0, abs=0.01)


def test_the_cells_with_gates_are_those_of_the_papers():
    assert {name for name, cell in CELLS.items() if hasattr(cell, "gates")} == GATES.keys()


@pytest.mark.parametrize("activation", rnn.ACTIVATIONS)
def test_rnn_equals_the_equations_in_numpy_with_every_activation(float64, activation):
    cell = make("rnn", activation=activation)
    h, x = random_state(cell), numbers(2, 3)
    weights = named(PACKING["rnn"], parameters.flatten(cell))
    expected = STEPS["rnn"](weights, np.asarray(h), x, ACTIVATIONS[activation])
    assert_close(cell(h, jnp.asarray(x)), expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("activation", rnn.ACTIVATIONS)
def test_rnn_pulls_gradients_back_through_a_step(float64, activation):
    cell = make("rnn", activation=activation)
    before, xs, d = (jnp.asarray(numbers(seed, 5, 2, width)) for seed, width in enumerate([HIDDEN, 3, HIDDEN]))

    def step(h):
        return jax.vmap(jax.vmap(cell.step))(h, cell.project(xs))[0]

    after, pull_back = jax.vjp(step, before)
    assert_close(cell.pull_back(d, after), *pull_back(d), rtol=1e-12, atol=1e-13)
    assert_close(cell.pull_back(d[0, 0], after[0, 0]), pull_back(d)[0][0, 0], rtol=1e-12, atol=1e-13)


def test_rnn_pull_back_depends_on_the_recurrent_weights_alone():
    cell = make("rnn")
    d, h = jnp.asarray(numbers(0, HIDDEN)), jnp.asarray(numbers(1, HIDDEN))
    gradient = jax.grad(lambda cell: cell.pull_back(d, h).sum())(cell)
    assert gradient.u[...].any()
    assert not gradient.w[...].any() and not gradient.b[...].any()


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "rnn": lambda i, h: h * (i + h + 1),
        "lstm": lambda i, h: 4 * h * (i + h + 1),
        "gru": lambda i, h: 3 * h * (i + h + 1),
        "gru_reset_after": lambda i, h: 3 * h * (i + h + 1) + h,
        "mut1": lambda i, h: 2 * h * h + 2 * h * h + 3 * h + (i * h if i != h else 0),
        "mut2": lambda i, h: 2 * h * h + 3 * h * h + 3 * h + (i * h if i != h else 0),
        "mut3": lambda i, h: 3 * h * (i + h + 1),
        "min_gru": lambda i, h: 2 * h * (i + 1),
        "min_lstm": lambda i, h: 3 * h * (i + 1),
        "lru": lambda i, h: 3 * h + 2 * i * h + 2 * h * h + (i * h if i != h else h),
        "lstm_j": lambda i, h: 4 * h * (i + h + 1),
        "lstm_j_no_forget": lambda i, h: 3 * h * (i + h + 1),
        "lstm_j_no_input": lambda i, h: 3 * h * (i + h + 1),
        "lstm_j_no_output": lambda i, h: 3 * h * (i + h + 1),
        "lstm_j_bias": lambda i, h: 4 * h * (i + h + 1),
        "lstm_peephole": lambda i, h: 4 * h * (i + h + 1) + 3 * h,
        "lstm_peephole_nig": lambda i, h: 3 * h * (i + h + 1) + 2 * h,
        "lstm_peephole_nfg": lambda i, h: 3 * h * (i + h + 1) + 2 * h,
        "lstm_peephole_nog": lambda i, h: 3 * h * (i + h + 1) + 2 * h,
        "lstm_peephole_niaf": lambda i, h: 4 * h * (i + h + 1) + 3 * h,
        "lstm_peephole_noaf": lambda i, h: 4 * h * (i + h + 1) + 3 * h,
        "lstm_peephole_cifg": lambda i, h: 3 * h * (i + h + 1) + 2 * h,
        "lstm_peephole_np": lambda i, h: 4 * h * (i + h + 1),
        "lstm_peephole_fgr": lambda i, h: 4 * h * (i + h + 1) + 3 * h + 9 * h * h,
        "nas": lambda i, h: 8 * h * (i + h),
    }.items(),
)
@every_width
def test_number_of_parameters(name, expected, inputs):
    assert parameters.count(CELLS[name](inputs, HIDDEN, rngs=nnx.Rngs(0))) == expected(inputs, HIDDEN)


@pytest.mark.parametrize("name", ["mut1", "mut2"])
def test_mut_widens_the_input_only_where_it_must(name):
    assert make(name, HIDDEN, HIDDEN).p is None
    assert make(name, 3, HIDDEN).p.shape == (3, HIDDEN)


@pytest.mark.parametrize("name", ["lstm", "lstm_j", "lstm_j_bias"])
def test_forget_bias_is_where_the_forget_gates_bias_starts(name):
    weights = named(PACKING[name], parameters.flatten(CELLS[name](3, HIDDEN, rngs=nnx.Rngs(0), forget_bias=2.5)))
    for key, value in weights.items():
        assert not key.startswith("b_") or (value == (2.5 if key == "b_f" else 0)).all()
    assert cell_options("lstm") == {"forget_bias": 1.0, "chrono": 0}


def test_lstm_b_is_the_other_with_a_forget_bias_of_1():
    assert (cell_options("lstm_j"), cell_options("lstm_j_bias")) == ({"forget_bias": 0.0}, {"forget_bias": 1.0})
    for one, other in (("lstm_j", "lstm_j_bias"), ("lstm_j_bias", "lstm_j")):
        bias = cell_options(other)["forget_bias"]
        cells = CELLS[one](3, HIDDEN, rngs=nnx.Rngs(0), forget_bias=bias), CELLS[other](3, HIDDEN, rngs=nnx.Rngs(0))
        assert_close(*map(parameters.flatten, cells), rtol=0)


def test_chrono_spreads_the_time_constants_up_to_the_longest_dependency():
    cell = CELLS["lstm"](3, 1000, rngs=nnx.Rngs(0), chrono=100, forget_bias=2.5)
    biases = named(PACKING["lstm"], parameters.flatten(cell))
    drawn = np.exp(biases["b_f"])
    assert 1 <= drawn.min() < 2 and 98 < drawn.max() < 99.001
    assert drawn.mean() == pytest.approx(50, abs=4 * (98 / np.sqrt(12)) / np.sqrt(1000))
    np.testing.assert_array_equal(biases["b_i"], -biases["b_f"])
    assert not np.concatenate([biases["b_g"], biases["b_o"]]).any()


def test_chrono_leaves_the_matrices_as_they_are_without_it():
    without, cell = (CELLS["lstm"](3, HIDDEN, rngs=nnx.Rngs(0), chrono=chrono) for chrono in (0, 100))
    np.testing.assert_array_equal(cell.w[...], without.w[...])
    np.testing.assert_array_equal(cell.u[...], without.u[...])


@pytest.mark.parametrize("chrono", [-100, 1, 2])
def test_chrono_under_3_steps_is_refused(chrono):
    with pytest.raises(UserError, match=f"chrono is the longest dependency in steps, at least 3, not {chrono}"):
        CELLS["lstm"](3, HIDDEN, rngs=nnx.Rngs(0), chrono=chrono)


def test_chrono_is_set_from_the_command_line():
    config = defaults()
    config.lock()
    config.cell.options.unlock()
    override(config, "cell.options.chrono", "100")
    biases = named(PACKING["lstm"], parameters.flatten(cell_maker(config)(3, rngs=nnx.Rngs(0))))
    assert biases["b_f"].max() > np.log(50)


def test_irnn_starts_as_the_identity():
    cell = CELLS["rnn"](HIDDEN, HIDDEN, rngs=nnx.Rngs(0), recurrent_init=initialiser("identity"), activation="relu")
    np.testing.assert_array_equal(cell.u[...], np.eye(HIDDEN))
    x = jnp.zeros(HIDDEN)
    h = jnp.arange(float(HIDDEN))
    assert_close(cell(h, x), (h, h), rtol=0)


def test_unknown_names_are_answered_with_the_nearest_right_one():
    with pytest.raises(UserError, match="unknown cell 'gruu'; did you mean 'gru'"):
        find_cell("gruu")
    with pytest.raises(UserError, match="unknown activation 'rleu' for rnn; did you mean 'relu'"):
        make("rnn", activation="rleu")


@every_cell
def test_each_matrix_is_drawn_for_itself(name):
    """Recurrent matrices orthogonal gate by gate; input matrices as wide as Glorot's bound of one gate, not of all."""
    if name not in PACKING:
        pytest.skip("tests/cells_numpy.py does not name this cell's matrices")
    weights = named(PACKING[name], parameters.flatten(CELLS[name](20, 30, rngs=nnx.Rngs(0))))
    for matrix_name, matrix in weights.items():
        if matrix_name.startswith(("W_h", "R_")):
            np.testing.assert_allclose(matrix @ matrix.T, np.eye(30), atol=1e-5, err_msg=matrix_name)
        elif matrix.ndim == 2:
            bound = np.sqrt(6 / sum(matrix.shape)) / (np.sqrt(2) if matrix_name in PARTS else 1)
            assert 0.95 * bound < np.abs(matrix).max() <= bound, matrix_name
    matrices = [matrix for matrix in weights.values() if matrix.ndim == 2]
    assert len({matrix.tobytes() for matrix in matrices}) == len(matrices)
