"""Runs of a search -> for each task and cell: its settings, the best of them, and what to expect of the best of N.

A setting is what runs share that differ only in the seed. Every run that ended counts: one that diverged, or scored
worse than the trivial answer, counts as the trivial answer, which is what its user would be left with. One that failed
has not ended: that is the machine's fault, and a launch tries it again. One that successive halving stopped counts with
the score it had then, which is too bad by an unknown amount for all but the best.
"""

import collections
import dataclasses
import functools
import json

import numpy as np

from seqjax.errors import UserError, did_you_mean
from seqjax.report.published import Published, published
from seqjax.report.rows import Board, Comparison, by, mean, without_repeats
from seqjax.report.runs import Run
from seqjax.report.text import counted
from seqjax.statistics import Paired, expected_best, expected_best_interval, mean_interval, paired, ranks

LOST = "diverged"
ENDED = ("done", "stopped", LOST)
TRUSTED = 4  # settings for each one drawn: an interval of the best of more than a quarter of them is not to be trusted
MOST_SIZES = 60  # of N, in a curve


@dataclasses.dataclass(frozen=True)
class Setting:
    """Ended runs that differ only in the seed, and the scores they count with; `test` is None where none is known."""

    runs: list[Run]
    scores: list[float]
    tests: list[float] | None

    @property
    def score(self) -> float:
        """On the data by which settings are chosen: the mean over seeds."""
        return mean(self.scores)

    @property
    def reported(self) -> float:
        """The test score, or where there is none the one by which settings are chosen."""
        return self.score if self.tests is None else mean(self.tests)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of the reported score over seeds."""
        return mean_interval(np.array(self.scores if self.tests is None else self.tests))

    @property
    def stopped(self) -> bool:
        """Whether successive halving stopped any of its runs."""
        return any(run.state == "stopped" for run in self.runs)

    @property
    def first(self) -> Run:
        return next((run for run in self.runs if run.state == "done"), self.runs[0])

    @property
    def ms_per_step(self) -> float | None:
        return mean(run.ms_per_step for run in self.runs if run.ms_per_step is not None)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell's settings on one task. `unfinished` runs are not counted."""

    name: str
    settings: list[Setting]
    unfinished: int

    @functools.cached_property
    def best(self) -> Setting | None:
        """The setting with the least score; None where no run has ended."""
        return min(self.settings, key=lambda setting: setting.score, default=None)

    @property
    def scores(self) -> np.ndarray:
        """By which settings are chosen, one a setting."""
        return np.array([setting.score for setting in self.settings])

    @property
    def reported(self) -> np.ndarray:
        """One a setting."""
        return np.array([setting.reported for setting in self.settings])

    @property
    def halved(self) -> bool:
        """Whether any setting was stopped: then only the best of all is known, and nothing of the best of fewer."""
        return any(setting.stopped for setting in self.settings)

    def expected(self, draws) -> np.ndarray:
        """The reported score to expect of the best of N random settings, for each N; NaN where it is not known."""
        draws = np.asarray(draws)
        known = not self.halved or draws == len(self.settings)
        return np.where(known, expected_best(self.reported, draws, self.scores), np.nan)

    def interval(self, draws) -> tuple[np.ndarray, np.ndarray]:
        """`(low, high)` of `expected`; NaN for fewer than two settings and where any was stopped."""
        if self.halved:
            return np.full(len(draws), np.nan), np.full(len(draws), np.nan)
        return expected_best_interval(self.reported, np.asarray(draws), self.scores)

    def expected_at(self, draws: int) -> float | None:
        """`expected` of one N; None where it is not known."""
        return _or_none(self.expected([draws])[0])

    def interval_at(self, draws: int) -> tuple[float, float] | None:
        """`interval` of one N; None where there is none."""
        low, high = (_or_none(ends[0]) for ends in self.interval([draws]))
        return None if low is None or high is None else (low, high)

    def sizes(self, *more: int) -> np.ndarray:
        """The N of a curve of `expected`: all of them, or of many some, in steps that grow, with those of `more`."""
        settings = len(self.settings)
        if self.halved:
            return np.array([settings])
        if settings <= MOST_SIZES:
            return np.arange(1, settings + 1)
        spread = np.geomspace(1, settings, MOST_SIZES).round().astype(int)
        return np.unique([*spread, *(size for size in more if size <= settings)])

    @property
    def lost(self) -> float:
        """The share of ended runs that diverged."""
        return mean(run.state == LOST for setting in self.settings for run in setting.runs)

    @property
    def published(self) -> Published | None:
        return published(self.best.first) if self.best else None


