"""Timing several contestants against each other on a machine that is never quite at rest.

They take turns, round after round, so that a slow moment of the machine strikes all of them, and the best call of each
counts. A turn begins with calls that are not timed: they bring a contestant's data back into the caches, and the
threads of the one before it, which wait busily for a while, get time to fall asleep.
"""

import gc
import itertools
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.contestant import Contestant

TURN = 0.1  # seconds of timed calls in a turn
WARM = 0.02  # seconds, at least, of calls before them
CALLS = 5  # that everybody is timed for at least
SETTLED = 3  # rounds after which settings that are far behind the best of the same peer stop
BEHIND = 1.5  # how far is far


class Timing(NamedTuple):
    """Seconds of one pass."""

    best: float
    median: float
    calls: int
    turns: list[float]  # the best of each turn


def time_all(contestants: list[Contestant], seconds: float) -> list[Timing]:
    """The times of every contestant, each timed for about so many seconds."""
    turns = [[] for _ in contestants]

    def enough(number: int) -> bool:
        calls = list(itertools.chain(*turns[number]))
        if len(turns[number]) == SETTLED and _behind(number):
            return True
        return len(calls) >= CALLS and sum(calls) >= seconds

    def _behind(number: int) -> bool:
        peer = contestants[number].peer
        rivals = [best(n) for n, other in enumerate(contestants) if other.peer == peer and turns[n]]
        return best(number) > BEHIND * min(rivals)

    def best(number: int) -> float:
        return min(map(min, turns[number]))

    remaining = list(range(len(contestants)))
    collecting = gc.isenabled()
    gc.disable()
    try:
        while remaining:
            for number in remaining:
                contestants[number].prepare()
                turns[number].append(_turn(contestants[number].call))
            gc.collect()
            remaining = [number for number in remaining if not enough(number)]
    finally:
        if collecting:
            gc.enable()
    return [_timing(taken) for taken in turns]


def _turn(call: Callable) -> list[float]:
    """Seconds of each timed call."""
    began = time.perf_counter()
    while True:
        call()
        if time.perf_counter() - began >= WARM:
            break
    taken = []
    while sum(taken) < TURN:
        began = time.perf_counter()
        result = call()
        taken.append(time.perf_counter() - began)
        del result  # giving the memory back is not part of the pass
    return taken


def _timing(turns: list[list[float]]) -> Timing:
    calls = list(itertools.chain(*turns))
    return Timing(min(calls), statistics.median(calls), len(calls), [min(turn) for turn in turns])
