"""A run directory -> what a report needs of it."""

import collections
import dataclasses
import functools
import hashlib
import json
import math
import pathlib
import re
import statistics

from seqjax.config import ADDED_LATER
from seqjax.report.curves import Curve, Curves, pack
from seqjax.report.measure import Measure, read_measure
from seqjax.report.text import one_line
from seqjax.results import FINISHED, Journal, RunDirectory, complaining, lost_end, sample_checksums

# Neither where a text lies nor how often a run is saved or looked into makes it another experiment.
NOT_COMPARED = ("seed", "data.source", "data.path", "train.checkpoint_seconds", "train.snapshots", "probe.every")
NOT_METRICS = ("kind", "split", "step")
SPLITS = ("train", "validation", "test")
CURVES = ("validation", "training", "seconds")  # every run has them; all others are of probes


@dataclasses.dataclass
class Run:
    """What one run directory says. Scores are of its `measure`; lower is better."""

    path: pathlib.Path
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
    curves: Curves
    """Of CURVES and of probes, with finite values only."""
    sample_checksums: list[tuple[int, str]]
    smoothed: float | None
    """The training score at the end, an exponential mean over steps."""
    solved_step: int | None
    """When the validation score first met the criterion of success."""
    training_seconds: float | None
    ms_per_step: float | None
    best_step: int | None
    steps: int
    steps_wanted: int
    label: str = ""

    @property
    def validation(self) -> Curve:
        return self.curves["validation"]

    @property
    def training(self) -> Curve:
        return self.curves["training"]

    @property
    def seconds(self) -> Curve:
        """Of training since the start, without compilation."""
        return self.curves["seconds"]

    @functools.cached_property
    def probes(self) -> Curves:
        """Gradient norms, gates, spectral radii, by the flat name they have in the run."""
        return Curves({name: packed for name, packed in self.curves.packed.items() if name not in CURVES})

    @functools.cached_property
    def samples(self) -> dict[int, str]:
        """What it wrote, or how it answered, after so many steps: read when it is first asked for."""
        return RunDirectory(self.path).samples(dict(self.sample_checksums))

    @property
    def counts(self) -> dict[str, int]:
        """How many symbols or images each split has; empty where the data is generated."""
        return next((self.task[key] for key in ("symbols", "images") if isinstance(self.task.get(key), dict)), {})

    @property
    def length(self) -> int | None:
        """Of the task's sequences; None where it has no setting of that name."""
        length = self.config["task"].get("length")
        return length if isinstance(length, int) else None

    @functools.cached_property
    def scored_on(self) -> str:
        """`validation`, or `training` (smoothed) where there is no validation data."""
        held_out = not self.counts or self.counts.get("validation", 0) > 1
        scored = self.curves.packed["validation"] or "validation" in self.final
        return "validation" if held_out or scored else "training"

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
    def flat_config(self) -> dict:
        """`{"cell.name": "gru", ...}`, with the keys that runs of its age lack."""
        return {**ADDED_LATER, **_flat(self.config)}

    @functools.cached_property
    def settings(self) -> dict:
        """The flat config without what does not tell experiments apart, and without what follows from the rest."""
        values = {key: value for key, value in self.flat_config.items() if key not in NOT_COMPARED}
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


@dataclasses.dataclass(frozen=True)
class Extract:
    """What a report needs of a run's config.json, metrics.jsonl and timing.jsonl; all but the curves is plain JSON."""

    trial: dict
    values: dict
    """Those fields of a `Run` that follow from the journals, by name."""
    lines: dict[str, int]
    """Intact ones of each journal, by the name of its file."""
    damage: list[str]
    """Sentences about damaged lines."""
    curves: dict[str, bytes]
    """Packed, by name."""


def extract(directory: RunDirectory) -> Extract:
    """Read all but the status and the samples. Raises UserError when the files do not hold a run."""
    trial = directory.trial()
    records, timing = directory.metrics.read(), directory.timing.read()
    with complaining(directory.path):
        values, curves = _measured(records, timing, read_measure(trial).name)
        packed = {name: pack(curve) for name, curve in curves.items()}
    damage = filter(None, (_damage(directory.metrics, records), _damage(directory.timing, timing)))
    lines = {directory.metrics.path.name: len(records), directory.timing.path.name: len(timing)}
    return Extract(trial, values, lines, list(damage), packed)


