"""One trial that several processes train together, each with devices of its own."""

import os
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import tiny

from experiments import launch
from seqjax.allocation import Allocation
from seqjax.config import load_config, override
from seqjax.errors import UserError
from seqjax.results import RunDirectory
from seqjax.sweeps.launch import is_over, plan
from seqjax.training import processes
from seqjax.training.step import Trainer
from seqjax.training.trial import load_weights

SETTINGS = {
    "train.steps": 60,
    "train.eval_every": 20,
    "cell.name": "rnn",
    "schedule.name": "plateau",
    "data.test": 0.0,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a text, and a cache of prepared texts and programs, which are compiled quickly."""
    folder = tmp_path_factory.mktemp("distributed")
    (folder / "text.txt").write_bytes(tiny.text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQJAX_CACHE_DIR", str(folder / "cache"))
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
        yield folder


def trial(folder, runs) -> RunDirectory:
    """A queued run directory."""
    config, _ = load_config("configs/char_lm.py:text")
    for argument in tiny.arguments(folder / "text.txt", **SETTINGS)[1:]:
        key, _, value = argument.removeprefix("--config.").partition("=")
        override(config, key, value)
    return plan([config], folder / runs, rerun=False).runs[0]


def start(folder, arguments, devices: int) -> subprocess.Popen:
    share = Allocation((0,), devices).environment()
    variables = {**os.environ, **share, "JAX_COMPILATION_CACHE_DIR": str(folder / "cache" / "compiled")}
    return subprocess.Popen([sys.executable, *arguments], env=variables, text=True, stderr=subprocess.PIPE)


def started(folder, command, devices: int, number: int) -> list[subprocess.Popen]:
    """So many processes of one trial, each with so many devices."""
    if number == 1:
        return [start(folder, command, devices)]
    with socket.socket() as found:
        found.bind(("localhost", 0))
        port = found.getsockname()[1]
    together = [f"--coordinator=localhost:{port}", f"--processes={number}"]
    return [start(folder, [*command, *together, f"--process={k}"], devices) for k in range(number)]


def ended(running: list[subprocess.Popen]) -> list[int]:
    errors = [process.communicate(timeout=170)[1] for process in running]
    codes = [process.returncode for process in running]
    assert set(codes) <= {0, 3}, errors
    return codes


def training(run: RunDirectory) -> list[str]:
    return ["-m", "seqjax.training", str(run.path), "--cores=0"]


def launching(folder, runs) -> list[str]:
    return ["-m", "experiments.launch", *tiny.arguments(folder / "text.txt", **SETTINGS), f"--runs={folder / runs}"]


@pytest.fixture(scope="module")
def whole(folder) -> RunDirectory:
    """A run of one process with four devices."""
    run = trial(folder, "whole")
    assert ended(started(folder, training(run), 4, 1)) == [0]
    return run


@pytest.fixture(scope="module")
def divided(folder) -> RunDirectory:
    """The same of two processes with two devices each, of which the second was told to stop, and started again."""
    run = trial(folder, "divided")
    running = started(folder, training(run), 2, 2)
    while (run.timing.last() or {"step": 0})["step"] < 10 and all(process.poll() is None for process in running):
        time.sleep(0.001)
    running[1].send_signal(signal.SIGTERM)
    assert ended(running) == [3, 3]
    assert run.status()["state"] == "interrupted"
    assert 0 < run.timing.last()["step"] < SETTINGS["train.steps"]
    assert ended(started(folder, launching(folder, "divided"), 2, 2)) == [0, 0]
    return run


def test_two_processes_train_what_one_does(whole, divided):
    assert divided.status()["state"] == "done"
    expected, found = whole.metrics.read(), divided.metrics.read()
    assert len(expected) == 12 + 3 + 3 + 2  # dispatches, evaluations, samples, final scores
    for wanted, record in zip(expected, found, strict=True):
        assert wanted.keys() == record.keys()
        assert (wanted["kind"], wanted["step"]) == (record["kind"], record["step"])
        numbers = [name for name in wanted if isinstance(wanted[name], float)]
        np.testing.assert_allclose([record[n] for n in numbers], [wanted[n] for n in numbers], rtol=1e-5, atol=1e-6)
    for name, value in load_weights(whole).items():
        np.testing.assert_allclose(load_weights(divided)[name], value, rtol=1e-5, atol=1e-6)


def test_the_run_directory_is_that_of_a_lone_process(whole, divided):
    def files(run):
        return sorted(str(path.relative_to(run.path)) for path in run.path.glob("*"))

    assert files(divided) == sorted([*files(whole), "log.txt"])  # which the launcher makes
    assert divided.samples().keys() == whole.samples().keys()
    allocation = divided.environment()["allocation"]
    assert allocation == {"cores": 1, "host_devices": 2, "gpu": False, "processes": 2}
    assert len(divided.environment()["devices"]) == 4


def test_a_further_process_has_nothing_to_do_for_a_finished_trial(folder, divided):
    together = ["--coordinator=localhost:1", "--processes=2", "--process=1"]
    assert launch.main([*launching(folder, "divided")[2:], *together]) == 0


def test_when_a_trial_is_over(divided):
    record = divided.trial()
    longer = {**record, "config": {**record["config"], "train": {**record["config"]["train"], "steps": 100}}}
    other_code = {**record, "code": "other"}
    assert is_over(divided, record, record, rerun=True)
    assert not is_over(divided, record, longer, rerun=False)
    assert is_over(divided, record, other_code, rerun=False)
    assert not is_over(divided, record, other_code, rerun=True)


WRONG = {
    "--processes=0": "--processes is 0; it should be at least 1",
    "--processes=2 --process=2": "--process is 2; it should be from 0 to 1",
    "--process=1": "--process is 1; it should be from 0 to 0",
    "--processes=2": "--coordinator is None; --processes needs HOST:PORT, the same for all",
    "--processes=2 --coordinator=1234": "--coordinator is 1234; --processes needs HOST:PORT",
    "--processes=2 --coordinator=here:": "--coordinator is here:; --processes needs HOST:PORT",
    "--coordinator=here:1234": "say with --processes how many they are",
    "--processes=2 --coordinator=here:1234 --sweep=seeds": "divides one trial among hosts: leave out --sweep",
    "--processes=3 --coordinator=here:1234": "task.batch is 4; it cannot be divided among 3 processes",
    "--processes=3 --process=1 --coordinator=here:1234": "task.batch is 4; it cannot be divided among 3 processes",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_options_are_one_sentence(folder, arguments):
    with pytest.raises(UserError) as raised:
        launch.main([*launching(folder, "wrong")[2:], *arguments.split()])
    assert WRONG[arguments] in str(raised.value)


def test_lanes_that_the_devices_of_all_processes_cannot_share(monkeypatch):
    config = tiny.config(task__batch=3)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(UserError, match=r"task.batch is 3; it should be a multiple of 2, the number of devices"):
        Trainer(tiny.task(config), config)


def test_a_further_process_must_see_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    with (
        pytest.raises(UserError, match=r"there is no run directory .*nowhere"),
        processes.own(RunDirectory(tmp_path / "nowhere")),
    ):
        pass
