"""A run directory is damaged in one place.

Mostly a file: a bit flipped, the end cut off, the file deleted. One time in four something larger: a folder deleted
(of a checkpoint or a snapshot, of all of them, or of the samples), an empty folder, a link to nothing or a pipe in a
file's place, a copy of a sample beside it, a file where a folder of a checkpoint belongs.

Half of the runs are stopped at their middle: launched again, they must end with the bits of the undisturbed trial, or
say with one sentence what is damaged. A sample, checkpoint or snapshot that was written before the damage may stay
damaged, if the launch or who reads it names it.

The others have ended, and a command reads them: compare, its list, sample, evaluate or export. It must print and write
what it did before; or name what is damaged, and then print, the lines that name it aside, what it did before or, where
the newest checkpoint is damaged, what it does without that one. Of a damaged config, status or journal compare and its
list may say anything else besides. Nothing may print a traceback, or take over two minutes.
"""

import functools
import os
import pathlib
import random
import re
import shutil
import subprocess

from tests.faults.attack import Outcome, traceback
from tests.faults.place import Ended, Place, differences, halfway, prepare

SECONDS = 120
WAYS = ("a bit flipped", "the end cut off", "deleted")
READERS = {
    "compare": ("compare", "{runs}", "--out={out}"),
    "list": ("compare", "{runs}", "--list"),
    "sample": ("sample", "{run}", "--length=30"),
    "evaluate": ("evaluate", "{run}", "--split=test"),
    "export": ("export", "{run}", "--out={out}.npz"),
}
NEWEST = "checkpoints/00000040"
NUMBERS = ("config.json", "status.json", "metrics.jsonl", "timing.jsonl")  # of which compare tells


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


def replace(file: pathlib.Path, dice: random.Random) -> str:
    """Something else in the place of a file; returns it in words."""
    way = dice.choice(("an empty folder", "a link to nothing", "a pipe"))
    file.unlink()
    if way == "an empty folder":
        file.mkdir()
    elif way == "a link to nothing":
        file.symlink_to("nowhere/at/all")
    else:
        os.mkfifo(file)
    return way


def misplace(run: pathlib.Path, dice: random.Random) -> tuple[pathlib.Path, str]:
    """Delete a folder, or put a file where none belongs; returns its path, and what was done."""
    way = dice.choice(("folder deleted", "folder deleted", "a copy of a sample", "a file for a checkpoint"))
    if way == "a copy of a sample":
        path = run / "samples" / "00000010 (copy).txt"
        shutil.copy(run / "samples" / "00000010.txt", path)
    elif way == "a file for a checkpoint":
        path = next(p for p in (run / "checkpoints/00000040", run / "checkpoints/00000045") if not p.exists())
        path.write_text("here")
    else:
        folders = [run / name for name in ("samples", "checkpoints", "snapshots")]
        path = dice.choice([*folders, *sorted(run.glob("checkpoints/0*")), *sorted(run.glob("snapshots/0*"))])
        shutil.rmtree(path)
    return path, way


def attack(seed: int, place: Place) -> Outcome:
    """Damage a copy of a run, go on with it or read it, and look at what came of it."""
    dice = random.Random(seed)  # noqa: S311 - repeatable
    going_on = seed % 2 == 0
    larger, reader = dice.random(), dice.choice(list(READERS))  # first: how many files there are differs a little
    shutil.copytree(halfway(place.shared) if going_on else prepare(place.shared).runs, place.runs)
    run = place.run.path
    kinds = {}
    for path in files(run):
        kinds.setdefault(path.relative_to(run).parts[0], []).append(path)
    path = dice.choice(kinds[dice.choice(list(kinds))])
    if larger < 0.125:
        path, way = misplace(run, dice)
    else:
        way = replace(path, dice) if larger < 0.25 else damage(path, dice)
    name = str(path.relative_to(run))
    try:
        end, wrong = _go_on(place, name) if going_on else _read(place, name, reader)
    except subprocess.TimeoutExpired:
        end, wrong = "", f"a command does not end in {SECONDS} s"
    shutil.rmtree(place.folder)
    return Outcome("damaged", seed, f"{name}: {way}", end, wrong)