@dataclasses.dataclass(frozen=True)
class Search:
    """The cells that were searched on one task, the best `standing` first, those without an ended run last."""

    board: Board
    cells: list[Cell]
    reported: str
    """On which data the reported scores are: `test`, `validation` or `training`."""
    trivial: float | None
    """The score a lost run counts with."""
    notes: list[str]
    """Sentences about runs that different code trained, and about those left out because they are there twice."""

    @property
    def ended(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.settings]

    @property
    def all_draws(self) -> int:
        """The least number of settings that any cell has: the most draws on which all can be compared."""
        return min((len(cell.settings) for cell in self.ended), default=1)

    @property
    def draws(self) -> int:
        """How many settings each cell is thought to draw: so few that intervals can be trusted."""
        return max(1, self.all_draws // TRUSTED)

    @property
    def halved(self) -> bool:
        """Whether settings of any cell were stopped."""
        return any(cell.halved for cell in self.cells)

    def standing(self, cell: Cell) -> float:
        """By what cells with settings are ranked: the score to expect of the best of `draws`; where settings of any
        cell were stopped, the best of all.
        """
        return cell.best.reported if self.halved else cell.expected_at(self.draws)

    def paired(self, cell: Cell, baseline: str) -> Paired | None:
        """Differences of scores, the cell's less the baseline's, over settings that both have; over seeds where they
        share one setting alone. None for the baseline itself and where nothing is shared.

        They are of the reported scores; where one of two runs was stopped, of the best validation scores up to the last
        step at which both were evaluated.
        """
        first, second = (_by_pair(one) for one in (cell, self.cell(baseline)))
        shared = sorted(first.keys() & second.keys())
        if cell.name == baseline or not shared:
            return None
        differences = collections.defaultdict(list)
        for setting, seed in shared:
            differences[setting].append(self._difference(first[setting, seed], second[setting, seed]))
        means = [mean(of_setting) for of_setting in differences.values()]
        return paired(np.array(means if len(means) > 1 else differences[shared[0][0]]))

    def _difference(self, first: tuple[Run, float], second: tuple[Run, float]) -> float:
        runs, scores = zip(first, second, strict=True)
        if any(run.state == "stopped" for run in runs):
            step = min(max(run.validation, default=0) for run in runs if run.state != LOST)
            scores = [self._best_until(run, step) for run in runs]
        return scores[0] - scores[1]

    def _best_until(self, run: Run, step: int) -> float:
        """The best validation score up to a step, and at least as good as that of the trivial answer."""
        curve = {} if run.state == LOST else run.validation
        return min([self.trivial, *(score for at, score in curve.items() if at <= step)])

    def cell(self, name: str) -> Cell:
        """The cell of that name, one without settings where it was not tried on this task."""
        return next((cell for cell in self.cells if cell.name == name), Cell(name, [], 0))


def searches(comparison: Comparison) -> list[Search]:
    """One for each leaderboard."""
    return [_search(board) for board in comparison.boards]


def check_baseline(found: list[Search], baseline: str) -> None:
    """Raises UserError where no task was searched with that cell."""
    names = {cell.name for search in found for cell in search.cells}
    if baseline not in names:
        raise UserError(f"no run is of the baseline cell {baseline!r}; {did_you_mean(baseline, names)}")


@dataclasses.dataclass(frozen=True)
class Ranking:
    """The ranks of cells over several tasks, among the cells that ended on all of them."""

    tasks: list[Search]
    """Those on which any run ended."""
    ranks: dict[str, list[float]]
    """Of each cell on each task, 1 for the best; ties share the mean of theirs. The best mean first."""
    left_out: list[str]
    """The cells that did not end on all tasks."""


def ranking(found: list[Search]) -> Ranking | None:
    """By the `standing` of cells; None where runs ended on fewer than two tasks."""
    tasks = [search for search in found if search.ended]
    if len(tasks) < 2:
        return None
    names = sorted(set.intersection(*({cell.name for cell in search.ended} for search in tasks)))
    left_out = sorted({cell.name for search in found for cell in search.cells} - {*names})
    if not names:
        return Ranking(tasks, {}, left_out)
    standings = np.array([[search.standing(search.cell(name)) for name in names] for search in tasks])
    of_names = zip(names, ranks(standings).T.tolist(), strict=True)
    return Ranking(tasks, dict(sorted(of_names, key=lambda pair: mean(pair[1]))), left_out)


def _search(board: Board) -> Search:
    runs, notes = _whatever_the_code(board.runs)
    ended = [run for run in runs if run.state in ENDED]
    scored = [run for run in ended if _score(run) is not None]
    trivial = board.measure.baseline
    if trivial is None:
        trivial = max(map(_score, scored), default=None)
    tested = any(_test(run) is not None for run in scored)
    if trivial is None:
        ended = []  # nothing is known that they could count with
    cells = [
        _cell(name, of_cell, [run for run in ended if run.cell == name], trivial, tested)
        for name, of_cell in by(runs, "cell").items()
    ]
    found = Search(board, cells, "test" if tested else board.scored_on, trivial, notes)

    def place(cell: Cell):
        return (not cell.settings, found.standing(cell) if cell.settings else 0.0, cell.name)

    return dataclasses.replace(found, cells=sorted(cells, key=place))


def _whatever_the_code(runs: list[Run]) -> tuple[list[Run], list[str]]:
    """The runs in groups that differ only in the seed, not in the code that trained them, and sentences about that."""
    codes, without_code = collections.defaultdict(set), []
    for run in runs:
        without_code.append(dataclasses.replace(run, code=""))
        if run.state in ENDED:
            codes[without_code[-1].group].add(run.code)
    kept, notes = without_repeats(without_code)
    if mixed := sum(len(of_setting) > 1 for of_setting in codes.values()):
        said = f"The seeds of {counted(mixed, 'setting')} were trained by different code, and count all the same."
        notes = [said, *notes]
    return kept, notes


def _cell(name: str, runs: list[Run], ended: list[Run], trivial: float | None, tested: bool) -> Cell:
    settings = []
    for of_setting in by(ended, "group").values():
        scores, tests = zip(*(_counted(run, trivial) for run in of_setting), strict=True)
        settings.append(Setting(of_setting, list(scores), list(tests) if tested else None))
    return Cell(name, settings, len(runs) - len(ended))


def _counted(run: Run, trivial: float) -> tuple[float, float]:
    """The scores on validation and test data that a run counts with."""
    score, test = _score(run), _test(run)
    if score is None or score >= trivial:
        return trivial, trivial
    if test is None:  # not finite, or never measured, as the other one
        test = trivial if measured(run) else score
    return score, test


def _score(run: Run) -> float | None:
    """Of a run that is done or was stopped: what it had at its end or, where that was not measured, its best before."""
    if run.state == LOST:
        return None
    if run.scored_on == "training":
        return run.smoothed
    return run.final["validation"][run.measure.name] if measured(run) else min(run.validation.values(), default=None)


def measured(run: Run) -> bool:
    """Whether a run has the scores of its end."""
    return run.scored_on == "training" or run.measure.name in run.final.get("validation", {})


def _test(run: Run) -> float | None:
    return run.final.get("test", {}).get(run.measure.name)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _by_pair(cell: Cell) -> dict[tuple[str, int], tuple[Run, float]]:
    """Runs, and the scores reported of them, by what they share with those of another cell: the settings but for the
    cell's name, and the seed.
    """
    found = {}
    for setting in cell.settings:
        for run, score in zip(setting.runs, setting.scores if setting.tests is None else setting.tests, strict=True):
            shared = {key: value for key, value in run.settings.items() if key != "cell.name"}
            found[json.dumps(shared, sort_keys=True), run.seed] = run, score
    return found
