"""The pictures of vanishing gradients: their numbers are those of the analysis, and the page holds what it promises."""

import csv
import html
import re
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments.vanishing_gradients import chosen_cells, main
from seqjax.analysis import state_gradients
from seqjax.cells import CELLS
from seqjax.errors import UserError
from seqjax.models import parameters
from seqjax.report import gradients_page
from seqjax.report.canvas import Drawing
from seqjax.report.gradients import gates_alone
from seqjax.report.gradients_captions import digits
from seqjax.results import RunDirectory
from seqjax.studies import cells, settings, workers
from seqjax.studies.forget_bias import BiasStudy
from seqjax.studies.observing import double
from seqjax.studies.trained import by_lag
from seqjax.tasks import Adding
from seqjax.training import checkpoints

FIGURES = (
    "gradient_by_lag",
    "singular_value_extremes",
    "singular_value_spectra",
    "step_factors",
    "recurrent_scale",
    "clipping",
    "cliff",
    "forget_bias",
)
SMALL = {"length": 12, "hidden": 4, "seeds": 2, "training_steps": 3}
COMMAND = [sys.executable, "-m", "experiments.vanishing_gradients", "--workers=1"]

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A folder for compiled programs, and fewer optimisations in the processes that measure."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("SEQJAX_CACHE_DIR", str(folder))
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
        yield folder / "compiled"


