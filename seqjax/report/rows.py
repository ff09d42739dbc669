"""Run directories -> runs, groups of runs that differ only in the seed, and leaderboards of groups.

Losses are nats per symbol; lower is better. Only runs that are done are averaged.
"""

import collections
import dataclasses
import functools
import hashlib
import json
import math
import pathlib
import statistics

from ml_collections import ConfigDict

from seqjax.config import flat
from seqjax.errors import UserError
from seqjax.report.text import one_line, shortened
from seqjax.results import RunDirectory, find_runs

# Neither where a text lies nor how often a run is saved makes it another experiment.
NOT_COMPARED = ("seed", "data.source", "data.path", "train.checkpoint_seconds")
SCORES = ("nats", "bits", "perplexity")
SPLITS = ("train", "validation", "test")

Curve = dict[int, float]
"""A value, in nats or in seconds, after so many steps."""


@dataclasses.dataclass
class Run:
    """What one run directory says."""

    name: str
    cell: str
    layers: int
    hidden: int
    seed: int
    parameters: int
    config: dict
    corpus: dict
    task: dict
    code: str
    init_from: str
    state: str
    why: str
    final: dict[str, dict[str, float]]
    """nats, bits and perplexity by split, of the parameters that did best."""
    validation: Curve
    training: Curve
    smoothed: float | None
    """Training nats at the end, an exponential mean over steps."""
    seconds: Curve
    """Of training since the start, without compilation."""
    ms_per_step: float | None
    best_step: int | None
    steps: int
    steps_wanted: int
    samples: dict[int, str]
    label: str = ""

    @property
    def measure(self) -> str:
        """What the score is: `validation` nats, or smoothed `training` nats where there is no validation text."""
        held_out = self.task.get("symbols", {}).get("validation", 0) > 1
        return "validation" if held_out or self.validation or "validation" in self.final else "training"

    @property
    def score(self) -> float | None:
        """Nats of a run that is done; None for any other."""
        if self.state != "done":
            return None
        return self.final.get("validation", {}).get("nats") if self.measure == "validation" else self.smoothed

    @property
    def training_seconds(self) -> float | None:
        return max(self.seconds.values(), default=None)

    @functools.cached_property
    def settings(self) -> dict:
        """The flat config without what does not tell experiments apart, and without what follows from the rest."""
        values = {key: value for key, value in flat(ConfigDict(self.config)).items() if key not in NOT_COMPARED}
        for chosen, follows in (("cell.parameters", "cell.hidden"), ("train.epochs", "train.steps")):
            values.pop(follows if values.get(chosen) else chosen, None)
        return values | {"init_from": self.init_from[:8]}

    @functools.cached_property
    def group(self) -> str:
        """Equal for runs that differ only in the seed."""
        resolved = {"hidden": self.hidden, "steps": self.steps_wanted, "code": self.code, "init_from": self.init_from}
        chosen = ("cell.parameters", "cell.hidden", "train.epochs", "train.steps", "init_from")
        return digest([resolved, {key: value for key, value in self.settings.items() if key not in chosen}])

    @functools.cached_property
    def board(self) -> str:
        """Equal for runs whose scores can be compared: the same text, cut and encoded in the same way."""
        return digest([self.corpus.get("sha256"), self.config["task"]["name"], self.task, self.measure])


