"""A sweep of 200 trials, of which some diverge, some fail, and whose processes crash and are killed, is accounted for.

    python -m benchmarks.killed_sweep [--seed=0] [--out=benchmarks/results]

The sweep (nineteen learning rates, two of them far too large, and a network too large for the memory, by ten seeds) is
launched once undisturbed. Then it is launched again, in another directory, while a second process sends SIGKILL,
SIGSEGV, SIGTERM or SIGINT to a random training process, and now and then SIGKILL or SIGINT to the launcher, at random
moments; whenever the launch ends it is started again, until only those are unfinished that failed undisturbed. In the
end every trial must be there once, with the state, its reason, and to the byte the measurements and samples, of the
undisturbed sweep.
"""

import argparse
import collections
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

RATES = [*(0.0005 * 1.4**k for k in range(17)), 1e20, 1e30]
TOO_LARGE = 300_000  # units: a terabyte of weights
SEEDS = range(10)
CONFIG = """
from seqjax.config import load_config, override
from benchmarks.killed_sweep import RATES, SEEDS, TOO_LARGE
SETTINGS = {"cell.hidden": 16, "cell.layers": 1, "task.batch": 8, "task.chunk": 20, "train.steps": 300,
    "train.steps_per_dispatch": 10, "train.eval_every": 100, "train.checkpoint_seconds": 1.0, "sample.length": 50,
    "schedule.name": "constant", "optimiser.name": "sgd", "clip.name": "none", "cell.name": "gru"}
def get_config(variant=None):
    config, _ = load_config("configs/char_lm.py")
    for key, value in SETTINGS.items():
        override(config, key, value)
    return config
def sweep_trials():
    return [*({"optimiser.learning_rate": rate} for rate in RATES), {"cell.hidden": TOO_LARGE}]
def sweep_seeds():
    return [{"seed": seed} for seed in SEEDS]
"""
TO_TRAINING = (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGINT)
TO_LAUNCHER = (signal.SIGKILL, signal.SIGINT)
MEAN_PAUSE = 8.0  # seconds between two attacks
MOST_LAUNCHES = 200


def launch(place: pathlib.Path, runs: pathlib.Path) -> subprocess.Popen:
    """A launch of the sweep, in a session of its own."""
    command = [sys.executable, "-m", "experiments.launch", f"--config={place}/config.py", "--sweep=trials"]
    command += ["--sweep=seeds", "--workers=2", f"--runs={runs}", "--stack=20"]
    environment = {**os.environ, "SEQJAX_CACHE_DIR": str(place / "cache"), "PYTHONPATH": os.getcwd()}
    with open(place / "launch.txt", "ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def training_processes(runs: pathlib.Path) -> list[int]:
    """Processes that train runs of this directory now."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"seqjax.training" in words and any(str(runs).encode() in word for word in words):
            found.append(int(process.name))
    return found


def attack(dice: random.Random, runs: pathlib.Path, launcher: subprocess.Popen, counts, over: threading.Event) -> None:
    """Send signals until told to stop."""
    while not over.wait(dice.expovariate(1 / MEAN_PAUSE)):
        victims = training_processes(runs)
        to_launcher = dice.random() < 0.1
        number = dice.choice(TO_LAUNCHER if to_launcher else TO_TRAINING)
        victim = launcher.pid if to_launcher else dice.choice(victims) if victims else None
        if victim is None:
            continue
        try:
            os.kill(victim, number)
        except ProcessLookupError:
            continue
        counts[f"{number.name} to {'the launcher' if to_launcher else 'a training process'}"] += 1


def content(runs: pathlib.Path) -> dict[str, tuple]:
    """By the name of each run: its state and why, and the bytes of its measurements and samples."""
    from seqjax.results import find_runs

    found = {}
    for run in find_runs([runs]):
        status, metrics = run.status(), run.metrics.path
        measured = metrics.read_bytes() if metrics.exists() else b""
        found[run.name] = (status["state"], status["why"], measured, run.samples())
    return found


def ends(runs: dict[str, tuple]) -> dict[str, tuple]:
    """By name, what matters to whether another launch is due: that a run has ended, or why it has not."""
    return {name: "ended" if state in ("done", "diverged") else why for name, (state, why, *_) in runs.items()}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, help="a directory for killed_sweep.md")
    options = parser.parse_args(arguments)
    dice, counts = random.Random(options.seed), collections.Counter()  # noqa: S311 - which process to kill
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        (place / "config.py").write_text(CONFIG)
        began = time.monotonic()
        launch(place, place / "whole").wait()
        undisturbed = time.monotonic() - began
        whole = content(place / "whole")
        states = collections.Counter(state for state, *_ in whole.values())
        if states != {"done": 170, "diverged": 20, "failed": 10}:
            sys.exit(f"the undisturbed sweep ended with {dict(states)}: nothing can be compared with it")
        began, launches = time.monotonic(), 0
        while launches < MOST_LAUNCHES:
            launches += 1
            process, over = launch(place, place / "killed"), threading.Event()
            attacker = threading.Thread(target=attack, args=(dice, place / "killed", process, counts, over))
            attacker.start()
            process.wait()
            over.set()
            attacker.join()
            there = content(place / "killed") if (place / "killed").exists() else {}
            if ends(there) == ends(whole):
                break
        seconds, killed = time.monotonic() - began, there
    states = collections.Counter(state for state, *_ in killed.values())
    differing = [name for name in whole if killed.get(name) != whole[name]]
    lines = [
        f"- {len(whole)} trials; undisturbed {undisturbed:.0f} s, attacked {seconds:.0f} s in {launches} launches.",
        f"- Signals: {', '.join(f'{count} {kind}' for kind, count in sorted(counts.items()))}.",
        f"- In the end: {', '.join(f'{count} {state}' for state, count in sorted(states.items()))}.",
        f"- Missing: {len(whole.keys() - killed.keys())}; too many: {len(killed.keys() - whole.keys())}; different in "
        f"state, measurements or samples: {len(differing)}{' ' if differing else ''}{', '.join(differing[:5])}.",
    ]
    print("\n".join(lines))
    if options.out:
        page = f"# A sweep that is killed\n\n{__doc__.strip()}\n\nSeed {options.seed}:\n\n" + "\n".join(lines) + "\n"
        (options.out / "killed_sweep.md").write_text(page, encoding="utf-8")
    return 1 if differing or whole.keys() != killed.keys() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
