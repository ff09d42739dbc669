"""Launching: which trials there are, which of them have work left, and doing it."""

import dataclasses
import logging
import pathlib

from ml_collections import ConfigDict

from seqjax.errors import UserError
from seqjax.results import FINISHED, RunDirectory, locked
from seqjax.training.trial import resolve, run_name


@dataclasses.dataclass
class Plan:
    """The trials of a launch."""

    runs: list[RunDirectory]
    todo: list[RunDirectory]
    stale: list[RunDirectory]  # finished by other code than today's
    finished: list[RunDirectory]


def plan(configs: list[ConfigDict], runs_directory: pathlib.Path, rerun: bool) -> Plan:
    """Resolve the trials, make the run directories that are missing, and say what is left to do.

    With `rerun`, stale trials are trained again from the start. Raises UserError before any directory is made when a
    trial could not run.
    """
    tasks = {}
    records = {}
    for config in configs:
        record = resolve(config, tasks)
        records.setdefault(record["identity"], record)
    result = Plan([], [], [], [])
    for record in records.values():
        run = RunDirectory(_place(runs_directory, record))
        result.runs.append(run)
        if not run.exists():
            run.create(record)
            result.todo.append(run)
            continue
        _sort(run, record, rerun, result)
    return result


def _place(runs_directory: pathlib.Path, record: dict) -> pathlib.Path:
    """Where a trial lies: the directory of its identity if there is one, whatever it was called, else a new one."""
    known = list(runs_directory.glob(f"*-{record['identity'][:8]}"))
    return known[0] if known else runs_directory / run_name(record)


def _sort(run: RunDirectory, record: dict, rerun: bool, result: Plan) -> None:
    before = run.trial()
    if before["identity"] != record["identity"]:
        raise UserError(f"{run.path} holds another trial than its name says; move it away")
    state = run.status()["state"]
    longer = record["config"]["train"]["steps"] > before["config"]["train"]["steps"]
    stale = before["code"] != record["code"]
    if stale and not rerun and (state in FINISHED or list(run.checkpoints.glob("[0-9]*"))):
        result.stale.append(run)
        if state in FINISHED:
            result.finished.append(run)
            return
    if stale and rerun:
        start_over(run, record)
    elif state in FINISHED and not (longer and state == "done"):
        result.finished.append(run)
        return
    else:
        keep = before if stale else record
        run.write_trial({**keep, "config": record["config"]})
        run.set_status("queued")
    result.todo.append(run)


def start_over(run: RunDirectory, record: dict) -> None:
    """Set a run's files aside under a hidden name, and make it anew."""
    number = len(list(run.path.parent.glob(f".{run.name}.old*")))
    run.path.rename(run.path.with_name(f".{run.name}.old{number}"))
    logging.warning("the old files of %s are kept as .%s.old%d", run.name, run.name, number)
    run.create(record)


def hold(runs_directory: pathlib.Path):
    """Hold a runs directory for this launch. Raises UserError when another holds it, or it cannot be written."""
    return locked(
        runs_directory / ".lock",
        f"another launch is at work on {str(runs_directory)!r}: wait for it, or choose another directory with --runs",
    )
