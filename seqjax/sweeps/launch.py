"""Launching: which trials there are, which of them have work left, and doing it."""

import dataclasses
import itertools
import logging
import pathlib

from ml_collections import ConfigDict

from seqjax.errors import UserError
from seqjax.results import FINISHED, RunDirectory, locked, present
from seqjax.training import checkpoints
from seqjax.training.trial import resolve, run_name


@dataclasses.dataclass
class Plan:
    """The trials of a launch."""

    runs: list[RunDirectory] = dataclasses.field(default_factory=list)
    todo: list[RunDirectory] = dataclasses.field(default_factory=list)
    finished: list[RunDirectory] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)  # what the user should know of runs made before


def plan(configs: list[ConfigDict], runs_directory: pathlib.Path, rerun: bool, judged: bool = False) -> Plan:
    """Resolve the trials, make the run directories that are missing, and say what is left to do.

    With `rerun`, stale trials are trained again from the start; `judged` is as for `resolve`. Raises UserError, before
    any directory is made or changed, when a trial could not run.
    """
    path = str(runs_directory.absolute())
    if path != path.encode("utf-8", "replace").decode():
        raise UserError(f"the runs directory {path} has a name that is not Unicode, which checkpoints need")
    known, records = {}, {}
    for config in configs:
        record = resolve(config, known, judged)
        records.setdefault(record["identity"], record)
    runs = {identity: place(runs_directory, record) for identity, record in records.items()}
    before = {identity: run.trial() for identity, run in runs.items() if run.exists()}
    for identity, old in before.items():
        _check(runs[identity], old, records[identity])
    result = Plan(list(runs.values()), notes=_of_other_texts(runs_directory, records))
    for identity, run in runs.items():
        if identity not in before and checkpoints.candidates(run.checkpoints):
            result.notes.append(f"{run.path / 'config.json'} is missing: which code began the run is not known")
            before[identity] = {**records[identity], "code": "unknown"}
            run.write_trial(before[identity])
        if identity not in before:
            run.create(records[identity])
            result.todo.append(run)
        else:
            _sort(run, before[identity], records[identity], rerun, result)
    return result


def place(runs_directory: pathlib.Path, record: dict) -> RunDirectory:
    """Where a trial lies: the directory of its identity if there is one, whatever it was called, else a new one."""
    known = list(runs_directory.glob(f"[!.]*-{record['identity'][:8]}"))
    return RunDirectory(known[0] if known else runs_directory / run_name(record))


def _check(run: RunDirectory, before: dict, record: dict) -> None:
    if before["identity"] != record["identity"]:
        raise UserError(f"{run.path} holds another trial than its name says; move it away")
    wanted, has = record["config"]["train"]["steps"], before["config"]["train"]["steps"]
    if wanted < has:
        raise UserError(
            f"{run.path} is the same trial with train.steps = {has}, more than the {wanted} asked for; "
            "choose another directory with --runs"
        )
    # A process that lost its launcher saves itself and ends at its next dispatch; its files are its own until then.
    with run.lock(wait_seconds=60.0):
        pass


def is_over(run: RunDirectory, before: dict, record: dict, rerun: bool) -> bool:
    """Whether a run whose trial was `before` leaves nothing to do for the trial `record`."""
    state = run.status()["state"]
    if _stale(run, before, record):
        return state in FINISHED and not rerun
    longer = record["config"]["train"]["steps"] > before["config"]["train"]["steps"]
    return state in FINISHED and not (longer and state == "done")


def _stale(run: RunDirectory, before: dict, record: dict) -> bool:
    return before["code"] != record["code"] and bool(checkpoints.candidates(run.checkpoints))


def _sort(run: RunDirectory, before: dict, record: dict, rerun: bool, result: Plan) -> None:
    stale = _stale(run, before, record)
    if is_over(run, before, record, rerun):
        if stale:
            result.notes.append(
                f"{run.name} is stale: it was trained by other code than today's; --rerun trains it again"
            )
        damage = None if stale else run.damage() or checkpoints.lost_end(run)
        if not damage:
            result.finished.append(run)
            return
        result.notes.append(f"{damage}; {run.name} goes on from the checkpoint before that")
    if stale and rerun:
        start_over(run, record)
    else:
        if stale:
            result.notes.append(f"{run.name} began with other code than today's and goes on; --rerun starts it over")
        run.write_trial({**(before if stale else record), "config": record["config"]})
        if run.status()["state"] != "stopped":  # which successive halving decides anew, if it is asked for
            run.set_status("queued")
    result.todo.append(run)


def _of_other_texts(runs_directory: pathlib.Path, records: dict[str, dict]) -> list[str]:
    """A sentence for each run with the settings of one of today's trials, made from a text that has changed since."""
    wanted = {record["settings"] for record in records.values()}
    notes = []
    for path in sorted(runs_directory.glob("[!.]*/config.json")):
        try:
            record = RunDirectory(path.parent).trial()
        except UserError:
            continue  # a damaged run is another command's business
        if record.get("settings") in wanted and record["identity"] not in records:
            notes.append(
                f"{path.parent.name} is stale: it was trained on other data than today's; a new run replaces it"
            )
    return notes


def start_over(run: RunDirectory, record: dict) -> None:
    """Set a run's files aside under a hidden name, and make it anew."""
    names = (run.path.with_name(f".{run.name}.old{number}") for number in itertools.count())
    aside = next(name for name in names if not present(name))
    try:
        run.path.rename(aside)
    except OSError as error:
        raise UserError(f"{run.path} cannot be set aside: {error.strerror}") from error
    logging.warning("the old files of %s are kept as %s", run.name, aside.name)
    run.create(record)


def hold(runs_directory: pathlib.Path):
    """Hold a runs directory for this launch. Raises UserError when another holds it, or it cannot be written."""
    return locked(
        runs_directory / ".lock",
        f"another launch is at work on {str(runs_directory)!r}: wait for it, or choose another directory with --runs",
    )
