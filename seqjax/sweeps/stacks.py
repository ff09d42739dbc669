"""Which trials of a launch are trained together as one program."""

import itertools
from collections import defaultdict

from seqjax.errors import UserError
from seqjax.results import RunDirectory

LARGEST = 64  # trials in a stack, when the launch does not say


def stacked(todo: list[RunDirectory], workers: int, largest: int = LARGEST) -> list[list[RunDirectory]]:
    """`todo` in stacks of trials whose programs are the same, in the order in which their first ones come.

    Stacks are as large as they can be while every worker has one, and as many for each worker where that can be had by
    dividing. What began in a stack goes on in it, with the members that have ended since, so that it stays the same to
    the bit; what began alone goes on alone.
    """
    begun, fresh, groups = [], defaultdict(list), []
    names = {run.name: run for run in todo}
    for run in todo:
        before = _stack_before(run)
        if before is None:
            fresh[run.trial().get("program", run.name)].append(run)
        elif not any(run in stack for stack in begun):
            begun.append([names.get(name) or RunDirectory(run.path.parent / name) for name in before])
    size = max(1, min(largest, -(-sum(map(len, fresh.values())) // workers)))
    for group in fresh.values():
        groups += _divided(group, -(-len(group) // size))
    while (len(begun) + len(groups)) % workers and len(groups) < 3 * workers:
        longest = max(groups, key=len, default=[])
        if len(longest) < 2:
            break
        place = groups.index(longest)
        groups[place : place + 1] = _divided(longest, 2)
    place = {run.name: number for number, run in enumerate(todo)}
    return sorted(begun + groups, key=lambda stack: min(place.get(run.name, len(todo)) for run in stack))


def _divided(group: list, parts: int) -> list[list]:
    """In `parts` of nearly equal length, in order."""
    ends = [round(len(group) * part / parts) for part in range(parts + 1)]
    return [group[begin:end] for begin, end in itertools.pairwise(ends)]


def _stack_before(run: RunDirectory) -> list[str] | None:
    """The names of the stack in which a run began; None where it has not begun, or a member of its stack is gone."""
    try:
        environment = run.environment()
    except UserError:
        return None
    if environment is None:
        return None
    names = environment["allocation"].get("stack", [run.name])
    return names if all((run.path.parent / name / "config.json").exists() for name in names) else None
