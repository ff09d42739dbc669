"""A launch is killed at a random moment, up to three times in a row, and launched again until it ends.

The trial must end with the bits of the one that nothing disturbed: measurements, samples, checkpoints, snapshots; and
no temporary file or folder may be left in the runs directory. What was printed must hold no traceback. An attack of
which every moment came too late, or was never seen, did not strike.
"""

import random
import shutil
import signal
import time

from seqjax.results import is_locked
from seqjax.training import checkpoints
from tests.faults.attack import Outcome, traceback
from tests.faults.place import Place, different, temporary

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# Where the attacked process is, and which it is; "writing" is between two writes, "anywhen" any moment of its life.
MOMENTS = {
    "starting": None,
    "restoring": "training/loop.py:_restored",
    "compiling": "training/step.py:compile",
    "training": "training/step.py:advance",
    "evaluating": "training/loop.py:_evaluate",
    "sampling": "tasks/char_lm.py:sample",
    "probing": "training/step.py:probe",
    "saving": "training/checkpoints.py:save",
    "keeping weights": "training/loop.py:_snapshot",
    "measuring the best": "training/loop.py:_measure_best",
    "ending": "training/loop.py:_end",
    "writing": None,
    "anywhen": None,
    "planning": "sweeps/launch.py:plan",
    "reporting": None,
    "power": None,
}
OF_LAUNCHER = ("planning", "reporting")
WRITES = 180  # of a whole trial, about


def fault(moment: str, dice: random.Random, place: Place) -> dict:
    """What `inside/sitecustomize.py` is told."""
    told = {"process": "experiments.launch" if moment in OF_LAUNCHER else "seqjax.training", "do": "signal"}
    told["number"] = signal.SIGKILL if moment == "power" else dice.choice(SIGNALS)
    if moment == "writing":
        return {**told, "within": str(place.runs), "write": dice.randint(1, WRITES)}
    if MOMENTS[moment]:
        entry = dice.randint(1, 3) if moment in ("training", "evaluating", "sampling", "saving") else 1
        return {**told, "function": MOMENTS[moment], "entry": entry, "after": dice.expovariate(1 / 0.01)}
    return {**told, "after": dice.uniform(0, 1.5 if moment == "starting" else 8)}


def lose_power(dice: random.Random, place: Place) -> str:
    """Cut off some of what was not yet surely on the disk: measurements after the newest checkpoint."""
    if not place.runs.exists() or not any(place.runs.glob("*/metrics.jsonl")):
        return ""
    run = place.run
    steps = checkpoints.candidates(run.checkpoints)
    sure = checkpoints.verify(run.checkpoints, steps[0])["loop"]["metrics_lines"] if steps else 0
    lines = run.metrics.path.read_bytes().splitlines(keepends=True)
    size, least = sum(map(len, lines)), sum(map(len, lines[:sure]))
    cut = dice.randint(0, size - least)
    with open(run.metrics.path, "r+b") as file:
        file.truncate(size - cut)
    return f", {cut} bytes lost"


def attack(seed: int, place: Place) -> Outcome:
    """Kill, launch again, compare. With the seeds 0 to 15 each of the moments is the first of a kind."""
    dice = random.Random(seed)  # noqa: S311 - repeatable
    moments = [list(MOMENTS)[seed % len(MOMENTS)], *dice.choices(list(MOMENTS), k=dice.choice((0, 0, 1, 2)))]
    did, struck, wrong = [], 0, ""
    if moments[0] == "compiling":  # for which there must be something to compile
        place.cache = place.folder / "cache"
    for moment in moments:
        told = fault(moment, dice, place)
        ended = place.call(place.launch(), told)
        wait_for_orphan(place)
        hit = place.mark.exists()
        place.mark.unlink(missing_ok=True)
        struck += hit
        did.append(f"{signal.Signals(told['number']).name} while {moment}{'' if hit else ' (not reached)'}")
        if hit and moment == "power":
            did[-1] += lose_power(dice, place)
        wrong = wrong or traceback(ended.told)
    ended = place.call(place.launch())
    wrong = wrong or traceback(ended.told) or (f"exit code {ended.code}: {ended.last}" if ended.code else "")
    wrong = wrong or different(place.run, place.shared)
    wrong = wrong or ", ".join(f"{name} is left" for name in temporary(place.runs))
    shutil.rmtree(place.folder)
    end = f"same bits after {struck} kills" if struck else "not reached"
    return Outcome("killed", seed, "; ".join(did), end, wrong, struck > 0)


def wait_for_orphan(place: Place) -> None:
    """Until a training process whose launcher was killed has saved itself and ended."""
    deadline = time.monotonic() + 60
    while any(is_locked(path) for path in place.runs.glob("*/.lock")) and time.monotonic() < deadline:
        time.sleep(0.05)
