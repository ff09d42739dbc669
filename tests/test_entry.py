"""Output that cannot be written ends a command with a sentence, and stops no training."""

import os
import pty
import shlex
import subprocess
import sys

import pytest
import tiny

from experiments import launch
from seqjax.results import find_runs

PYTHON = [sys.executable, "-m"]
FULL = "error: the output cannot be written (No space left on device); send it elsewhere, or make room\n"
WITHOUT = "; this goes on without it\n"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A directory with a trained run."""
    folder = tmp_path_factory.mktemp("entry")
    (folder / "text.txt").write_bytes(tiny.text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQJAX_CACHE_DIR", str(folder / "cache"))
        launch.main([*tiny.arguments(folder / "text.txt", train__steps=10), f"--runs={folder / 'runs'}"])
        yield folder / "runs"


def shell(line: str):
    return subprocess.run(["/bin/bash", "-c", line], capture_output=True, text=True, check=False, timeout=300)


def command(name: str, *arguments) -> str:
    return shlex.join([*PYTHON, f"experiments.{name}", *map(str, arguments)])


def training(runs, seed: int) -> str:
    return command("launch", *tiny.arguments(runs.parent / "text.txt", train__steps=10, seed=seed), f"--runs={runs}")


def reading(runs) -> list[str]:
    (run,) = runs.glob("lstm*seed0*")
    return [
        command("compare", runs, "--list"),
        command("compare", runs, f"--out={runs.parent / 'report'}"),
        command("sample", run, "--length=5"),
        command("sample", run, "--length=20000"),  # more than a buffer holds
    ]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_under_the_output(runs):
    for line in reading(runs):
        ended = shell(f"{line} >/dev/full")
        assert (ended.returncode, ended.stderr) == (2, FULL), line
    debugged = shell(f"{reading(runs)[0]} --debug >/dev/full")
    assert debugged.stderr.startswith("Traceback")
    assert shell(f"{command('compare', '/nowhere')} 2>/dev/full").returncode == 2


def test_a_reader_who_has_had_enough(runs):
    for line in reading(runs):
        ended = shell(f"set -o pipefail; {line} | true")
        assert (ended.returncode, ended.stderr) == (141, ""), line


def test_standard_streams_that_are_closed(runs):
    for line in reading(runs):
        ended = shell(f"{line} >&-")
        assert (ended.returncode, ended.stderr) == (0, ""), line
    assert shell(f"{reading(runs)[0]} <&- >&- 2>&-").returncode == 0
    assert shell(f"{command('compare', '/nowhere')} <&- >&- 2>&-").returncode == 2


@pytest.mark.parametrize(
    ("seed", "line", "told"),
    [
        (1, "{} >/dev/full", "the output cannot be written (No space left on device)" + WITHOUT),
        (2, "set -o pipefail; {} | true", "the output cannot be written (Broken pipe)" + WITHOUT),
        (3, "{} >&-", ""),
        (4, "{} <&- >&- 2>&-", ""),
    ],
)
def test_training_goes_on_without_output(runs, seed, line, told):
    ended = shell(line.format(training(runs, seed)))
    assert (ended.returncode, ended.stderr) == (0, told)
    assert [run.status()["state"] for run in find_runs([runs]) if f"seed{seed}-" in run.name] == ["done"]


def test_training_goes_on_without_its_terminal(runs):
    """The live table is being drawn when the terminal closes."""
    ours, its = pty.openpty()
    process = subprocess.Popen(shlex.split(training(runs, 5)), stdout=its, stderr=subprocess.PIPE, text=True)
    os.close(its)
    shown = b""
    while b"compiling" not in shown:
        shown += os.read(ours, 65536)
    os.close(ours)
    told = process.communicate(timeout=300)[1]
    assert (process.returncode, told) == (0, "the output cannot be written (Input/output error)" + WITHOUT)
    assert [run.status()["state"] for run in find_runs([runs]) if "seed5-" in run.name] == ["done"]


@pytest.mark.parametrize("name", ["export", "tensorboard"])
def test_a_disk_that_fills_up_under_a_file(runs, name, tmp_path):
    if name == "tensorboard":
        pytest.importorskip("tensorboardX")
    (run,) = runs.glob("lstm*seed0*")
    out = tmp_path / "weights.npz" if name == "export" else tmp_path / "events"
    line = command(name, run, f"--out={out}")
    assert shell(line).returncode == 0
    kept = out.read_bytes() if name == "export" else None
    ended = shell(f"ulimit -f 1; {line}")  # files of 1 KiB at most
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: {out}")
    assert ended.stderr.endswith("cannot be written: File too large\n")
    assert ended.stderr.count("\n") == 1
    if kept:
        assert [(path, path.read_bytes()) for path in tmp_path.iterdir()] == [(out, kept)]
