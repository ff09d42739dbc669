"""Choosing among runs by their settings, and a plain list of them."""

import json
from collections.abc import Sequence

from seqjax.errors import UserError, did_you_mean
from seqjax.report import text
from seqjax.report.runs import Run

FEW = 12  # values of a key that an error still names


def select(runs: list[Run], conditions: Sequence[str]) -> list[Run]:
    """The runs that meet every condition: `KEY=VALUE` with a config key, such as `cell.name=gru`, or `state=done`.

    Raises UserError for a condition of another form, for a key that no run has, and where no run is left.
    """
    left = [(run, {**run.flat_config, "state": run.state}) for run in runs]
    known = {key for _, values in left for key in values}
    for n, condition in enumerate(conditions):
        key, equals, wanted = condition.partition("=")
        if not equals:
            raise UserError(f"a condition is KEY=VALUE, such as cell.name=gru or state=done, not {condition!r}")
        if key not in known:
            more = _nearest(key, known, "it may be a KEY of --config.KEY, or state")
            raise UserError(f"no run has a config key {key!r}; {more}")
        met = [(run, values) for run, values in left if key in values and _is(values[key], wanted)]
        if not met:
            there = {_written(values[key]) for _, values in left if key in values}
            more = _nearest(wanted, there, f"there are {len(there)} other values")
            of = text.counted(len(left), "run") + (f" with {', '.join(conditions[:n])}" if n else "")
            raise UserError(f"none of {of} has {condition}; {more}")
        left = met
    return [run for run, _ in left]


def listed(runs: list[Run]) -> list[str]:
    """A line for each run: name, state, steps done and wanted, score; of a run that is not done the newest validation
    score, in brackets.
    """
    rows = [(run.name, run.state, f"{run.steps:,}/{run.steps_wanted:,}", _score(run)) for run in runs]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        f"{name:{widths[0]}}  {state:{widths[1]}}  {step:>{widths[2]}}  {score}".rstrip()
        for name, state, step, score in rows
    ]


def _score(run: Run) -> str:
    if run.score is not None:
        return f"{text.score(run.score)} {run.measure.name}"
    newest = run.validation
    return f"({text.score(newest[max(newest)])} {run.measure.name})" if newest else ""


def _is(value, wanted: str) -> bool:
    """Whether a value is what the command line says."""
    if isinstance(value, bool):
        return wanted.lower() in (("true", "1") if value else ("false", "0"))
    if isinstance(value, int | float):
        try:
            return value == float(wanted)
        except ValueError:
            return False
    return wanted == _written(value)


def _written(value) -> str:
    """A value as the command line takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _nearest(name: str, known: set[str], otherwise: str) -> str:
    """The end of an error sentence: the nearest known name, or all of a few."""
    sentence = did_you_mean(name, known)
    if len(known) <= FEW:
        return sentence
    return sentence.split(" Known:")[0] if sentence.startswith("did you mean") else otherwise
