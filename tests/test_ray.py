"""Trials as tasks of a Ray cluster: two machines, one of which is lost."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest
import tiny

import seqjax.sweeps
from experiments import launch
from seqjax import allocation
from seqjax.errors import UserError
from seqjax.results import RunDirectory, find_runs

# A checkpoint after each dispatch makes trials last some seconds, so that two of them can be met under way.
SETTINGS = {"train.steps": 300, "train.eval_every": 100, "cell.name": "rnn", "data.test": 0.0}


def test_without_ray_the_sentence_says_how_to_install_it(monkeypatch, tmp_path):
    (tmp_path / "text.txt").write_bytes(tiny.text())
    monkeypatch.setenv("SEQJAX_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "ray", None)  # importing it fails
    monkeypatch.delitem(sys.modules, "seqjax.sweeps.cluster", raising=False)
    monkeypatch.delattr(seqjax.sweeps, "cluster", raising=False)
    with pytest.raises(UserError, match=r"--launcher=ray needs Ray: pip install -e '\.\[ray\]'"):
        launch.main([*tiny.arguments(tmp_path / "text.txt"), f"--runs={tmp_path / 'runs'}", "--launcher=ray"])
    assert not (tmp_path / "runs").exists()


@pytest.fixture(scope="module")
def ray():
    """Ray, set to tell nobody of its use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a text, and a cache of prepared texts and programs, which are compiled quickly."""
    folder = tmp_path_factory.mktemp("ray")
    (folder / "text.txt").write_bytes(tiny.text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQJAX_CACHE_DIR", str(folder / "cache"))
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
        yield folder


@pytest.fixture(scope="module")
def cluster(ray):
    """A Ray cluster of two machines with a core each, both of them here."""
    from ray.cluster_utils import Cluster

    machine = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    made = Cluster(initialize_head=True, head_node_args={**machine, "include_dashboard": False})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", made.address)
        made.second = made.add_node(**machine)
        yield made
    made.shutdown()


def start(folder, runs, *extra, **settings) -> subprocess.Popen:
    """A sweep of three trials, each in a process of its own."""
    config = folder / "three.py"
    config.write_text(
        "from configs import char_lm\n"
        "def get_config(variant=None):\n    return char_lm.get_config('text')\n"
        "def sweep_seeds():\n    yield from ({'seed': seed} for seed in range(3))\n"
    )
    arguments = tiny.arguments(folder / "text.txt", **SETTINGS, **settings)
    arguments[0] = f"--config={config}"
    arguments += ["--sweep=seeds", "--stack=1", f"--runs={folder / runs}", *extra]
    variables = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-m", "experiments.launch", *arguments], env=variables, **pipes)


def step(run: RunDirectory) -> int:
    return (run.timing.last() or {"step": 0})["step"]


def wait_for_two(folder, process: subprocess.Popen, beyond: dict[str, int]) -> None:
    """Return once two runs are under way, beyond the steps named."""

    def under_way():
        runs = [RunDirectory(path.parent) for path in (folder / "ray").glob("*/config.json")]
        return [run for run in runs if run.status()["state"] == "running" and step(run) > beyond.get(run.name, 0)]

    deadline = time.monotonic() + 120
    while len(under_way()) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def undisturbed(folder) -> dict[str, bytes]:
    """What the local launcher's trials measured, by name."""
    process = start(folder, "local", "--workers=3", train__checkpoint_seconds=60.0)
    _, errors = process.communicate(timeout=170)
    assert process.returncode == 0, errors
    return {run.name: run.metrics.path.read_bytes() for run in find_runs([folder / "local"])}


def test_an_interrupted_sweep_goes_on_without_a_machine_that_is_lost(folder, cluster, undisturbed):
    interrupted = start(folder, "ray", "--launcher=ray")
    wait_for_two(folder, interrupted, {})
    interrupted.send_signal(signal.SIGINT)
    _, errors = interrupted.communicate(timeout=120)
    assert (interrupted.returncode, errors.strip()) == (130, "stopped; the same command goes on from here")
    runs = find_runs([folder / "ray"])
    assert [run.status()["state"] for run in runs] == ["interrupted", "interrupted", "queued"]
    assert all("stopped at step" in run.status()["why"] for run in runs[:2])

    process = start(folder, "ray", "--launcher=ray")
    wait_for_two(folder, process, {run.name: step(run) for run in runs})
    cluster.remove_node(cluster.second, allow_graceful=False)
    output, errors = process.communicate(timeout=170)
    assert process.returncode == 0, errors
    assert [(run.status()["state"], run.status()["why"]) for run in runs] == [("done", "")] * 3
    assert all(output.count(f"] {run.name} done") == 1 for run in runs)
    assert "[3/3]" in output
    # Two went on after the interrupt, and the one on the lost machine elsewhere, to the same numbers.
    assert sum(run.log.read_text().count("going on from step") for run in runs) == 3
    assert {run.name: run.metrics.path.read_bytes() for run in runs} == undisturbed
    assert {run.environment()["allocation"]["cores"] for run in runs} == {1}


@pytest.fixture
def joined(cluster):
    """The launcher for Ray, joined to the cluster by this process."""
    import ray

    from seqjax.sweeps import cluster as launcher

    launcher.connect()
    yield launcher
    ray.shutdown()


def test_a_machine_that_does_not_see_the_runs_directory(joined, tmp_path):
    run = RunDirectory(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"the machine .* does not see .*elsewhere: --runs should name a directory on"):
        joined.run_all([[run]], 1, lambda *_: None)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:9", "no Ray cluster was found at 127.0.0.1:9: start one with `ray start --head` here"),
        ("nowhere.invalid:6379", "no Ray cluster was found at nowhere.invalid:6379: start one with"),
        ("here", "the Ray cluster cannot be used: Invalid address format: here"),
    ],
)
def test_no_cluster(ray, monkeypatch, address, sentence):
    from seqjax.sweeps import cluster as launcher

    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UserError, match=sentence):
        launcher.connect()
    assert signal.getsignal(signal.SIGTERM) is handler


def test_tasks_of_one_machine_take_different_cores(ray, monkeypatch, tmp_path):
    from seqjax.sweeps import cluster as launcher

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cores = allocation.available_cores()
    with contextlib.ExitStack() as held:
        taken = [held.enter_context(launcher._free_core()) for _ in cores]
        assert tuple(taken) == cores
        assert held.enter_context(launcher._free_core()) in cores  # where more tasks are than cores
    with launcher._free_core() as again:
        assert again == cores[0]
