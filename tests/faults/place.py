"""A place to attack: a folder with a text, a cache and a trial that nothing disturbed; and how to look at it."""

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np

from seqjax.errors import UserError
from seqjax.results import RunDirectory, find_runs
from seqjax.training import checkpoints
from tests import tiny

INSIDE = pathlib.Path(__file__).with_name("inside")
ROOT = pathlib.Path(__file__).parents[2]
SECONDS = 300  # no command here takes so long
SETTINGS = {"cell.name": "gru", "train.snapshots": 3, "probe.every": 20, "model.dropout": 0.1}


@dataclasses.dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    told: str
    """Both of its outputs."""

    @property
    def last(self) -> str:
        return self.told.strip().rpartition("\n")[2]


class Place:
    """A folder of an attack of its own; what is dear to make, a text's dataset and programs, is shared in `shared`."""

    def __init__(self, folder: pathlib.Path, shared: pathlib.Path | None = None):
        self.folder, self.shared = folder, shared or folder
        folder.mkdir(parents=True, exist_ok=True)
        self.text = self.shared / "text.txt"
        if not self.text.exists():
            self.text.write_bytes(tiny.text())
        self.runs = folder / "runs"
        self.cache = self.shared / "cache"

    def launch(self, *more: str, runs: pathlib.Path | None = None, **settings) -> list[str]:
        """The command that trains the trial, or the trials of a sweep."""
        settings = {**{key.replace(".", "__"): value for key, value in SETTINGS.items()}, **settings}
        arguments = tiny.arguments(self.text, **settings)
        return [sys.executable, "-m", "experiments.launch", *arguments, f"--runs={runs or self.runs}", *more]

    def environment(self, fault: dict | None = None) -> dict[str, str]:
        """Variables for a process that is not, or is, attacked."""
        left_out = ("XLA_FLAGS", "JAX_PLATFORMS", "PYTHONPATH", "JAX_COMPILATION_CACHE_DIR")
        variables = {key: value for key, value in os.environ.items() if key not in left_out}
        variables |= {"SEQJAX_CACHE_DIR": str(self.cache), "JAX_PLATFORMS": "cpu"}
        if fault:
            variables |= {"PYTHONPATH": str(INSIDE), "SEQJAX_FAULT": json.dumps({"mark": str(self.mark), **fault})}
        return variables

    @property
    def mark(self) -> pathlib.Path:
        """There once a fault has struck."""
        return self.folder / "struck"

    def call(self, command: list[str], fault: dict | None = None, seconds: float = SECONDS) -> Ended:
        """Run a command to its end. All that it started has ended then, but for a process that lost its launcher.

        Raises subprocess.TimeoutExpired, with all killed, where it takes longer than that.
        """
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=self.environment(fault),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            for pid in processes(str(self.runs)):
                os.kill(pid, signal.SIGKILL)
            raise
        return Ended(done.returncode, done.stdout.decode(errors="replace"))

    def command(self, name: str, *arguments) -> list[str]:
        return [sys.executable, "-m", f"experiments.{name}", *map(str, arguments)]

    @property
    def run(self) -> RunDirectory:
        """Of the only trial."""
        (run,) = find_runs([self.runs])
        return run


def prepare(shared: pathlib.Path) -> Place:
    """A place with the undisturbed trial. Raises RuntimeError where even that does not work."""
    place = Place(shared)
    if not place.runs.exists():
        ended = place.call(place.launch())
        if ended.code:
            raise RuntimeError(f"the undisturbed trial ended with code {ended.code}: {ended.told}")
    return place


def halfway(shared: pathlib.Path) -> pathlib.Path:
    """The runs directory of the trial, stopped at its middle."""
    runs = shared / "halfway"
    if not runs.exists():
        place = prepare(shared)
        run = RunDirectory(runs / place.run.name)
        # While it writes the second sample, of step 20.
        fault = {"process": "seqjax.training", "do": "signal", "number": signal.SIGTERM, "write": 3}
        fault |= {"within": str(run.samples_folder), "mark": str(shared / "halfway-struck")}
        ended = place.call(place.launch(runs=runs), fault)
        if run.status()["state"] != "interrupted":
            raise RuntimeError(f"the trial was not stopped at its middle: {ended.told}")
    return runs


def processes(word: str) -> list[int]:
    """Those with a word in their command line, this one left out."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if word.encode() in (process / "cmdline").read_bytes() and int(process.name) != os.getpid():
                found.append(int(process.name))
    return found


def temporary(folder: pathlib.Path) -> list[str]:
    """Files and folders that were to be renamed once they are whole, or deleted."""
    hidden = (path for path in folder.rglob(".*") if path.name not in (".lock", ".index"))
    return sorted(str(path.relative_to(folder)) for path in hidden)


@contextlib.contextmanager
def within(seconds: int):
    """Raise TimeoutError in what takes longer: a pipe that nobody writes can be waited for forever."""

    def ring(*_):
        raise TimeoutError(f"what is in a run cannot be read in {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def content(run: RunDirectory) -> dict:
    """All that must be the same for the same trial, whatever happened to it, down to the bit."""
    found = {"state": run.status(), "metrics": run.metrics.path.read_bytes()}
    found |= {f"sample {step}": text for step, text in run.samples().items()}
    for name, folder in (("checkpoint", run.checkpoints), ("snapshot", run.snapshots)):
        for step in checkpoints.candidates(folder):
            try:
                arrays, loop = checkpoints.restore(folder, step)
            except UserError as error:
                found[f"{name} {step}"] = str(error)
                continue
            loop.pop("seconds", None)
            found[f"{name} {step}"] = {key: np.asarray(value).tobytes() for key, value in arrays.items()}, loop
    return found


@functools.cache
def undisturbed(shared: pathlib.Path) -> dict:
    return content(prepare(shared).run)


def differences(run: RunDirectory, shared: pathlib.Path) -> dict:
    """What is not as in the undisturbed trial, as it was found; None where it is missing."""
    expected = undisturbed(shared)
    with within(60):
        found = content(run)
    return {name: found.get(name) for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)}


def different(run: RunDirectory, shared: pathlib.Path) -> str:
    """The names of what is not as in the undisturbed trial; empty where all is."""
    return ", ".join(sorted(differences(run, shared)))
