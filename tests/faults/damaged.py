"""One file of a run directory is damaged: a bit flipped, the end cut off, or the file deleted.

Half of the runs are stopped at their middle: launched again, they must end with the bits of the undisturbed trial, or
say with one sentence which file is damaged. The others have ended: what reads them must say what it said before, or
name the file. Nothing may print a traceback.
"""

import functools
import os
import pathlib
import random
import re
import shutil

from seqjax.results import find_runs
from tests.faults.attack import Outcome, traceback
from tests.faults.place import Ended, Place, different, prepare

WAYS = ("a bit flipped", "the end cut off", "deleted")
READERS = {
    "compare": ("compare", "{runs}", "--out={out}"),
    "list": ("compare", "{runs}", "--list"),
    "sample": ("sample", "{run}", "--length=30"),
    "evaluate": ("evaluate", "{run}", "--split=test"),
    "export": ("export", "{run}", "--out={out}.npz"),
}


def files(run: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in run.rglob("*") if path.is_file())


def damage(file: pathlib.Path, dice: random.Random) -> str:
    """Do one damage; returns it in words. A file without content can only be deleted."""
    content = file.read_bytes()
    way = dice.choice(WAYS) if content else "deleted"
    if way == "a bit flipped":
        bit = dice.randrange(8 * len(content))
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        file.write_bytes(changed)
        return f"bit {bit} flipped"
    if way == "the end cut off":
        # Often a whole number of lines: what is left is as it was.
        ends = [place + 1 for place, byte in enumerate(content[:-1]) if byte == ord("\n")]
        size = dice.choice(ends) if ends and dice.random() < 0.5 else dice.randrange(len(content))
        file.write_bytes(content[:size])
        return f"cut to {size} of {len(content)} bytes"
    file.unlink()
    return "deleted"


def halfway(shared: pathlib.Path) -> pathlib.Path:
    """The runs directory of the trial, stopped at its middle."""
    runs = shared / "halfway"
    if not runs.exists():
        place = prepare(shared)
        place.call(place.launch(runs=runs))
        (run,) = find_runs([runs])
        shutil.rmtree(run.path)
        fault = {"process": "seqjax.training", "do": "signal", "number": 15, "after": 0.0}
        fault |= {"function": "training/loop.py:_evaluate", "entry": 2, "mark": str(shared / "halfway-struck")}
        ended = place.call(place.launch(runs=runs), fault)
        if run.status()["state"] != "interrupted":
            raise RuntimeError(f"the trial was not stopped at its middle: {ended.told}")
    return runs


def attack(seed: int, place: Place) -> Outcome:
    """Damage a copy of a run, go on with it or read it, and look at what came of it."""
    dice = random.Random(seed)  # noqa: S311 - repeatable
    going_on = seed % 2 == 0
    shutil.copytree(halfway(place.shared) if going_on else prepare(place.shared).runs, place.runs)
    run = place.run.path
    kinds = {}
    for path in files(run):
        kinds.setdefault(path.relative_to(run).parts[0], []).append(path)
    file = dice.choice(kinds[dice.choice(list(kinds))])
    name = str(file.relative_to(run))
    what = f"{name}: {damage(file, dice)}"
    if going_on:
        end, wrong = _go_on(place, name, run)
    else:
        end, wrong = _read(place, name, run, dice.choice(list(READERS)))
    shutil.rmtree(place.folder)
    return Outcome("damaged", seed, what, end, wrong)


def _go_on(place: Place, name: str, run: pathlib.Path) -> tuple[str, str]:
    ended = place.call(place.launch())
    log = run / "log.txt"
    told = ended.told + (log.read_text(errors="replace") if log.exists() else "")
    if found := traceback(told):
        return "went on", found
    if ended.code:
        return _named(ended, name, told)
    return ("went on, and named" if _names(told, name) else "harmless"), different(place.run, place.shared, name)


def _names(told: str, name: str) -> bool:
    """Whether a file, or the checkpoint that it is of, is named."""
    place = re.match(r"(checkpoint|snapshot)s/0*(\d+)/", name)
    return name in told or (place is not None and f"{place[1]} of step {place[2]}" in told)


def _named(ended: Ended, name: str, told: str) -> tuple[str, str]:
    sentence = "" if _names(told, name) else f"{name} is not named: {ended.last}"
    return "refused, and named", sentence or ("" if ended.code in (1, 2) else f"exit code {ended.code}")


def _read(place: Place, name: str, run: pathlib.Path, reader: str) -> tuple[str, str]:
    ended = place.call(_command(place, run, reader))
    if found := traceback(ended.told):
        return reader, found
    if ended.code:
        return _named(ended, name, ended.told)
    if _names(ended.told, name):
        return "read, and named", ""
    # The path is in what some commands print.
    expected = expectation(place.shared, reader)
    same = _result(place, ended, reader) == expected
    return "harmless", "" if same else f"{reader} says something else without a word: {ended.last}"


def _command(place: Place, run: pathlib.Path, reader: str) -> list[str]:
    name, *arguments = READERS[reader]
    return place.command(name, *(a.format(runs=place.runs, run=run, out=place.folder / "out") for a in arguments))


def _result(place: Place, ended: Ended, reader: str) -> tuple:
    """What a command printed and wrote, but for where it is."""
    out = place.folder / "out"
    written = {path.name: path.read_bytes() for path in files(out)} if out.exists() else {}
    if reader == "export":
        import numpy as np

        with np.load(f"{out}.npz") as arrays:
            written = {key: arrays[key].tobytes() for key in arrays}
    told = ended.told.replace(str(place.folder), "")
    return told, {name: content.replace(str(place.folder).encode(), b"") for name, content in written.items()}


@functools.cache
def expectation(shared: pathlib.Path, reader: str) -> tuple:
    """The result of a reader for the undisturbed run."""
    place = Place(shared.parent / f"expected-{reader}-{os.getpid()}", shared)
    shutil.copytree(prepare(shared).runs, place.runs)
    ended = place.call(_command(place, place.run.path, reader))
    found = _result(place, ended, reader)
    shutil.rmtree(place.folder)
    return found
