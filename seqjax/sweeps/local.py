"""Processes of this machine that train a trial or several of one program, each on cores (or a GPU) of its own."""

import dataclasses
import errno
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
from seqjax.results import AT_REST, GONE, RunDirectory, at_once, content_of

GRACE_SECONDS = 60.0  # that a trial gets to save itself after Ctrl-C: a dispatch and a checkpoint
TRIES = 3  # for a process that is killed, by the system for its memory perhaps, or that hangs
PASSING = (errno.EAGAIN, errno.ENOMEM)  # why a process could not be started, which may pass
HANGING_SECONDS = 3600.0  # without a word in any of its files: then a process counts as hanging


@dataclasses.dataclass
class Worker:
    """A running process: a trial, or several of one program."""

    runs: list[RunDirectory]
    process: subprocess.Popen
    slot: int
    started: float
    stack: list[RunDirectory | None]
    hung: bool = False
    _sizes: list[int] = dataclasses.field(default_factory=list)
    _grown: float = 0.0

    def silent(self) -> float:
        """For how many seconds none of its files has changed its size."""
        files = (path for run in self.runs for path in (run.metrics.path, run.timing.path, run.log))
        sizes = [path.stat().st_size if path.exists() else 0 for path in files]
        if sizes != self._sizes:
            self._sizes, self._grown = sizes, time.monotonic()
        return time.monotonic() - self._grown


def run_all(
    stacks: list[list[RunDirectory | None]],
    slots: list[Allocation],
    watch: Callable[[list[Worker], list[RunDirectory]], None],
    every: float = 0.5,
    until: int | None = None,
    options: Iterable[str] = (),
    hanging: float = HANGING_SECONDS,
) -> None:
    """Train all `stacks`, at most one in each slot at a time. `watch` is told of the running and the ended runs. Trials
    pause at step `until`; `options` go to their processes as they are.

    A trial that fails leaves its reason in its status file and the others go on. A process that is killed is started
    again, TRIES times in all, and so is one that is ended here because it wrote nothing for `hanging` seconds. One that
    cannot be started for want of memory or processes waits while others run, and is then tried as often. On
    KeyboardInterrupt every trial is asked to save itself and is waited for, and the interrupt goes on to the caller.
    """
    waiting, ended = [(stack, TRIES) for stack in stacks], []
    running: list[tuple[Worker, int]] = []
    try:
        while waiting or running:
            free = [slot for slot in range(len(slots)) if all(worker.slot != slot for worker, _ in running)]
            while waiting and free:
                (stack, tries), slot = waiting.pop(0), free.pop(0)
                try:
                    running.append((_start(stack, slot, slots[slot], until, options), tries - 1))
                except OSError as error:
                    if error.errno in PASSING and (running or tries > 1):
                        waiting.append((stack, tries if running else tries - 1))
                        break
                    _fail([run for run in stack if run], f"a training process cannot be started: {error}")
                    ended += [run for run in stack if run]
            time.sleep(every if running or waiting else 0)
            for worker, tries in list(running):
                _end_if_hanging(worker, hanging)
                if worker.process.poll() is not None:
                    running.remove((worker, tries))
                    if _settle(worker, again=tries > 0):
                        waiting.insert(0, (worker.stack, tries))
                    else:
                        ended += worker.runs
            watch([worker for worker, _ in running], ended)
    except BaseException:
        _stop([worker for worker, _ in running])
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
    for run in runs[1:]:
        _note(run, f"trained with {runs[0].name}: {runs[0].log} tells of all")
    with open(runs[0].log, "ab", opener=at_once) as log:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches the launcher alone, which asks each trial once
        )
    going = [run for run in runs if run.status()["state"] not in AT_REST]
    return Worker(going, process, slot, time.monotonic(), stack)


def _note(run: RunDirectory, sentence: str) -> None:
    with open(run.log, "a", encoding="utf-8", opener=at_once) as log:
        log.write(f"{sentence}\n")


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
        _note(run, f"this run began on {wanted['cores']} cores; on {len(cores)} its last bits may differ")
        return share
    return Allocation(cores[: wanted["cores"]], wanted["host_devices"])


def _end_if_hanging(worker: Worker, seconds: float) -> None:
    """A process that hangs heeds no request, and what it saved is whole."""
    if worker.process.poll() is None and worker.silent() > seconds:
        worker.hung = True
        worker.process.kill()
        worker.process.wait()


def _settle(worker: Worker, again: bool) -> bool:
    """What a process that ended without a word leaves unsaid is written to the status of its runs, unless it was killed
    and may be started `again`: returns whether that is to be done.
    """
    code = worker.process.returncode
    said = {2: ("failed", "interrupted"), 3: ("failed", "interrupted", "queued")}.get(code, ())
    statuses = [(run, run.status()) for run in worker.runs]
    unsaid = [run for run, now in statuses if now["state"] not in (*AT_REST, *said) or now["why"] == GONE]
    if not unsaid:
        return False
    if worker.hung:
        why = "the process wrote nothing for too long, and was ended"
    elif code < 0:
        memory = " (out of memory?)" if code == -signal.SIGKILL else ""
        known = -code in set(signal.Signals)
        why = f"the process was ended by {signal.Signals(-code).name if known else f'signal {-code}'}{memory}"
    else:
        why = _last_words(worker.runs[0]) or f"the process ended with code {code}; {worker.runs[0].log} tells more"
    if code < 0 and again:
        logging.warning("%s: %s; it is started again", unsaid[0].name, why)
        return True
    _fail(unsaid, why)
    return False


def _last_words(run: RunDirectory) -> str:
    """The sentence with which a process ended that could not write it into a status, on a full disk say."""
    try:
        log = content_of(run.log).decode(errors="replace")
    except OSError:
        return ""
    if not log:
        return f"the process ended without a word in {run.log}, which perhaps cannot be written"
    if not log.endswith("\n"):
        return f"the process ended, and {run.log} cannot be written to tell why"
    last = log.splitlines()[-1]
    return last.removeprefix("error: ") if last.startswith("error: ") else ""


def _fail(runs: list[RunDirectory], why: str) -> None:
    for run in runs:
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