@dataclasses.dataclass
class Group:
    """Runs that differ only in the seed. Means are over those that are done; None where none is."""

    runs: list[Run]
    label: str = ""

    @property
    def first(self) -> Run:
        return self.runs[0]

    @property
    def finished(self) -> list[Run]:
        return [run for run in self.runs if run.score is not None]

    @property
    def seeds(self) -> int:
        """How many runs the means are over."""
        return len(self.finished)

    @property
    def mean(self) -> float | None:
        return mean(run.score for run in self.finished)

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation of the score over seeds; None for fewer than two."""
        return deviation(run.score for run in self.finished)

    def split(self, name: str) -> list[float]:
        """Final nats on a split, of every finished run that has them."""
        return [run.final[name]["nats"] for run in self.finished if name in run.final]

    @property
    def ms_per_step(self) -> float | None:
        return mean(run.ms_per_step for run in self.finished if run.ms_per_step is not None)

    @property
    def training_seconds(self) -> float | None:
        return mean(run.training_seconds for run in self.finished if run.training_seconds is not None)

    @property
    def states(self) -> dict[str, int]:
        """How many runs are in each state."""
        return dict(sorted(collections.Counter(run.state for run in self.runs).items()))


@dataclasses.dataclass
class Board:
    """The groups whose scores can be compared, best first; those without a score last."""

    groups: list[Group]

    @property
    def runs(self) -> list[Run]:
        return [run for group in self.groups for run in group.runs]

    @property
    def corpus(self) -> dict:
        """source, size (bytes) and sha256 of the text."""
        return self.groups[0].first.corpus

    @property
    def measure(self) -> str:
        return self.groups[0].first.measure


@dataclasses.dataclass
class Comparison:
    """Leaderboards, and sentences about run directories that could not be used as they are."""

    boards: list[Board]
    notes: list[str]

    @property
    def runs(self) -> list[Run]:
        return [run for board in self.boards for run in board.runs]


def compare(paths) -> Comparison:
    """Read the runs that `paths` are or hold, and rank them.

    Raises UserError when a path holds no runs, or when no run can be read.
    """
    runs, notes = [], []
    for directory in {run.path.resolve(): run for run in find_runs(paths)}.values():
        try:
            run, complaints = read_run(directory)
        except UserError as error:
            notes.append(one_line(str(error)))
            continue
        runs.append(run)
        notes += complaints
    if not runs:
        raise UserError(f"no run can be read: {notes[0]}")
    runs, repeated = without_repeats(runs)
    boards = [Board(rank(runs_of_board)) for runs_of_board in by(runs, "board").values()]
    for board in boards:
        name_groups(board.groups)
    return Comparison(boards, notes + repeated)


def read_run(directory: RunDirectory) -> tuple[Run, list[str]]:
    """A run, and sentences about files of it that are damaged. Raises UserError when its config cannot be used."""
    trial = directory.trial()
    status = directory.status()
    records, timing = directory.metrics.read(), directory.timing.read()
    try:
        run = Run(
            name=one_line(directory.path.resolve().name),
            cell=one_line(trial["config"]["cell"]["name"]),
            layers=int(trial["config"]["cell"]["layers"]),
            hidden=int(trial["config"]["cell"]["hidden"]),
            seed=int(trial["config"]["seed"]),
            parameters=int(trial["parameters"]),
            config=trial["config"],
            corpus=trial["corpus"],
            task=trial["task"],
            code=trial["code"],
            init_from=trial.get("init_from", ""),
            state=status["state"],
            why=one_line(status["why"]),
            final=_final(records),
            validation=_curve(records, "validation", "nats"),
            training=_curve(records, "train", "nats"),
            smoothed=_last(_curve(records, "train", "smoothed_nats")),
            seconds={line["step"]: line["seconds"] for line in timing},
            ms_per_step=_ms_per_step(timing),
            best_step=_best_step(records),
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
    return {step: nats for step, nats in points if math.isfinite(nats)}


def _last(curve: Curve) -> float | None:
    return curve[max(curve)] if curve else None


def _final(records: list[dict]) -> dict[str, dict[str, float]]:
    finals = [record for record in records if record["kind"] == "final" and math.isfinite(record["nats"])]
    return {record["split"]: {name: record.get(name) for name in SCORES} for record in finals}


def _best_step(records: list[dict]) -> int | None:
    finals = [record["step"] for record in records if record["kind"] == "final"]
    validation = _curve(records, "validation", "nats")
    return finals[-1] if finals else min(validation, key=validation.get, default=None)


def _ms_per_step(timing: list[dict]) -> float | None:
    """The median over dispatches, evaluation not counted."""
    times = [1000 * line["dispatch"] / line["steps"] for line in timing if line["steps"]]
    return statistics.median(times) if times else None


def without_repeats(runs: list[Run]) -> tuple[list[Run], list[str]]:
    """One run for each group and seed, a finished one where there is one, and sentences about the others.

    The same trial in two places is not two seeds: counted twice, it would make the deviation too small.
    """
    kept, notes = {}, []
    for run in runs:
        same = kept.setdefault((run.board, run.group, run.seed), run)
        if same is run:
            continue
        better, other = (run, same) if run.state == "done" != same.state else (same, run)
        kept[run.board, run.group, run.seed] = better
        notes.append(f"{other.name} is given twice; the copy that is {other.state} is left out")
    return list(kept.values()), notes


def rank(runs: list[Run]) -> list[Group]:
    """The groups of one board, best mean first, groups without a score last."""
    groups = [Group(sorted(members, key=lambda run: (run.seed, run.name))) for members in by(runs, "group").values()]
    return sorted(groups, key=lambda group: (group.mean is None, group.mean or 0.0, group.first.name))


def name_groups(groups: list[Group]) -> None:
    """Label groups by cell and by the settings that vary among them; the label of a run is its group's."""
    varying = varying_settings([group.first for group in groups])
    labels = [f"{group.first.cell}  {' '.join(_named(group.first, varying))}".strip() for group in groups]
    for distinction in (lambda run: f"code={run.code[:8]}", lambda run: f"config={run.group[:8]}"):
        count = collections.Counter(labels)
        labels = [
            f"{label}  {distinction(group.first)}" if count[label] > 1 else label
            for label, group in zip(labels, groups, strict=True)
        ]
    for label, group in zip(labels, groups, strict=True):
        group.label = label
        for run in group.runs:
            run.label = label


def varying_settings(runs: list[Run]) -> list[str]:
    """The config keys, other than the cell's name, that do not have one value throughout."""
    settings = [run.settings for run in runs]
    keys = dict.fromkeys(key for values in settings for key in values if key != "cell.name")
    return [key for key in keys if len({json.dumps(values.get(key)) for values in settings}) > 1]


def _named(run: Run, keys: list[str]) -> list[str]:
    """`hidden=64` for `cell.hidden`; the whole key where another one ends alike."""
    settings = run.settings
    ends = collections.Counter(key.rpartition(".")[2] for key in settings)
    names = {key: key if ends[key.rpartition(".")[2]] > 1 else key.rpartition(".")[2] for key in keys}
    return [f"{names[key]}={_value(settings[key])}" for key in keys if settings.get(key, "") != ""]


def _value(value) -> str:
    return shortened(one_line(value if isinstance(value, str) else json.dumps(value)), 24)


def by(runs: list[Run], attribute: str) -> dict[str, list[Run]]:
    """Runs by the value of an attribute, in order of appearance."""
    found = {}
    for run in runs:
        found.setdefault(getattr(run, attribute), []).append(run)
    return found


def mean(values) -> float | None:
    values = list(values)
    return statistics.fmean(values) if values else None


def deviation(values) -> float | None:
    """The sample standard deviation; None for fewer than two values."""
    values = list(values)
    return statistics.stdev(values) if len(values) > 1 else None


def bits(nats: float | None) -> float | None:
    return None if nats is None else nats / math.log(2)


def perplexity(nats: float | None) -> float | None:
    return None if nats is None else math.exp(min(nats, 700.0))


def digest(content) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def out_directory(paths) -> pathlib.Path:
    """Where a report of these runs goes unless told otherwise."""
    return pathlib.Path(paths[0]) / "report"
