"""A run directory -> what a report needs of it."""

import dataclasses
import functools
import hashlib
import json
import math
import re
import statistics

from ml_collections import ConfigDict

from seqjax.config import ADDED_LATER, flat
from seqjax.errors import UserError
from seqjax.report.measure import Measure, read_measure
from seqjax.report.text import one_line
from seqjax.results import FINISHED, RunDirectory

# Neither where a text lies nor how often a run is saved or looked into makes it another experiment.
NOT_COMPARED = ("seed", "data.source", "data.path", "train.checkpoint_seconds", "train.snapshots", "probe.every")
NOT_METRICS = ("kind", "split", "step")
SPLITS = ("train", "validation", "test")

Curve = dict[int, float]
"""A value, a score or seconds, after so many steps."""


@dataclasses.dataclass
class Run:
    """What one run directory says. Scores are of its `measure`; lower is better."""

    name: str
    cell: str
    layers: int
    hidden: int
    seed: int
    parameters: int
    config: dict
    title: str
    """Of the task, in words; the name of the text where that is what is learned."""
    measure: Measure
    corpus: dict
    """source, size (bytes) and sha256; empty where the data is generated."""
    task: dict
    code: str
    init_from: str
    state: str
    why: str
    final: dict[str, dict[str, float]]
    """All metrics by split, of the parameters that did best."""
    validation: Curve
    training: Curve
    smoothed: float | None
    """The training score at the end, an exponential mean over steps."""
    solved_step: int | None
    """When the validation score first met the criterion of success."""
    probes: dict[str, Curve]
    """Gradient norms, gates, spectral radii, by the flat name they have in the run."""
    seconds: Curve
    """Of training since the start, without compilation."""
    ms_per_step: float | None
    best_step: int | None
    steps: int
    steps_wanted: int
    samples: dict[int, str]
    label: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """How many symbols or images each split has; empty where the data is generated."""
        return next((self.task[key] for key in ("symbols", "images") if isinstance(self.task.get(key), dict)), {})

    @property
    def length(self) -> int | None:
        """Of the task's sequences; None where it has no setting of that name."""
        length = self.config["task"].get("length")
        return length if isinstance(length, int) else None

    @property
    def scored_on(self) -> str:
        """`validation`, or `training` (smoothed) where there is no validation data."""
        held_out = not self.counts or self.counts.get("validation", 0) > 1
        return "validation" if held_out or self.validation or "validation" in self.final else "training"

    @property
    def score(self) -> float | None:
        """Of a run that is done; None for any other."""
        if self.state != "done":
            return None
        if self.scored_on == "training":
            return self.smoothed
        return self.final.get("validation", {}).get(self.measure.name)

    @property
    def solved(self) -> bool | None:
        """Whether a finished run met the criterion; one that diverged did not. None before, or without a criterion."""
        if self.measure.solved_below is None or self.state not in FINISHED:
            return None
        return self.state == "done" and self.solved_step is not None

    @property
    def training_seconds(self) -> float | None:
        return max(self.seconds.values(), default=None)

    @functools.cached_property
    def settings(self) -> dict:
        """The flat config without what does not tell experiments apart, and without what follows from the rest."""
        values = {**ADDED_LATER, **flat(ConfigDict(self.config))}
        values = {key: value for key, value in values.items() if key not in NOT_COMPARED}
        for chosen, follows in (("cell.parameters", "cell.hidden"), ("train.epochs", "train.steps")):
            values.pop(follows if values.get(chosen) else chosen, None)
        return values | {"init_from": self.init_from[:8]}

    @functools.cached_property
    def group(self) -> str:
        """Equal for runs that differ only in the seed."""
        return self._settings_digest()

    @functools.cached_property
    def line(self) -> str:
        """Equal for runs that differ only in the seed and the length of the task."""
        return self._settings_digest("task.length")

    def _settings_digest(self, *left_out: str) -> str:
        resolved = {"hidden": self.hidden, "steps": self.steps_wanted, "code": self.code, "init_from": self.init_from}
        chosen = ("cell.parameters", "cell.hidden", "train.epochs", "train.steps", "init_from", *left_out)
        return digest([resolved, {key: value for key, value in self.settings.items() if key not in chosen}])

    @functools.cached_property
    def board(self) -> str:
        """Equal for runs whose scores can be compared: the same data, cut and encoded in the same way, or the same
        problem; and the same measure and criterion.
        """
        measure = [self.measure.name, self.measure.solved_below]
        return digest([self.corpus.get("sha256"), self.config["task"]["name"], self.task, measure, self.scored_on])

    @functools.cached_property
    def family(self) -> str:
        """Equal for runs of one problem, whatever its length."""
        task = {key: value for key, value in self.task.items() if key != "length"}
        return digest([self.corpus.get("sha256"), self.config["task"]["name"], task, self.measure.name, self.scored_on])


