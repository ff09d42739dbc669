"""Processes of this machine that train a trial or several of one program, each on cores (or a GPU) of its own."""

import dataclasses
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

from seqjax import allocation
from seqjax.allocation import Allocation
from seqjax.datasets import cache_directory
from seqjax.errors import UserError
from seqjax.results import AT_REST, RunDirectory

GRACE_SECONDS = 60.0  # that a trial gets to save itself after Ctrl-C: a dispatch and a checkpoint


@dataclasses.dataclass
class Worker:
    """A running process: a trial, or several of one program."""

    runs: list[RunDirectory]
    process: subprocess.Popen
    slot: int
    started: float


def run_all(
    stacks: list[list[RunDirectory | None]],
    slots: list[Allocation],
    watch: Callable[[list[Worker], list[RunDirectory]], None],
    every: float = 0.5,
    until: int | None = None,
    options: Iterable[str] = (),
) -> None:
    """Train all `stacks`, at most one in each slot at a time. `watch` is told of the running and the ended runs. Trials
    pause at step `until`; `options` go to their processes as they are.

    A trial that fails leaves its reason in its status file and the others go on. On KeyboardInterrupt every trial is
    asked to save itself and is waited for, and the interrupt goes on to the caller.
    """
    waiting, ended = list(stacks), []
    running: list[Worker] = []
    try:
        while waiting or running:
            free = [slot for slot in range(len(slots)) if all(w.slot != slot for w in running)]
            while waiting and free:
                running.append(_start(waiting.pop(0), free[0], slots[free.pop(0)], until, options))
            time.sleep(every if running else 0)
            for worker in [w for w in running if w.process.poll() is not None]:
                running.remove(worker)
                _settle(worker)
                ended += worker.runs
            watch(running, ended)
    except BaseException:
        _stop(running)
        raise


def training(stack: list[RunDirectory | None], share: Allocation) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment of a process that trains a stack: on the `share`, or on one like that with
    which its runs began.
    """
    share = _as_before(next(filter(None, stack)), share)
    paths = [str(run.path) if run else "-" for run in stack]
    cache = cache_directory() / "compiled"
    environment = {**os.environ, **share.environment(), "JAX_COMPILATION_CACHE_DIR": str(cache)}
    cores = ",".join(map(str, share.cores))
    return [sys.executable, "-m", "seqjax.training", *paths, f"--cores={cores}"], environment


def _start(stack: list[RunDirectory | None], slot: int, share: Allocation, until, options: Iterable[str]) -> Worker:
    command, environment = training(stack, share)
    runs = [run for run in stack if run]
    command += [f"--parent={os.getpid()}", *([f"--until={until}"] if until else []), *options]
    try:
        for run in runs[1:]:
            with open(run.log, "a", encoding="utf-8") as log:
                log.write(f"trained with {runs[0].name}: {runs[0].log} tells of all\n")
        with open(runs[0].log, "ab") as log:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the launcher alone, which asks each trial once
            )
    except OSError as error:
        raise UserError(f"a training process cannot be started: {error}") from error
    going = [run for run in runs if run.status()["state"] not in AT_REST]
    return Worker(going, process, slot, time.monotonic())


def _as_before(run: RunDirectory, share: Allocation) -> Allocation:
    """The share a run had when it began, as far as this machine has it: then it goes on to the same bits."""
    try:
        before = run.environment()
    except UserError:
        before = None
    if before is None or before["allocation"]["gpu"] or share.gpu:
        return share
    cores = allocation.available_cores()
    wanted = before["allocation"]
    if wanted["cores"] == len(share.cores):
        return dataclasses.replace(share, host_devices=wanted["host_devices"])
    if wanted["cores"] > len(cores):
        with open(run.log, "a", encoding="utf-8") as log:
            log.write(f"this run began on {wanted['cores']} cores; on {len(cores)} its last bits may differ\n")
        return share
    return Allocation(cores[: wanted["cores"]], wanted["host_devices"])


def _settle(worker: Worker) -> None:
    """What a process that ended without a word leaves unsaid is written to the status of its runs."""
    code = worker.process.returncode
    for run in worker.runs:
        state = run.status()["state"]
        if state in AT_REST or (code in (2, 3) and state in ("failed", "interrupted")):
            continue
        if code == 3 and state == "queued":  # it was asked to stop before this run's turn came
            continue
        if code < 0:
            why = f"the process was ended by {signal.Signals(-code).name}"
            if code == -signal.SIGKILL:
                why += " (out of memory?)"
        else:
            why = f"the process ended with code {code}; {worker.runs[0].log} tells more"
        try:
            run.set_status("failed", why)
        except UserError as error:  # a full disk, say: the other trials go on
            logging.warning("%s failed: %s, and %s", run.name, why, error)


def _stop(running: list[Worker]) -> None:
    for worker in running:
        if worker.process.poll() is None:
            worker.process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for worker in running:
        try:
            worker.process.wait(max(0.0, deadline - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            worker.process.kill()
            worker.process.wait()
