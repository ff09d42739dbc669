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
    parser = argparse.ArgumentParser(description="Train the trial of a run directory, or go on with it.")
    parser.add_argument("runs", nargs="+", help="several are one program; finished ones keep their slots")
    parser.add_argument("--cores", required=True, help="the cores to stay on, with commas between")
    parser.add_argument("--parent", type=int, help="the process without which this one stops (default: its parent)")
    parser.add_argument("--until", type=int, metavar="STEP", help="pause there")
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
    runs = [RunDirectory(path) for path in options.runs]
    slots = [k for k, run in enumerate(runs) if len(runs) == 1 or run.status()["state"] not in AT_REST]
    if not slots:
        return 0
    held_here = slots if options.process == 0 else []  # of several processes the first has the run's files
    try:
        with contextlib.ExitStack() as held:
            for slot in held_here:
                held.enter_context(runs[slot].lock(LOCK_SECONDS))
            try:
                if options.processes > 1:
                    runs = [held.enter_context(_joined(runs[0], options))]
                outcomes = _train(runs, slots, options.until, lambda: bool(stop) or os.getppid() != parent)
                return 2 if "failed" in outcomes else 3 if "interrupted" in outcomes else 0
            except UserError as error:
                logging.error("%s", error)
                why = str(error)
            except Exception as error:  # the sweep goes on without these trials, and their log tells where they broke
                logging.exception("training failed")
                why = f"{type(error).__name__}: {error}".splitlines()[0]
            for slot in held_here:
                if runs[slot].status()["state"] not in (*AT_REST, "failed"):
                    runs[slot].set_status("failed", why)
    except UserError as error:  # a directory is taken, or not even its status can be written
        print(f"error: {error}", file=sys.stderr)
    return 2


def _joined(run: RunDirectory, options) -> contextlib.AbstractContextManager[RunDirectory]:
    from seqjax.training import processes

    processes.join(options.coordinator, options.processes, options.process)
    return processes.own(run)


def _train(runs: list[RunDirectory], slots: list[int], until: int | None, stop_requested) -> list[str]:
    import jax

    from seqjax.config import completed
    from seqjax.training.loop import Loop, train
    from seqjax.training.stack import Stack
    from seqjax.training.step import Trainer
    from seqjax.training.trial import describe_environment, open_task, starting_weights

    trials = [runs[slot].trial() for slot in slots]
    task = open_task(trials[0])[1]
    environment = describe_environment()
    if len(runs) > 1:
        environment["allocation"]["stack"] = [run.name for run in runs]
    if jax.process_count() > 1:
        environment["allocation"]["processes"] = jax.process_count()
    loops: list[Loop] = []
    for slot, trial in zip(slots, trials, strict=True):
        config = completed(trial["config"])
        _note_environment(runs[slot], environment)
        if loops:
            trainer = loops[0].trainer.twin(config)
        else:
            trainer = Trainer(task, config, jax.devices() if len(runs) == 1 else jax.devices()[:1])
        loops.append(Loop(runs[slot], task, config, starting_weights(config, trial), trainer, until))
    if len(runs) == 1:
        return train(loops, loops[0].trainer, stop_requested)
    return train(loops, Stack([loop.trainer for loop in loops], slots, len(runs)), stop_requested)


def _note_environment(run: RunDirectory, now: dict) -> None:
    """Keep what the run began with; say where it goes on with something else."""
    before = run.environment()
    if before is None:
        run.write_environment(now)
    for name in ("python", "packages", "allocation"):
        if before is not None and before[name] != now[name]:
            logging.warning("%s began with %s %s and goes on with %s", run.name, name, before[name], now[name])


if __name__ == "__main__":
    sys.exit(main())
