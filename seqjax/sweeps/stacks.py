"""Which trials of a launch are trained by one process, which compiles their program once."""

import itertools
import json
from collections import defaultdict

from seqjax import allocation
from seqjax.errors import UserError
from seqjax.results import RunDirectory
from seqjax.training.stack import pays, stack_of

LARGEST = 64  # trials of a process, when the launch does not say


def stacked(
    todo: list[RunDirectory], workers: int, largest: int = LARGEST, since: int = 0
) -> list[list[RunDirectory | None]]:
    """`todo` by processes: trials whose programs are the same together, in the order in which their first ones come.

    They are as many together as they can be while every worker has some, and as many for each worker where that can be
    had by dividing. What began in a stack, or alone where a stack would pay, goes on so, to stay the same to the bit;
    None is the empty slot of a member that is not to be trained. What has paused at step `since` is placed anew.

    The bits of a stack's member do not depend on how many there are, from two on: one that has a worker to itself gets
    an empty slot beside it, so that they do not depend on the number of workers either, nor on what has ended before.
    """
    begun, fresh, groups, placed = [], defaultdict(list), [], set()
    before = {run.name: _stack_before(run, since) for run in todo}
    runs = {run.name: run for run in todo}
    for run in todo:
        names = before[run.name]
        if names is None:
            fresh[run.trial().get("program", run.name), _share(run)].append(run)
        elif run.name not in placed:
            begun.append([runs[name] if before.get(name) == names else None for name in names])
            placed |= {name for name in names if before.get(name) == names}
    size = max(1, min(largest, -(-sum(map(len, fresh.values())) // workers)))
    for group in fresh.values():
        groups += _divided(group, -(-len(group) // size))
    while (len(begun) + len(groups)) % workers and len(groups) < 3 * workers:
        longest = max(groups, key=len, default=[])
        if len(longest) < 2:
            break
        place = groups.index(longest)
        groups[place : place + 1] = _divided(longest, 2)
    if largest > 1:
        groups = [[*group, None] if len(group) == 1 and _is_small(group[0]) else group for group in groups]
    place = {run.name: number for number, run in enumerate(todo)}
    return sorted(begun + groups, key=lambda stack: min(place[run.name] for run in stack if run))


def _divided(group: list, parts: int) -> list[list]:
    """In `parts` of nearly equal length, in order."""
    ends = [round(len(group) * part / parts) for part in range(parts + 1)]
    return [group[begin:end] for begin, end in itertools.pairwise(ends)]


def _stack_before(run: RunDirectory, since: int) -> list[str] | None:
    """The names of the stack in which a run goes on; None where it can be trained beside any of its program."""
    try:
        names = stack_of(run, since)
    except UserError:  # its process will say what is damaged
        return None
    return None if names == [run.name] and not _is_small(run) else names


def _is_small(run: RunDirectory) -> bool:
    """Whether a trial is trained side by side with others."""
    config = run.trial().get("config")
    return bool(config) and pays(config, bool(allocation.available_gpus()))


def _share(run: RunDirectory) -> str:
    """What a run was given of the machine, if it has begun: runs that go on together must have had the same."""
    try:
        before = run.environment()
    except UserError:
        before = None
    return "" if before is None else json.dumps(before["allocation"])
