"""Probes during training: what they log is what the analysis finds, and a run with them resumes to the bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import test_sequence_tasks
import tiny
from examples import DISTINCT
from flax import nnx
from test_loop import outcome, start, stop_after

from seqjax.analysis import gates, norms, recurrent_matrices, state_gradients, state_names
from seqjax.analysis.probes import lags, probe
from seqjax.cells import CELLS
from seqjax.linear_recurrence import is_linear
from seqjax.models import ManyToOne, Readout, Stack
from seqjax.tasks import find_task

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_lags_are_powers_of_two_and_the_longest():
    assert lags(1) == [0]
    assert lags(2) == [0, 1]
    assert lags(10) == [0, 1, 2, 4, 8, 9]
    assert lags(9) == [0, 1, 2, 4, 8]


@pytest.mark.parametrize("name", DISTINCT)
def test_a_probe_is_what_the_analysis_finds(name):
    cell = CELLS[name](3, 4, rngs=nnx.Rngs(0))
    readout = Readout(4, 2, rngs=nnx.Rngs(1))
    network = ManyToOne(Stack(lambda inputs, rngs: cell, 3, 1, rngs=nnx.Rngs(0)), readout)
    xs = jax.random.normal(jax.random.key(0), (9, 5, 3))
    found = jax.jit(lambda network: probe(network, lambda network: (network(xs) ** 2).sum(), 9, 5))(network)

    gradients = norms(state_gradients(cell, lambda ys: (readout(ys[-1]) ** 2).sum(), xs))
    for part, norm in zip(state_names(cell), jax.tree.leaves(gradients), strict=True):
        for lag in (0, 1, 2, 4, 8):
            value = found.pop(f"layer0.gradient.{part}.lag{lag}")
            np.testing.assert_allclose(value, norm[8 - lag].mean(), rtol=1e-4, atol=1e-9)
    matrices = {} if is_linear(cell) else recurrent_matrices(cell)
    for part, matrix in matrices.items():
        radius = abs(np.linalg.eigvals(matrix)).max()
        np.testing.assert_allclose(found.pop(f"layer0.spectral_radius.{part}"), radius, rtol=1e-4)
    for part, values in gates(cell, xs).items():
        np.testing.assert_allclose(found.pop(f"layer0.gate.{part}"), values.mean(), rtol=1e-5)
    assert not found


def test_lags_are_counted_from_the_end_of_each_sequence():
    cell, lengths = CELLS["gru"](3, 4, rngs=nnx.Rngs(0)), jnp.array([9, 5, 2])
    network = ManyToOne(Stack(lambda inputs, rngs: cell, 3, 1, rngs=nnx.Rngs(0)), Readout(4, 2, rngs=nnx.Rngs(1)))
    xs = jax.random.normal(jax.random.key(0), (9, 3, 3))

    def loss(xs, **options):
        return lambda network: (network(xs, **options) ** 2).sum()

    found = probe(network, loss(xs, lengths=lengths), 9, 3, lengths)
    alone = [probe(network, loss(xs[:n, i : i + 1]), n, 1) for i, n in enumerate((9, 5, 2))]
    for lag in lags(9):
        name = f"layer0.gradient.hidden.lag{lag}"
        of_those_long_enough = [one[name] for one in alone if name in one]
        np.testing.assert_allclose(found[name], np.mean(of_those_long_enough), rtol=1e-5)


class Leaky(nnx.Module):
    """A cell whose state is multiplied by no matrix."""

    def __init__(self, inputs, hidden, *, rngs):
        self.w = nnx.Param(jax.random.normal(rngs.params(), (inputs, hidden)))
        self.keep = nnx.Param(jnp.full(hidden, 0.5))

    def initial_state(self):
        return jnp.zeros(self.keep.shape)

    def project(self, x):
        return x @ self.w[...]

    def step(self, h, z):
        h = self.keep[...] * h + z
        return h, h

    def __call__(self, h, x):
        return self.step(h, self.project(x))


def test_a_cell_without_recurrent_matrix_is_probed_for_its_gradients():
    stack = Stack(lambda inputs, rngs: Leaky(inputs, 4, rngs=rngs), 3, 1, rngs=nnx.Rngs(0))
    network = ManyToOne(stack, Readout(4, 1, rngs=nnx.Rngs(1)))
    found = probe(network, lambda network: network(jnp.ones((5, 2, 3))).sum(), 5, 2)
    gradients = np.array([found[f"layer0.gradient.hidden.lag{lag}"] for lag in (0, 1, 2, 4)])
    np.testing.assert_allclose(gradients / gradients[0], [1, 0.5, 0.25, 0.0625], rtol=1e-6)
    assert all(".gradient." in name for name in found)


def test_of_a_language_model_the_gradient_of_the_last_symbol_alone_is_followed_back(tmp_path):
    config = tiny.config(cell__name="rnn", probe__every=10, train__steps=10)
    loop = start(tmp_path / "run", config)
    state = jax.device_get(loop.state)
    batch = loop.task.batch(loop.task.data, jax.random.key(0), jnp.array(0), jnp.arange(4))
    network = loop.trainer.network(state.parameters)
    found = loop.trainer.probe(loop.state)
    xs = network.embed(batch.symbols[:-1]).dense()

    def loss(ys):
        logits = network.readout(ys[-1], network.embed)
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), batch.symbols[-1][:, None], 1).mean()

    expected = norms(state_gradients(network.stack.layers[0], loss, xs)).mean(-1)
    for lag in lags(10):
        np.testing.assert_allclose(found[f"layer0.gradient.hidden.lag{lag}"], expected[9 - lag], rtol=1e-4, atol=1e-9)


def test_a_run_with_probes_logs_them_and_goes_on_to_the_same_bits(tmp_path):
    config = tiny.config(probe__every=10)
    whole = start(tmp_path / "whole", config)
    whole.train()
    probes = [record for record in whole.run.metrics.read() if record["kind"] == "probe"]
    assert [record["step"] for record in probes] == [0, 10, 20, 30, 40]
    assert {"layer0.gate.forget", "layer0.gradient.memory.lag9", "layer0.spectral_radius.u[3]"} <= probes[0].keys()
    start(tmp_path / "parts", config).train(stop_after(0))
    start(tmp_path / "parts", config).train(stop_after(3))
    parts = start(tmp_path / "parts", config)
    parts.train()
    assert outcome(parts) == outcome(whole)


def test_probes_do_not_change_the_training(tmp_path):
    with_probes, without = (start(tmp_path / str(n), tiny.config(probe__every=10 * n)) for n in (1, 0))
    with_probes.train()
    without.train()
    assert outcome(with_probes)[2] == outcome(without)[2]


def solving(tmp_path, **settings):
    settings = {"task__length": 12, "task__batch": 32, "cell__hidden": 16, "train__eval_every": 50, **settings}
    config = test_sequence_tasks.config_of("latch", train__steps=300, **settings)
    return start(tmp_path / "run", config, find_task("latch").from_corpus(config, None))


def test_a_run_stops_at_the_evaluation_that_finds_it_solved(tmp_path):
    loop = solving(tmp_path)
    assert loop.train() == "done"
    metrics = loop.run.metrics.read()
    solved = [record["step"] for record in metrics if record["kind"] == "solved"]
    assert len(solved) == 1 and solved[0] == int(loop.state.step) < 300
    assert loop.run.status()["why"] == f"solved at step {solved[0]}"
    scores = {record["step"]: record["error"] for record in metrics if record["kind"] == "validation"}
    assert scores[solved[0]] < 0.01 <= min(scores[step] for step in scores if step < solved[0])
    assert {record["split"] for record in metrics if record["kind"] == "final"} == {"validation", "test"}


def test_a_run_may_go_on_after_it_is_solved_and_says_once_when_it_was(tmp_path):
    loop = solving(tmp_path, train__stop_when_solved=False)
    assert loop.train() == "done"
    solved = [record["step"] for record in loop.run.metrics.read() if record["kind"] == "solved"]
    assert len(solved) == 1 and int(loop.state.step) == 300
    assert loop.run.status()["why"] == f"solved at step {solved[0]}"