def _go_on(place: Place, name: str) -> tuple[str, str]:
    ended = place.call(place.launch(), seconds=SECONDS)
    log = place.run.log
    told = ended.told + (log.read_text(errors="replace") if log.is_file() else "")
    if found := traceback(told):
        return "went on", found
    if ended.code:
        return _named(ended, name, told)
    named = _names(told, name)
    wrong = [
        item
        for item, found in differences(place.run, place.shared).items()
        if not (_is_of(item, name) and (named or name in str(found)))
    ]
    return ("went on, and named" if named else "harmless"), ", ".join(sorted(wrong))


def _is_of(item: str, name: str) -> bool:
    """Whether an item of a run's content is what lies, or should lie, under a name in its directory."""
    if name == "timing.jsonl":
        return item == "state"  # it says how many lines the journals have
    folder, *inside = pathlib.PurePath(name).parts
    step = inside[0].removesuffix(".txt") if inside else ""
    kind = folder.removesuffix("s")
    return item == f"{kind} {int(step)}" if step.isdecimal() else not inside and item.startswith(f"{kind} ")


def _names(told: str, name: str) -> bool:
    """Whether a file or folder, or the checkpoint that it is of, is named."""
    if name == "checkpoints":  # where there is none
        return "checkpoint" in told
    place = re.match(r"(checkpoint|snapshot)s/0*(\d+)(?:/|$)", name)
    return f"/{name}" in told or (place is not None and f"{place[1]} of step {place[2]}" in told)


def _named(ended: Ended, name: str, told: str) -> tuple[str, str]:
    sentence = "" if _names(told, name) else f"{name} is not named: {ended.last}"
    return "refused, and named", sentence or ("" if ended.code in (1, 2) else f"exit code {ended.code}")


def _read(place: Place, name: str, reader: str) -> tuple[str, str]:
    ended = place.call(_command(place, place.run.path, reader), seconds=SECONDS)
    if found := traceback(ended.told):
        return reader, found
    if ended.code:
        return _named(ended, name, ended.told)
    result = _result(place, ended, reader)
    if result == expectation(place.shared, reader):
        return "harmless", ""
    page = result[1].get("report.html", b"").decode() if reader == "compare" else ""
    if not _names(ended.told + page, name):
        return "harmless", f"{reader} says something else without a word: {ended.last}"
    if reader in ("compare", "list") and name in NUMBERS:
        return "read, and named", ""
    newest = name.startswith(NEWEST)
    told = _without(result[0], NEWEST if newest else name)
    for before, written in [expectation(place.shared, reader, without) for without in (False, True)[: 1 + newest]]:
        # The page of compare holds the sentence.
        if told == _without(before, NEWEST) and (reader == "compare" or result[1] == written):
            return "read, and named", ""
    return "read, and named", f"{reader} says something else besides: {ended.last}"


def _without(told: str, name: str) -> list[str]:
    """The lines that do not name it."""
    return [line for line in told.splitlines() if not _names(line, name)]


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
def expectation(shared: pathlib.Path, reader: str, without_newest: bool = False) -> tuple:
    """The result of a reader for the undisturbed run, or for that without its newest checkpoint."""
    place = Place(shared.parent / f"expected-{reader}-{os.getpid()}", shared)
    shutil.copytree(prepare(shared).runs, place.runs)
    if without_newest:
        shutil.rmtree(place.run.path / NEWEST)
    ended = place.call(_command(place, place.run.path, reader))
    if ended.code and not without_newest:
        raise RuntimeError(f"{reader} cannot read the undisturbed run: {ended.told}")
    found = _result(place, ended, reader)
    shutil.rmtree(place.folder)
    return found