def read_run(directory: RunDirectory) -> tuple[Run, list[str]]:
    """A run, and sentences about files of it that are damaged. Raises UserError when its config cannot be used."""
    trial = directory.trial()
    status = directory.status()
    records, timing = directory.metrics.read(), directory.timing.read()
    try:
        measure = read_measure(trial)
        corpus = trial["corpus"] or {}
        run = Run(
            name=one_line(directory.path.resolve().name),
            cell=one_line(trial["config"]["cell"]["name"]),
            layers=int(trial["config"]["cell"]["layers"]),
            hidden=int(trial["config"]["cell"]["hidden"]),
            seed=int(trial["config"]["seed"]),
            parameters=int(trial["parameters"]),
            config=trial["config"],
            title=one_line(str(trial.get("title") or corpus.get("source", "a text"))),
            measure=measure,
            corpus=corpus,
            task=trial["task"],
            code=trial["code"],
            init_from=trial.get("init_from", ""),
            state=status["state"],
            why=one_line(status["why"]),
            final=_final(records, measure.name),
            validation=_curve(records, "validation", measure.name),
            training=_curve(records, "train", measure.name),
            smoothed=_last(_curve(records, "train", f"smoothed_{measure.name}")),
            solved_step=next((record["step"] for record in records if record["kind"] == "solved"), None),
            probes=_probes(records),
            seconds={line["step"]: line["seconds"] for line in timing},
            ms_per_step=_ms_per_step(timing),
            best_step=_best_step(records, measure.name),
            steps=max((record["step"] for record in records if record["kind"] == "train"), default=0),
            steps_wanted=int(trial["config"]["train"]["steps"]),
            samples=directory.samples(),
        )
        run.settings, run.board  # noqa: B018 - what they need is missed here, where the run's name is known
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{directory.path} does not hold what a run of this seqjax holds: {error!r}") from error
    journals = [] if run.state == "running" else [directory.metrics, directory.timing]  # a line may be half written
    damaged = filter(None, (journal.damage() for journal in journals))
    return run, [one_line(f"{sentence}: it and what follows are left out") for sentence in damaged]


def _curve(records: list[dict], kind: str, value: str) -> Curve:
    """Finite values only."""
    points = ((record["step"], record[value]) for record in records if record["kind"] == kind and value in record)
    return {step: score for step, score in points if math.isfinite(score)}


def _last(curve: Curve) -> float | None:
    return curve[max(curve)] if curve else None


def _final(records: list[dict], name: str) -> dict[str, dict[str, float]]:
    finals = [record for record in records if record["kind"] == "final" and math.isfinite(record[name])]
    return {
        record["split"]: {
            key: value for key, value in record.items() if key not in NOT_METRICS and math.isfinite(value)
        }
        for record in finals
    }


def _probes(records: list[dict]) -> dict[str, Curve]:
    names = dict.fromkeys(name for record in records if record["kind"] == "probe" for name in record)
    return {name: _curve(records, "probe", name) for name in names if re.match(r"layer\d+\.", name)}


def _best_step(records: list[dict], name: str) -> int | None:
    finals = [record["step"] for record in records if record["kind"] == "final"]
    validation = _curve(records, "validation", name)
    return finals[-1] if finals else min(validation, key=validation.get, default=None)


def _ms_per_step(timing: list[dict]) -> float | None:
    """The median over dispatches, evaluation not counted."""
    times = [1000 * line["dispatch"] / line["steps"] for line in timing if line["steps"]]
    return statistics.median(times) if times else None


def digest(content) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
