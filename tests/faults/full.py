"""The disk is full, or may not be written, from one of a launch's writes on; later there is room again.

Every file that is opened for writing, made, renamed or deleted by Python is a moment to attack, in the launcher and in
the training process: each of them once. The arrays that Orbax writes without Python are met by a limit on the size of
files, and by a small disk that is really full (for which Linux must let this user mount one). The launch must end by
itself. Unless it trained the trial all the same, it must print that something cannot be written, made, read, renamed or
deleted; and no traceback and no exception's class. Launched again with room, the trial must end with the bits of the
undisturbed one. An attack whose write no process came to, or whose disk had room, did not strike.
"""

import errno
import functools
import os
import pathlib
import random
import shutil

from tests.faults.attack import Outcome, named_exception, no_sentence, traceback
from tests.faults.place import Ended, Place, different

ERRORS = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO, errno.EDQUOT)
PROCESSES = ("experiments.launch", "seqjax.training")


@functools.cache
def writes(shared: pathlib.Path, process: str) -> int:
    """How many writes a whole trial does in one of its processes."""
    kept = shared / f"writes-{process}"
    if not kept.exists():
        place = Place(shared.parent / f"counted-{process}", shared)
        place.call(place.launch(), {"process": process, "do": "count", "within": str(place.runs)})
        place.mark.rename(kept)
        shutil.rmtree(place.folder)
    return int(kept.read_text())


def attack(seed: int, place: Place) -> Outcome:
    """Run out of room, look at what was said, launch again with room.

    The first seeds stand for each write of a trial, in the launcher and then in the training process, whose number
    differs a little; of the others half limit the size of files and half have a disk of their own that is really full.
    """
    dice = random.Random(seed)  # noqa: S311 - repeatable
    counts = [writes(place.shared, process) for process in PROCESSES]
    first = again = None
    if seed < sum(counts):
        process, write = (PROCESSES[0], seed + 1) if seed < counts[0] else (PROCESSES[1], seed + 1 - counts[0])
        error = dice.choice(ERRORS)
        fault = {"process": process, "do": "full", "number": error, "write": write, "within": str(place.runs)}
        what = f"{errno.errorcode[error]} from write {write} of {process} on"
    elif seed % 2:
        size = int(10 ** dice.uniform(0, 4.5))
        fault = {"process": PROCESSES[1], "do": "limit", "bytes": size}
        what = f"no file over {size} bytes"
    else:
        size = dice.randint(4, 300)
        what = f"a disk of {size} kB"
        first, again = _on_small_disk(place, size)
    first = first or place.call(place.launch(), fault)
    struck = place.mark.exists() if seed < sum(counts) else first.code != 0
    again = again or place.call(place.launch())
    wrong = traceback(first.told)  # the log holds those of threads of Orbax
    if not wrong and first.code not in (0, 1, 2):
        wrong = f"exit code {first.code}: {first.last}"
    wrong = wrong or (no_sentence(first.told) if first.code else named_exception(first.told))
    wrong = wrong or traceback(again.told) or (f"then exit code {again.code}: {again.last}" if again.code else "")
    wrong = wrong or different(place.run, place.shared)
    shutil.rmtree(place.folder)
    end = f"exit code {first.code}, then the same bits"
    if not struck:
        end = "not reached" if seed < sum(counts) else "there was room"
    return Outcome("full", seed, what, end, wrong, struck)


def _on_small_disk(place: Place, kilobytes: int) -> tuple[Ended, Ended]:
    """Launch with the runs on a disk of that size, in a mount namespace of its own; make it larger, launch again."""
    place.runs.mkdir()
    names = {name: str(place.folder / name) for name in ("first", "kept")}
    script = (
        f"mount -t tmpfs -o size={kilobytes}k none {place.runs} || exit 99; "
        f'"$@" > {names["first"]} 2>&1; echo $? >> {names["first"]}; '
        f'mount -o remount,size=64m {place.runs}; "$@"; code=$?; cp -a {place.runs} {names["kept"]}; exit $code'
    )
    again = place.call(["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", *place.launch()])
    if not os.path.exists(names["kept"]):
        raise RuntimeError(f"no disk could be mounted: {again.told}")
    shutil.rmtree(place.runs)
    os.rename(names["kept"], place.runs)
    told, _, code = pathlib.Path(names["first"]).read_text(errors="replace").rstrip().rpartition("\n")
    return Ended(int(code), told), again
