"""Runs -> groups of runs that differ only in the seed, and leaderboards of groups.

Scores are of the task's own measure; lower is better. Only runs that are done are averaged; of a task that can be
solved, every run that ended counts as solved or not.
"""

import collections
import dataclasses
import functools
import json
import math
import pathlib
import statistics
from collections.abc import Sequence

from seqjax.report.index import read_runs
from seqjax.report.listing import select
from seqjax.report.measure import Measure
from seqjax.report.runs import Run
from seqjax.report.text import one_line, shortened


@dataclasses.dataclass
class Group:
    """Runs that differ only in the seed. Means are over those that are done; None where none is."""

    runs: list[Run]
    label: str = ""

    @property
    def first(self) -> Run:
        return self.runs[0]

    @functools.cached_property
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

    def split(self, name: str, metric: str | None = None) -> list[float]:
        """Final values of a metric, the measure unless named, on a split, of every finished run that has them."""
        metric = metric or self.first.measure.name
        finals = (run.final.get(name, {}).get(metric) for run in self.finished)
        return [value for value in finals if value is not None]

    @property
    def judged(self) -> int:
        """How many runs ended, done or diverged, on a task with a criterion of success."""
        return sum(run.solved is not None for run in self.runs)

    @property
    def solved(self) -> int:
        """How many of those met it."""
        return sum(run.solved is True for run in self.runs)

    @property
    def fraction(self) -> float | None:
        return self.solved / self.judged if self.judged else None

    @property
    def median_step_solved(self) -> float | None:
        steps = [run.solved_step for run in self.runs if run.solved]
        return statistics.median(steps) if steps else None

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
    def first(self) -> Run:
        """Any of them: data, task and measure are the same for all."""
        return self.groups[0].first

    @property
    def title(self) -> str:
        return self.first.title

    @property
    def corpus(self) -> dict:
        """source, size (bytes) and sha256 of the data; empty where it is generated."""
        return self.first.corpus

    @property
    def measure(self) -> Measure:
        return self.first.measure

    @property
    def scored_on(self) -> str:
        return self.first.scored_on

    @property
    def noun(self) -> str:
        """What is learned from: a text, or any other data."""
        return "text" if self.measure.of_text else "data"

    @property
    def other_metrics(self) -> list[str]:
        """What else was measured at the end of every finished run, on the data it is scored on."""
        finals = [run.final.get("validation", {}) for group in self.groups for run in group.finished]
        follow = ("bits", "perplexity") if self.measure.of_text else ()
        shared = finals[0] if finals else {}
        return [
            name
            for name in shared
            if name not in (self.measure.name, *follow) and all(final.get(name) is not None for final in finals)
        ]


@dataclasses.dataclass
class Comparison:
    """Leaderboards, and sentences about run directories that could not be used as they are."""

    boards: list[Board]
    notes: list[str]

    @property
    def runs(self) -> list[Run]:
        return [run for board in self.boards for run in board.runs]


def compare(paths, where: Sequence[str] = ()) -> Comparison:
    """Read the runs that `paths` are or hold, and rank those that meet the conditions `where`, as `listing.select` has
    them.

    Raises UserError when a path holds no runs, when no run can be read, and where no run meets the conditions.
    """
    runs, notes = read_runs(paths)
    if where:
        known, runs = len(runs), select(runs, where)
        notes = [f"only runs with {' and '.join(where)}: {len(runs):,} of {known:,}", *notes]
    runs, repeated = without_repeats(runs)
    boards = in_order([Board(rank(runs_of_board)) for runs_of_board in by(runs, "board").values()])
    for board in boards:
        name_groups(board.groups)
    return Comparison(boards, notes + repeated)


def in_order(boards: list[Board]) -> list[Board]:
    """Boards of one problem together, shortest first."""
    families = list(dict.fromkeys(board.first.family for board in boards))
    return sorted(boards, key=lambda board: (families.index(board.first.family), board.first.length or 0))


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
    """The groups of one board: those solved most often first, then the best mean, groups without a score last."""
    groups = [Group(sorted(members, key=lambda run: (run.seed, run.name))) for members in by(runs, "group").values()]

    def place(group: Group):
        return (
            group.mean is None and not group.judged,
            -(group.fraction or 0.0),
            group.mean is None,
            group.mean or 0.0,
            group.first.name,
        )

    return sorted(groups, key=place)


def name_groups(groups: list[Group]) -> None:
    """Label groups by cell and by the settings that vary among them; the label of a run is its group's."""
    for group, label in zip(groups, labels([group.first for group in groups]), strict=True):
        group.label = label
        for run in group.runs:
            run.label = label


def labels(runs: list[Run], without: tuple[str, ...] = ()) -> list[str]:
    """A label of its own for each run: its cell, and the settings that vary but for those named in `without`."""
    varying = [key for key in varying_settings(runs) if key not in without]
    found = [f"{run.cell}  {' '.join(_named(run, varying))}".strip() for run in runs]
    for distinction in (lambda run: f"code={run.code[:8]}", lambda run: f"config={run.group[:8]}"):
        count = collections.Counter(found)
        found = [
            f"{label}  {distinction(run)}" if count[label] > 1 else label
            for label, run in zip(found, runs, strict=True)
        ]
    return found


def varying_settings(runs: list[Run]) -> list[str]:
    """The config keys, other than the cell's name, that do not have one value throughout."""
    settings = [run.settings for run in runs]
    keys = dict.fromkeys(key for values in settings for key in values if key != "cell.name")
    return [key for key in keys if len({repr(values.get(key)) for values in settings}) > 1]


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


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95% interval of Wilson (1927) for a probability, from so many successes in so many trials, at least one."""
    z = statistics.NormalDist().inv_cdf(0.975)
    fraction, shrink = successes / trials, 1 + z**2 / trials
    centre = (fraction + z**2 / (2 * trials)) / shrink
    half = z * math.sqrt(fraction * (1 - fraction) / trials + z**2 / (4 * trials**2)) / shrink
    return max(0.0, centre - half), min(1.0, centre + half)


def bits(nats: float | None) -> float | None:
    return None if nats is None else nats / math.log(2)


def perplexity(nats: float | None) -> float | None:
    return None if nats is None else math.exp(min(nats, 700.0))


def out_directory(paths) -> pathlib.Path:
    """Where a report of these runs goes unless told otherwise."""
    return pathlib.Path(paths[0]) / "report"