def as_run(directory: RunDirectory, extract: Extract) -> tuple[Run, list[str]]:
    """A run as its status is now, and sentences about files of it that are damaged.

    Raises UserError when its config cannot be used.
    """
    trial, status = extract.trial, directory.status()
    with complaining(directory.path):
        config, corpus = trial["config"], trial["corpus"] or {}
        run = Run(
            path=directory.path,
            name=one_line(directory.path.resolve().name),
            cell=one_line(config["cell"]["name"]),
            layers=int(config["cell"]["layers"]),
            hidden=int(config["cell"]["hidden"]),
            seed=int(config["seed"]),
            parameters=int(trial["parameters"]),
            config=config,
            title=one_line(str(trial.get("title") or corpus.get("source", "a text"))),
            measure=read_measure(trial),
            corpus=corpus,
            task=trial["task"],
            code=trial["code"],
            init_from=trial.get("init_from", ""),
            state=status["state"],
            why=one_line(status["why"]),
            steps_wanted=int(config["train"]["steps"]),
            curves=Curves(extract.curves),
            **extract.values,
        )
        run.settings, run.board  # noqa: B018 - what they need is missed here, where the run's name is known
    lost = (lost_end(directory.path / name, lines, status) for name, lines in extract.lines.items())
    damage = [] if run.state == "running" else extract.damage or list(filter(None, lost))  # a line may be half written
    notes = [f"{sentence}: it and what follows are left out" for sentence in damage]
    return run, [one_line(note) for note in [*filter(None, [status.get("damage")]), *notes]]


def _damage(journal: Journal, records: list[dict]) -> str | None:
    """A sentence about the first damaged line."""
    return journal.damage(len(records))


def _measured(records: list[dict], timing: list[dict], name: str) -> tuple[dict, dict[str, Curve]]:
    """The fields of a `Run` that follow from its journals, and its curves."""
    by_kind = collections.defaultdict(list)
    for record in records:
        by_kind[record["kind"]].append(record)
    validation = _curve(by_kind["validation"], name)
    seconds = {line["step"]: line["seconds"] for line in timing}
    values = {
        "final": _final(by_kind["final"], name),
        "sample_checksums": list(sample_checksums(by_kind["sample"]).items()),
        "smoothed": _last(_curve(by_kind["train"], f"smoothed_{name}")),
        "solved_step": next((record["step"] for record in by_kind["solved"]), None),
        "training_seconds": max(seconds.values(), default=None),
        "ms_per_step": _ms_per_step(timing),
        "best_step": _best_step(by_kind["final"], validation),
        "steps": max((record["step"] for record in by_kind["train"]), default=0),
    }
    curves = {"validation": validation, "training": _curve(by_kind["train"], name), "seconds": seconds}
    return values, curves | _probes(by_kind["probe"])


def _curve(records: list[dict], name: str) -> Curve:
    """Finite values only."""
    points = ((record["step"], record[name]) for record in records if name in record)
    return {step: value for step, value in points if math.isfinite(value)}


def _last(curve: Curve) -> float | None:
    return curve[max(curve)] if curve else None


def _final(records: list[dict], name: str) -> dict[str, dict[str, float]]:
    return {
        record["split"]: {
            key: value for key, value in record.items() if key not in NOT_METRICS and math.isfinite(value)
        }
        for record in records
        if math.isfinite(record[name])
    }


def _probes(records: list[dict]) -> dict[str, Curve]:
    names = dict.fromkeys(name for record in records for name in record)
    return {name: _curve(records, name) for name in names if re.match(r"layer\d+\.", name)}


def _best_step(finals: list[dict], validation: Curve) -> int | None:
    return finals[-1]["step"] if finals else min(validation, key=validation.get, default=None)


def _ms_per_step(timing: list[dict]) -> float | None:
    """The median over dispatches, evaluation not counted."""
    times = [1000 * line["dispatch"] / line["steps"] for line in timing if line["steps"]]
    return statistics.median(times) if times else None


def _flat(config: dict, prefix: str = "") -> dict:
    """`seqjax.config.flat` of a plain dictionary, at a fiftieth of the time."""
    values = {}
    for key, value in config.items():
        if isinstance(value, dict):
            values |= _flat(value, f"{prefix}{key}.")
        else:
            values[prefix + key] = value
    return values


def digest(content) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