@pytest.fixture(scope="module")
def out(tmp_path_factory, cache):
    """Where the real command has written."""
    folder = tmp_path_factory.mktemp("gradients")
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    ended = subprocess.run(
        [*COMMAND, "--cells=rnn,lstm", f"--out={folder}", *options], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[-1] == str(folder / "index.html")
    return folder


def table(folder, name: str) -> list[dict[str, str]]:
    with open(folder / f"{name}.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def column(rows, name: str) -> np.ndarray:
    return np.array([float(row[name] or "nan") for row in rows])


def where(rows, **values) -> list[dict[str, str]]:
    return [row for row in rows if all(row[name] == value for name, value in values.items())]


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_its_files_and_its_place_on_the_page(out, name):
    assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert (out / f"{name}.svg").read_text().rstrip().endswith("</svg>")
    assert table(out, name)
    assert f'<figure id="{name}">' in (out / "index.html").read_text()


def test_the_page_asks_for_nothing_from_the_network(out):
    page = (out / "index.html").read_text()
    assert "default-src 'none'" in html.unescape(page)
    assert "<script" not in page
    assert "@import" not in page
    assert not re.findall(r'\bsrc="(?!data:)', page)
    links = re.findall(r'\bhref="([^"]*)"', page)
    outside = [link for link in links if not link.startswith(("#", "data:image/png;base64,"))]
    assert outside
    assert all(link.startswith("https://arxiv.org/abs/") for link in outside)


def test_hostile_names_are_shown_as_text():
    hostile = "</title></dd><script>alert(1)</script><img src=x>\"'&"
    drawn = {"trained_gates": Drawing("<svg></svg>", hostile)}
    pages = (
        gradients_page.trained(hostile, {hostile: hostile}, drawn),
        gradients_page.lecture({hostile: hostile}, {hostile: hostile}, [], {}),
    )
    for page in pages:
        assert "<script" not in page
        assert "<img" not in page
        assert hostile in html.unescape(page)


def test_the_gradients_are_those_of_the_analysis(out):
    """Through another way: nudges of one cell's states instead of taps in the task's network."""
    asked = settings.Settings(length=12, hidden=4, seeds=2)
    task = Adding(settings.adding(asked, "rnn"))
    with jax.enable_x64(True):
        norms = []
        for seed in range(2):
            with jax.enable_x64(False):
                start = task.network(nnx.Rngs(jax.random.key(seed)))
            network = double(start)
            key = jax.random.fold_in(jax.random.key(seed), 2)
            batch = task.batch({}, key, jnp.zeros((), jnp.int32), jnp.arange(asked.batch))

            def loss(ys, network=network, batch=batch):
                return ((network.readout(ys[-1])[:, 0] - batch.target) ** 2).sum()

            gradients = state_gradients(network.stack.layers[0], loss, batch.inputs)
            norms.append(np.linalg.norm(gradients, axis=-1).mean(-1)[::-1])
    rows = where(table(out, "gradient_by_lag"), cell="rnn", training="before")
    np.testing.assert_array_equal(column(rows, "lag"), np.arange(12))
    # The weights are drawn in 32 bits, and how that program was compiled, here or there, moves the last of them.
    np.testing.assert_allclose(column(rows, "median"), np.median(norms, 0), rtol=2e-6)
    np.testing.assert_allclose(column(rows, "least"), np.min(norms, 0), rtol=2e-6)


def test_a_linear_network_stretches_by_its_scale_at_every_step(out):
    rows = where(table(out, "recurrent_scale"), activation="linear")
    expected = column(rows, "scale") ** column(rows, "lag")
    np.testing.assert_allclose(column(rows, "median"), expected, rtol=1e-12)


def test_no_nonlinearity_exceeds_its_bound(out):
    rows = table(out, "recurrent_scale")
    assert {row["activation"] for row in rows} == {"linear", "tanh", "relu", "sigmoid"}
    assert (column(rows, "largest") <= column(rows, "bound") * (1 + 1e-12)).all()


def test_the_product_begins_as_the_identity_and_is_ordered(out):
    rows = where(table(out, "singular_value_spectra"), cell="lstm", state="memory", training="after")
    spectra = column(rows, "singular_value").reshape(13, 4)
    np.testing.assert_array_equal(spectra[0], 1.0)
    assert (np.diff(spectra, axis=1) <= 0).all()


def test_the_memory_of_the_lstm_hears_nothing_at_the_last_step(out):
    rows = where(table(out, "gradient_by_lag"), cell="lstm", state="memory", training="before")
    medians = column(rows, "median")
    assert medians[0] == 0
    assert (medians[1:] > 0).all()


def test_a_larger_bias_opens_the_forget_gate(out):
    rows = table(out, "forget_bias")
    gates = [column(where(rows, start=f"bias {bias}"), "forget_gate_median").mean() for bias in (0, 1, 2)]
    np.testing.assert_allclose(gates, 1 / (1 + np.exp(-np.arange(3.0))), atol=0.05)


def test_clipping_is_told_apart_by_the_threshold(out):
    rows = table(out, "clipping")
    free, clipped = where(rows, run="not clipped"), where(rows, run="clipped")
    assert not column(free, "clipped").any()
    np.testing.assert_array_equal(column(clipped, "clipped"), column(clipped, "gradient_norm") > 3)


def test_captions_say_numbers_of_these_data(out):
    page = (out / "index.html").read_text()
    first = where(table(out, "gradient_by_lag"), cell="rnn", training="after")
    medians = column(first, "median")
    assert f"{digits(medians[-1] / medians[0])} in rnn" in page


def test_the_same_arguments_give_the_same_numbers(out, cache):
    job = workers.Job("rnn", "seqjax.studies.cells", "measure", ("rnn", settings.Settings(**SMALL)))
    (outcome,) = workers.run([job], 1, cache)
    rows = where(table(out, "gradient_by_lag"), cell="rnn", training="after")
    np.testing.assert_array_equal(column(rows, "median"), np.median(outcome.result.norms["hidden"][1], 0))
    rows = where(table(out, "singular_value_extremes"), cell="rnn", training="after", singular_value="smallest")
    smallest = outcome.result.spectra["hidden"][1, :, :, -1]
    np.testing.assert_array_equal(column(rows, "median"), np.median(smallest, 0))


class Leaky(nnx.Module):
    """A cell without a recurrent matrix: h' = a h + W x."""

    def __init__(self, inputs, hidden, *, rngs, kernel_init=nnx.initializers.glorot_uniform(), recurrent_init=None):
        self.w = nnx.Param(kernel_init(rngs.params(), (inputs, hidden)))
        self.a = nnx.Param(jnp.full(hidden, 0.5))

    def initial_state(self):
        return jnp.zeros_like(self.a[...])

    def project(self, x):
        return x @ self.w[...]

    def step(self, h, z):
        h = self.a[...] * h + z
        return h, h

    def __call__(self, h, x):
        return self.step(h, self.project(x))


class Broken(Leaky):
    """A cell whose step cannot be run."""

    def step(self, h, z):
        raise ValueError("no such step")


def test_a_cell_without_a_recurrent_matrix_is_measured_like_any_other(monkeypatch):
    monkeypatch.setitem(CELLS, "leaky", Leaky)
    study = cells.measure("leaky", settings.Settings(length=10, hidden=3, seeds=1, training_steps=1))
    lags = np.arange(11.0)
    np.testing.assert_allclose(study.spectra["hidden"][0, 0, :, 0], 0.5**lags, rtol=1e-12)


def test_every_registered_cell_is_shown_but_variants_of_another_unless_named(monkeypatch):
    monkeypatch.setitem(CELLS, "leaky", Leaky)
    shown = chosen_cells(None)
    assert {"rnn", "lstm", "lstm_peephole", "nas", "leaky"} <= {*shown}
    assert not [name for name in shown if name.startswith("lstm_peephole_")]
    assert chosen_cells("lstm_peephole_np,rnn") == ["lstm_peephole_np", "rnn"]


def test_a_cell_that_fails_gives_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(CELLS, "broken", Broken)
    jobs = [workers.Job("broken", "seqjax.studies.cells", "measure", ("broken", settings.Settings(seeds=1)))]
    (outcome,) = workers.run(jobs, 0, tmp_path)
    assert outcome.result is None
    assert outcome.failure == "ValueError: no such step"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--length=1"], "--length is 1; it should be at least 10"),
        (["--seeds=0"], "--seeds is 0; it should be at least 1"),
        (["--hidden=0"], "--hidden is 0; it should be at least 1"),
        (["--workers=-1"], "--workers is -1"),
        (["--cells=lsmt"], "unknown cell 'lsmt'; did you mean 'lstm'?"),
        (["--cells=,"], "--cells names no cell"),
        (["--out=/dev/null/here"], "the figures cannot be written to /dev/null/here"),
        (["--run=x", "--cells=rnn"], "--run looks into one trained network as it is; it does not go with --cells"),
        (["--run=/nowhere", "--workers=0"], "there is no run directory /nowhere"),
    ],
)
def test_wrong_input_is_one_sentence(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=re.escape(sentence)):
        main(arguments)


