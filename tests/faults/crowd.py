"""Two launches at once on one runs directory, clocks that jump, runs of another version, and half-written files.

The clocks are Python's time.time() and time.time_ns(), in one process of a launch, then in a listing. The trial must
end with the bits of the undisturbed one, and who has to wait or cannot go on must say so in a sentence.
"""

import json
import os
import random
import shutil
import subprocess
import time

from seqjax.results import read_json, write_json
from tests.faults.attack import Outcome, traceback
from tests.faults.place import ROOT, Place, different, prepare


def _two_launches(place: Place, dice: random.Random) -> tuple[str, str, bool]:
    """The second starts up to three seconds after the first."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    first = subprocess.Popen(place.launch(), cwd=ROOT, env=place.environment(), **pipes)
    pause = dice.uniform(0, 3)
    time.sleep(pause)
    second = place.call(place.launch())
    told = first.communicate()[0].decode()
    codes = sorted((first.returncode, second.code))
    wrong = traceback(told + second.told)
    if codes not in ([0, 0], [0, 2]):
        wrong = wrong or f"exit codes {first.returncode} and {second.code}"
    if codes == [0, 2] and "another launch is at work on" not in told + second.told:
        wrong = wrong or f"no sentence: {second.last}"
    return f"a second launch {pause:.1f} s after the first", wrong, True


def _clock(place: Place, dice: random.Random) -> tuple[str, str, bool]:
    """In the launcher, the training process, or what reads the runs: by up to a year, several times a second."""
    process = dice.choice(("seqjax.training", "experiments.launch"))
    ended = place.call(place.launch(), {"process": process, "do": "clock"})
    called = place.mark.exists()
    wrong = traceback(ended.told) or (f"exit code {ended.code}: {ended.last}" if ended.code else "")
    when = time.time() + dice.choice((-1, 1)) * 10 ** dice.uniform(0, 8)
    for path in place.run.path.rglob("*"):
        os.utime(path, (when, when))
    listing = place.command("compare", place.runs, "--list")
    jumping, steady = place.call(listing, {"process": "experiments.compare", "do": "clock"}), place.call(listing)
    if jumping.told != steady.told or jumping.code or "done" not in steady.told:
        wrong = wrong or f"two listings differ: {jumping.last}, {steady.last}"
    never = "" if called else " (not called)"
    return f"the clock of {process} jumps{never}; files of {when - time.time():.0f} s from now", wrong, called


def _half_written(place: Place, dice: random.Random) -> tuple[str, str, bool]:
    """A status or config that ends in its middle, as no write of ours leaves it."""
    shutil.copytree(prepare(place.shared).runs, place.runs)
    name = dice.choice(("status.json", "config.json", "environment.json"))
    path = place.run.path / name
    path.write_bytes(path.read_bytes()[: dice.randrange(path.stat().st_size)])
    ended = place.call(place.launch())
    if name == "config.json":  # the trial itself: nobody can know what it was
        wrong = "" if ended.code == 2 and name in ended.told else f"exit code {ended.code}: {ended.last}"
        path.unlink()
        place.call(place.launch())
    else:
        wrong = f"exit code {ended.code}: {ended.last}" if ended.code else ""
    return f"{name} ends in its middle", traceback(ended.told) or wrong, True


def _version(place: Place, dice: random.Random) -> tuple[str, str, bool]:
    """A run directory whose format is of another version."""
    shutil.copytree(prepare(place.shared).runs, place.runs)
    path = place.run.path / "config.json"
    before = path.read_bytes()
    version = dice.choice((0, 2, 99, "x", None))
    write_json(path, {**read_json(path), "format": version})
    commands = [
        place.launch(),
        place.command("compare", place.runs),
        place.command("sample", place.run.path),
        place.command("evaluate", place.run.path),
    ]
    ended = place.call(dice.choice(commands))
    wrong = traceback(ended.told)
    if ended.code != 2 or "is of another version" not in ended.told:
        wrong = wrong or f"exit code {ended.code}: {ended.last}"
    path.write_bytes(before)
    return f"format {json.dumps(version)}", wrong, True


KINDS = (_two_launches, _clock, _half_written, _version)


def attack(seed: int, place: Place) -> Outcome:
    """Disturb in the way of the seed, then launch again and compare."""
    dice = random.Random(seed)  # noqa: S311 - repeatable
    what, wrong, struck = KINDS[seed % len(KINDS)](place, dice)
    again = place.call(place.launch())
    wrong = wrong or traceback(again.told) or (f"then exit code {again.code}: {again.last}" if again.code else "")
    wrong = wrong or different(place.run, place.shared)
    shutil.rmtree(place.folder)
    return Outcome("crowd", seed, what, "the same bits", wrong, struck)
