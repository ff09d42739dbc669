"""One trial, or a stack of trials, in a process of its own: `python -m seqjax.training RUN... --cores=0,1`.

The launcher starts it. Several such processes train one trial together: see `seqjax.training.processes`.
"""

import argparse
import contextlib
import logging
import os
import signal
import sys

from seqjax.allocation import Allocation
from seqjax.errors import UserError
from seqjax.results import AT_REST, RunDirectory

# To wait for the process that trained the run before: it lost its launcher and is saving itself, perhaps, or it went
# with its machine, whose locks NFS keeps for 90 s.
LOCK_SECONDS = 120.0


def main(arguments=None) -> int:
    """Train; returns 0 when all runs are finished, 2 when one failed, 3 when they were stopped and can go on."""
    parser = argparse.ArgumentParser(description="Train the trials of run directories, or go on with them.")
    parser.add_argument("runs", nargs="+", help="of one program; - is the empty slot of a stack's member")
    parser.add_argument("--cores", required=True, help="the cores to stay on, with commas between")
    parser.add_argument("--parent", type=int, help="the process without which this one stops (default: its parent)")
    parser.add_argument("--until", type=int, metavar="STEP", help="pause there")
    parser.add_argument("--since", type=int, default=0, metavar="STEP", help="runs paused there may be stacked anew")
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="where several processes of one trial meet")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="how many they are")
    parser.add_argument("--process", type=int, default=0, metavar="K", help="which of them this one is")
    options = parser.parse_args(arguments)
    code = _train_and_tell(options)
    if options.processes > 1 and code == 2:
        os._exit(code)  # Python's own end would wait for the others, who may be gone
    return code


def _train_and_tell(options) -> int:
    Allocation(tuple(map(int, options.cores.split(",")))).bind()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax tells of every step of every save

    stop = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *received: stop.append(received))
    parent = options.parent or os.getppid()
    slots = [None if path == "-" else RunDirectory(path) for path in options.runs]
    if len(slots) > 1:
        slots = [run if run and run.status()["state"] not in AT_REST else None for run in slots]
    runs = [run for run in slots if run]
    if not runs:
        return 0
    mine = runs if options.process == 0 else []  # of several processes the first has the run's files
    try:
        with contextlib.ExitStack() as held:
            for run in mine:
                held.enter_context(run.lock(LOCK_SECONDS))
                run.clean()
            try:
                if options.processes > 1:
                    slots = [held.enter_context(_joined(runs[0], options))]
                outcomes = _train(slots, options, lambda: bool(stop) or os.getppid() != parent)
            except Exception as error:
                outcomes = [_fail(mine, error)]
    except UserError as error:  # a directory is taken, or not even its status can be written
        print(f"error: {error}", file=sys.stderr)
        return 2
    if "queued" in outcomes:
        return 3
    return 2 if "failed" in outcomes else 3 if "interrupted" in outcomes else 0


def _fail(runs: list[RunDirectory], error: Exception) -> str:
    """End runs as failed, with the reason; the sweep goes on without them, and their log tells where they broke."""
    if isinstance(error, UserError):
        logging.error("%s", error)
        why = str(error)
    else:
        logging.error("training failed", exc_info=error)
        why = f"{type(error).__name__}: {error}".splitlines()[0]
    for run in runs:
        if run.status()["state"] not in (*AT_REST, "failed"):
            run.set_status("failed", why)
    return "failed"


def _joined(run: RunDirectory, options) -> contextlib.AbstractContextManager[RunDirectory]:
    from seqjax.training import processes

    processes.join(options.coordinator, options.processes, options.process)
    return processes.own(run)


def _train(slots: list[RunDirectory | None], options, stop_requested) -> list[str]:
    """Train the runs, as a stack where that pays, else one after another; returns what became of them."""
    import jax

    from seqjax.training import loop, stack
    from seqjax.training.trial import describe_environment, open_task

    runs = [run for run in slots if run]
    trial = runs[0].trial()
    stacked = len(slots) > 1 and stack.pays(trial["config"], jax.default_backend() != "cpu")
    environment = describe_environment() | {"stack": {"since": options.since}}
    if stacked:
        environment["stack"]["names"] = [run.name if run else "-" for run in slots]
    if jax.process_count() > 1:
        environment["allocation"]["processes"] = jax.process_count()
    make = _Loops(open_task(trial)[1], jax.devices()[:1] if stacked else jax.devices(), environment, options)
    if len(runs) == len(slots) == 1:
        return loop.train([made := make(runs[0])], made.trainer, stop_requested)
    if not stacked:
        return [_train_next(run, make, stop_requested) for run in runs]
    members = {slot: _made_or_failed(run, make) for slot, run in enumerate(slots) if run}
    members = {slot: made for slot, made in members.items() if made}
    if not members:
        return ["failed"]
    trainer = stack.Stack([made.trainer for made in members.values()], [*members], len(slots))
    failed = ["failed"] * (len(runs) - len(members))
    return failed + loop.train([*members.values()], trainer, stop_requested)


def _train_next(run: RunDirectory, make, stop_requested) -> str:
    from seqjax.training import loop

    if stop_requested():
        return "queued"
    try:
        made = make(run)
        return loop.train([made], made.trainer, stop_requested)[0]
    except Exception as error:
        return _fail([run], error)


def _made_or_failed(run: RunDirectory, make):
    try:
        return make(run)
    except Exception as error:
        _fail([run], error)
        return None


class _Loops:
    """Makes the loops of trials of one program, which share its compiled functions."""

    def __init__(self, task, devices, environment: dict, options):
        self.task, self.devices, self.environment, self.options = task, devices, environment, options
        self.first = None

    def __call__(self, run: RunDirectory):
        from seqjax.config import completed
        from seqjax.training.loop import Loop
        from seqjax.training.step import Trainer
        from seqjax.training.trial import starting_weights

        trial = run.trial()
        config = completed(trial["config"])
        _note_environment(run, self.environment)
        trainer = self.first.twin(config) if self.first else Trainer(self.task, config, self.devices)
        self.first = self.first or trainer
        return Loop(run, self.task, config, starting_weights(config, trial), trainer, self.options.until)


def _note_environment(run: RunDirectory, now: dict) -> None:
    """Keep what the run began with, but for its stack where that is a new one; say where it goes on with another."""
    from seqjax.training.stack import stack_of

    before = run.environment()
    begun = any(run.checkpoints.glob("[0-9]*"))
    if before is None and begun:
        logging.warning("environment.json of %s is missing: whether this goes on with its cores is not known", run.name)
    if before is None or not begun:
        run.write_environment(now)
        return
    if stack_of(run, now["stack"]["since"]) is None:
        run.write_environment({**before, "stack": now["stack"]})
    for name in ("python", "packages", "allocation"):
        if before[name] != now[name]:
            logging.warning("%s began with %s %s and goes on with %s", run.name, name, before[name], now[name])


if __name__ == "__main__":
    sys.exit(main())