@pytest.fixture
def run(tmp_path):
    """A run of two LSTM layers on sequences of different lengths, without a checkpoint, and its network."""
    config = settings.adding(settings.Settings(length=20, hidden=3, batch=4), "lstm")
    config.task.form = "pascanu"
    config.cell.layers = 2
    directory = RunDirectory(tmp_path / "run")
    directory.create({"config": config.to_dict(), "corpus": None})
    return directory, Adding(config).network(nnx.Rngs(0))


def test_a_trained_run_is_looked_into_on_its_own_task(run, tmp_path):
    directory, network = run
    weights = {f"best.{name}": np.asarray(value) for name, value in parameters.flatten(network).items()}
    checkpoints.save(directory.checkpoints, 1, weights, {"best_step": 1})
    assert main([f"--run={directory.path}", f"--out={tmp_path / 'out'}", "--workers=0"]) == 0
    rows = where(table(tmp_path / "out", "trained_gradient_by_lag"), layer="2", state="hidden")
    np.testing.assert_array_equal(column(rows, "lag"), np.arange(len(rows)))
    assert 20 <= len(rows) <= 22
    assert column(rows, "median")[0] == column(rows, "median").max()
    forget = where(table(tmp_path / "out", "trained_gates"), gate="forget")
    assert (np.abs(column(forget, "median") - 0.7) < 0.2).all()  # a bias of 1 and untrained weights
    page = (tmp_path / "out" / "index.html").read_text()
    assert '<figure id="trained_gradient_by_lag">' in page
    assert '<figure id="trained_gates">' in page


def test_a_run_without_a_checkpoint_cannot_be_looked_into(run, tmp_path):
    directory, _ = run
    with pytest.raises(UserError, match="has no checkpoint to read weights from"):
        main([f"--run={directory.path}", f"--out={tmp_path / 'out'}", "--workers=0"])


def test_lags_count_from_each_examples_own_end():
    norms = np.arange(12.0).reshape(6, 2)
    np.testing.assert_array_equal(by_lag(norms, np.array([4, 6])), [[6, 11], [4, 9], [2, 7], [0, 5]])


def test_ctrl_c_ends_it_at_once(tmp_path):
    process = subprocess.Popen(
        [*COMMAND, "--workers=1", f"--out={tmp_path / 'out'}"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (tmp_path / "out").exists() and process.poll() is None:
        time.sleep(0.1)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=15)
    assert process.returncode == 130
    assert told == "stopped: nothing is drawn\n"


def test_the_gates_alone_leave_their_product_from_lag_1():
    study = BiasStudy("bias", norms=np.full((2, 5), 3.0), forget=np.tile([0.9, 0.5, 0.25, 0.5, 0.7], (2, 1)))
    np.testing.assert_allclose(gates_alone(study), [3, 1.5, 0.375, 0.1875])
