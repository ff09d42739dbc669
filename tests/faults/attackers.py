"""Processes that attack, one on each core."""

import concurrent.futures
import dataclasses
import importlib
import multiprocessing
import os
import pathlib
import time

from tests.faults import full, place
from tests.faults.attack import Outcome
from tests.faults.place import Place


def pool(folder: pathlib.Path) -> concurrent.futures.ProcessPoolExecutor:
    """A process for each core, which it and all that it starts stay on."""
    cores = sorted(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    for core in cores:
        queue.put(core)
    return concurrent.futures.ProcessPoolExecutor(len(cores), context, initializer=_settle, initargs=(queue, folder))


def _settle(queue, folder: pathlib.Path) -> None:
    global _shared
    os.sched_setaffinity(0, {queue.get()})
    os.environ["JAX_PLATFORMS"] = "cpu"
    _shared = folder / "shared"


def prepare() -> None:
    """What attacks begin with, once for all processes."""
    place.prepare(_shared)
    place.halfway(_shared)
    for process in full.PROCESSES:
        full.writes(_shared, process)


def attack(kind: str, seed: int) -> Outcome:
    """One attack; what it could not come to is its fault."""
    began = time.monotonic()
    try:
        attacked = Place(_shared.parent / f"{kind}{seed}", _shared)
        outcome = importlib.import_module(f"tests.faults.{kind}").attack(seed, attacked)
    except Exception as error:  # a run that cannot be looked at, a command that never ended
        outcome = Outcome(kind, seed, "", "", f"{type(error).__name__}: {error}".splitlines()[0])
    return dataclasses.replace(outcome, seconds=round(time.monotonic() - began, 1))
