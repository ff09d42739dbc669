"""Successive halving: at each rung, a number of steps, only the best of the trials go on.

Trials pause at a rung with their checkpoints and their scores; those left behind are called stopped, and keep what they
measured. Who goes on follows from the metrics alone, so a launch that is killed and started again decides the same, and
one with more trials, or none of this, takes stopped trials up again where they were.

Reference: Jamieson & Talwalkar (2016), arXiv:1502.07943.
"""

import math

from ml_collections import ConfigDict

from seqjax.config import completed, flat
from seqjax.errors import UserError, did_you_mean
from seqjax.results import FINISHED, RunDirectory


def rungs(text: str) -> list[int]:
    """The steps named as in "500,2000", in order. Raises UserError for anything else."""
    try:
        steps = [int(part) for part in text.split(",")]
    except ValueError:
        steps = []
    if not steps or steps[0] < 1 or steps != sorted(set(steps)):
        raise UserError(f"--rungs takes growing numbers of steps with commas between, such as 500,2000, not {text!r}")
    return steps


def check(config: ConfigDict, steps: list[int], within: str | None) -> None:
    """Raise UserError where a trial is not evaluated at a rung, or has no key `within` to be grouped by."""
    if within is not None and within not in flat(config):
        raise UserError(f"--within: there is no config key {within!r}; {did_you_mean(within, flat(config))}")
    for step in steps:
        if step % (every := config.train.eval_every):
            raise UserError(
                f"--rungs: {step} is not a multiple of train.eval_every, {every}; take another step, or evaluate "
                f"oftener with --config.train.eval_every={math.gcd(every, *steps)}"
            )


def groups(runs: list[RunDirectory], within: str | None) -> dict[str, list[RunDirectory]]:
    """The runs by their value of the config key `within`, all in one group of the name "" where it is None."""
    found: dict[str, list[RunDirectory]] = {}
    for run in runs:
        value = "" if within is None else str(flat(completed(run.trial()["config"]))[within])
        found.setdefault(value, []).append(run)
    return found


def score(run: RunDirectory, rung: int) -> float:
    """The best validation score of a run up to a rung; infinite where it is not there yet, or has no finite score."""
    measure = run.trial()["measure"]["name"]
    scores = [r[measure] for r in run.metrics.read() if r["kind"] == "validation" and r["step"] <= rung]
    return min(filter(math.isfinite, scores), default=math.inf) if reached(run, rung) else math.inf


def reached(run: RunDirectory, rung: int) -> bool:
    """Whether a run has been evaluated at a rung or beyond, or ended well before it."""
    if run.status()["state"] == "done":
        return True
    last = max((r["step"] for r in run.metrics.read() if r["kind"] == "validation"), default=0)
    return last >= rung


def going_on(runs: list[RunDirectory], rung: int, keep: float) -> list[RunDirectory]:
    """The best fraction `keep` of the runs at a rung, at least one, and those that were beyond it before, best first;
    others that are there are stopped. Ties go by name. A run that failed is neither: another launch tries it again.
    """
    failed = {run.name for run in runs if run.status()["state"] == "failed"}
    ranked = sorted((run for run in runs if run.name not in failed), key=lambda run: (score(run, rung), run.name))
    chosen = math.ceil(keep * len(runs) - 1e-9)
    kept = []
    for place, run in enumerate(ranked):
        if math.isfinite(score(run, rung)) and (place < chosen or reached(run, rung + 1)):
            kept.append(run)
        elif reached(run, rung) and run.status()["state"] not in FINISHED:
            why = f"at step {rung} by successive halving: place {place + 1} of {len(runs)}"
            run.set_status("stopped", why, run.status().get("lines"))
    return kept
