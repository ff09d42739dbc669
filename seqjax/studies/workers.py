"""Independent jobs in processes of their own, one core each. Neither NumPy nor JAX is imported here: a worker settles
its core and its threads first.
"""

import contextlib
import importlib
import multiprocessing
import os
import pathlib
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

from seqjax import allocation
from seqjax.errors import UserError

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Job(NamedTuple):
    """A call of `function` of a module, by name, so that the module is imported in the worker alone."""

    name: str
    module: str
    function: str
    arguments: tuple


class Outcome(NamedTuple):
    """What a job returned, or the sentence that says why it returned nothing."""

    job: Job
    result: object
    failure: str


def run(jobs: list[Job], workers: int, cache: pathlib.Path) -> Iterator[Outcome]:
    """The outcome of every job as it ends, from so many processes at a time; 0 runs them here, one by one.

    The first jobs are started first. Programs compiled are kept in `cache`. A job that fails ends alone; whatever ends
    this generator early, Ctrl-C for one, ends the processes at once.
    """
    if workers == 0:
        for job in jobs:
            yield Outcome(job, *_attempt(job))
        return
    context = multiprocessing.get_context("spawn")
    shares = context.SimpleQueue()
    for share in allocation.divide(workers):
        shares.put(share)
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_settle, initargs=(shares, str(cache)))
    try:
        waiting = {pool.submit(_attempt, job): job for job in jobs}
        for done in as_completed(waiting):
            try:
                yield Outcome(waiting[done], *done.result())
            except BrokenProcessPool as error:
                raise UserError("a measuring process was ended from outside (out of memory?)") from error
    finally:
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)


def _attempt(job: Job):
    try:
        return getattr(importlib.import_module(job.module), job.function)(*job.arguments), ""
    except UserError as error:
        return None, str(error)
    except Exception as error:  # whatever a user's own cell raises
        return None, f"{type(error).__name__}: {error}".splitlines()[0]


def _settle(shares, cache: str) -> None:
    """Take a share of the machine, before NumPy and JAX are imported."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    share = shares.get()
    os.environ |= {**share.environment(), **ONE_THREAD, "JAX_COMPILATION_CACHE_DIR": cache}
    with contextlib.suppress(OSError):  # the core has been taken from us since: any will do
        share.bind()


def _end_with_the_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
