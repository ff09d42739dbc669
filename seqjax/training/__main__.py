"""One trial in a process of its own: `python -m seqjax.training RUN --cores=0,1`. The launcher starts it."""

import argparse
import logging
import os
import signal
import sys

from seqjax.allocation import Allocation
from seqjax.errors import UserError
from seqjax.results import RunDirectory

EXIT = {"done": 0, "diverged": 0, "interrupted": 3}


def main(arguments=None) -> int:
    """Train the run; returns 0 when it is finished, 2 when it failed, 3 when it was stopped and can go on."""
    parser = argparse.ArgumentParser(description="Train the trial of one run directory, or go on with it.")
    parser.add_argument("run")
    parser.add_argument("--cores", required=True, help="the cores to stay on, with commas between")
    parser.add_argument("--parent", type=int, help="the process without which this one stops (default: its parent)")
    options = parser.parse_args(arguments)
    Allocation(tuple(map(int, options.cores.split(",")))).bind()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax tells of every step of every save

    stop = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *received: stop.append(received))
    parent = options.parent or os.getppid()
    run = RunDirectory(options.run)
    try:
        with run.lock(wait_seconds=60.0):  # a process that lost its launcher is saving itself, perhaps
            try:
                return EXIT[_train(run, lambda: bool(stop) or os.getppid() != parent)]
            except UserError as error:
                logging.error("%s", error)
                run.set_status("failed", str(error))
            except Exception as error:  # the sweep goes on without this trial, and its log tells where it broke
                logging.exception("the trial failed")
                run.set_status("failed", f"{type(error).__name__}: {error}".splitlines()[0])
    except UserError as error:  # the directory is taken, or not even its status can be written
        print(f"error: {error}", file=sys.stderr)
    return 2


def _train(run: RunDirectory, stop_requested) -> str:
    from seqjax.training.loop import Loop
    from seqjax.training.trial import describe_environment, open_task, starting_weights

    trial = run.trial()
    config, task = open_task(trial)
    _note_environment(run, describe_environment())
    network_weights = starting_weights(config, trial)
    return Loop(run, task, config, network_weights).train(stop_requested)


def _note_environment(run: RunDirectory, now: dict) -> None:
    """Keep what the run began with; say where it goes on with something else."""
    before = run.environment()
    if before is None:
        run.write_environment(now)
    for name in ("python", "packages", "allocation"):
        if before is not None and before[name] != now[name]:
            logging.warning("this run began with %s %s and goes on with %s", name, before[name], now[name])


if __name__ == "__main__":
    sys.exit(main())
