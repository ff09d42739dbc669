"""The disk is full, or may not be written, from one of a launch's writes on; later there is room again.

Every file that is opened for writing, made, renamed or deleted by Python is a moment to attack, in the launcher and in
the training process; the arrays that Orbax writes without Python are met by a limit on the size of files. The launch
must end by itself, with a sentence that says what cannot be written and without a traceback; launched again with room,
the trial must end with the bits of the undisturbed one.
"""

import errno
import functools
import pathlib
import random
import shutil

from tests.faults.attack import Outcome, traceback
from tests.faults.place import Place, different

ERRORS = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO, errno.EDQUOT)
PROCESSES = ("seqjax.training", "experiments.launch")


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
    """Run out of room, look at what was said, launch again with room."""
    dice = random.Random(seed)  # noqa: S311 - repeatable
    if seed % 4 == 3:
        size = int(10 ** dice.uniform(0, 4.5))
        fault = {"process": "seqjax.training", "do": "limit", "bytes": size}
        what = f"no file over {size} bytes"
    else:
        process = PROCESSES[seed % 4 == 2]
        number, error = dice.randint(1, writes(place.shared, process)), dice.choice(ERRORS)
        fault = {"process": process, "do": "full", "number": error, "write": number, "within": str(place.runs)}
        what = f"{errno.errorcode[error]} from write {number} of {process} on"
    ended = place.call(place.launch(), fault)
    wrong = traceback(ended.told)  # the log holds those of threads of Orbax
    if not wrong and ended.code not in (0, 1, 2):
        wrong = f"exit code {ended.code}: {ended.last}"
    if not wrong and ended.code and not any(word in ended.told for word in ("cannot be", "cannot write", "failed: ")):
        wrong = f"no sentence: {ended.last}"
    end = f"exit code {ended.code}, then the same bits"
    again = place.call(place.launch())
    wrong = wrong or traceback(again.told) or (f"then exit code {again.code}: {again.last}" if again.code else "")
    wrong = wrong or different(place.run, place.shared)
    shutil.rmtree(place.folder)
    return Outcome("full", seed, what, end, wrong)
