"""Trials, alone or stacked, as tasks of a Ray cluster, each on a core (or GPU) of its own on one of its machines.

A task starts the process that trains its runs on the machine where it lands, and waits for it. Ray runs a task again
whose machine or process is lost, on any machine that is left, and the trial goes on from its newest checkpoint. So all
machines need the same seqjax, and must see the runs directory, and the data, under the same paths. A task that Ray took
for lost may live on for a moment: the lock of the run directory keeps the two apart, if the shared file system has
locks (`flock`) that hold between machines, as NFS does by default.

Importing this module raises UserError where Ray is not installed.
"""

import contextlib
import dataclasses
import os
import pathlib
import platform
import signal
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator

from seqjax import allocation
from seqjax.errors import UserError
from seqjax.results import AT_REST, RunDirectory, locked
from seqjax.sweeps import halving, local

try:
    import ray
except ImportError as error:
    raise UserError("--launcher=ray needs Ray: pip install -e '.[ray]'") from error

FORWARDED = ("SEQJAX_", "JAX_", "XLA_")  # how the variables begin that a task gets from the launcher
RETRIES = 20  # of a task; each goes on where the last one was, so more than these are no longer bad luck


@dataclasses.dataclass
class Task:
    """A stack of trials that Ray has been given."""

    runs: list[RunDirectory]
    reference: object


class Unfinished(Exception):
    """A trial was told to stop, but not by us: its machine is about to go, say."""


def connect() -> None:
    """Join the cluster at $RAY_ADDRESS, or that of this machine. Raises UserError where there is none."""
    address = os.environ.get("RAY_ADDRESS") or "auto"
    interrupted = signal.getsignal(signal.SIGTERM)
    try:
        _knock(address)
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as later versions do, which no longer warn
        ray.init(address, log_to_driver=False, logging_level="ERROR")
    except OSError as error:
        where = "" if address == "auto" else f" at {address}"
        raise UserError(
            f"no Ray cluster was found{where}: start one with `ray start --head` here and "
            "`ray start --address=HOST:6379` on the other machines, or name one with RAY_ADDRESS"
        ) from error
    except (RuntimeError, ValueError) as error:  # another version of Python or Ray; an address of another kind
        raise UserError(f"the Ray cluster cannot be used: {str(error).strip().splitlines()[0]}") from error
    finally:
        signal.signal(signal.SIGTERM, interrupted)  # Ray's own handler would end us at once


def _knock(address: str) -> None:
    """Raise OSError where nobody answers at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10.0).close()


def places() -> int:
    """How many trials the cluster can train side by side now: one a GPU where there are GPUs, else one a core."""
    return max(1, int(ray.cluster_resources().get("GPU" if _on_gpus() else "CPU", 1)))


def _on_gpus() -> bool:
    return os.environ.get("JAX_PLATFORMS", "") != "cpu" and ray.cluster_resources().get("GPU", 0) >= 1


def run_all(
    stacks: list[list[RunDirectory | None]],
    workers: int,
    watch: Callable[[list[Task], list[RunDirectory]], None],
    every: float = 0.5,
    until: int | None = None,
    options: Iterable[str] = (),
    hanging: float = local.HANGING_SECONDS,
) -> None:
    """Train all `stacks`, at most `workers` at a time, on the cluster that `connect` joined; as `local.run_all`.

    Raises UserError, with the other trials saved, where a machine cannot train at all.
    """
    waiting, ended = list(stacks), []
    running: list[Task] = []
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(_submit(waiting.pop(0), until, list(options), hanging))
            over, _ = ray.wait([task.reference for task in running], num_returns=len(running), timeout=every)
            for task in [task for task in running if task.reference in over]:
                running.remove(task)  # first: Ray may crash where a task that has just ended is cancelled
                _result(task)
                ended += task.runs
            watch(running, ended)
    except BaseException:
        _stop(running)
        raise


def _submit(stack: list[RunDirectory | None], until: int | None, more: list[str], hanging: float) -> Task:
    options = {"num_cpus": 1, "num_gpus": int(_on_gpus()), "max_retries": RETRIES, "retry_exceptions": [Unfinished]}
    variables = {name: value for name, value in os.environ.items() if name.startswith(FORWARDED)}
    paths = [run and str(run.path.absolute()) for run in stack]
    going = [run for run in stack if run and run.status()["state"] not in AT_REST]
    return Task(going, ray.remote(**options)(_train).remote(paths, until, more, hanging, variables))


def _train(
    paths: list[str | None], until: int | None, more: list[str], hanging: float, variables: dict[str, str]
) -> None:
    """What a task does, on whichever machine."""
    os.environ.update(variables)
    stack = [path and RunDirectory(path) for path in paths]
    runs = [run for run in stack if run]
    for run in runs:
        if not run.exists():
            raise UserError(
                f"the machine {platform.node()} of the Ray cluster does not see {run.path}: --runs should name a "
                "directory on a file system that all machines share"
            )
    with _free_core() as core:
        (share,) = allocation.divide(1)
        share = share if share.gpu else dataclasses.replace(share, cores=(core,))
        local.run_all([stack], [share], lambda *_: None, until=until, options=more, hanging=hanging)
    for run in runs:
        paused = until is not None and halving.reached(run, until)
        if run.status()["state"] in ("queued", "interrupted") and not paused:
            raise Unfinished(f"{run.name} was told to stop")


@contextlib.contextmanager
def _free_core() -> Iterator[int]:
    """A core of this machine that no other task holds, held; any where all are taken."""
    folder = pathlib.Path(tempfile.gettempdir()) / f"seqjax-cores-{os.getuid()}"
    with contextlib.ExitStack() as held:
        for core in allocation.available_cores():
            try:
                held.enter_context(locked(folder / str(core), f"core {core} is taken"))
            except UserError:
                continue
            break
        yield core


def _result(task: Task) -> None:
    """Raise UserError for a task that could not do its work; a trial that failed has said so in its status."""
    try:
        ray.get(task.reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from error
        told = str(error).strip().splitlines()[-1]
        raise UserError(f"a task of the Ray cluster failed: {told}") from error
    except ray.exceptions.RayError as error:
        raise UserError(f"the Ray cluster lost a task: {str(error).strip().splitlines()[0]}") from error


def _stop(running: list[Task]) -> None:
    for task in running:
        ray.cancel(task.reference)  # an interrupt, on which the task asks its process to save itself
    references = [task.reference for task in running]
    if references:
        ray.wait(references, num_returns=len(references), timeout=local.GRACE_SECONDS)
