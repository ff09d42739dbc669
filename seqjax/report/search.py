"""Runs of a search -> for each task and cell: its settings, the best of them, and what to expect of the best of N.

A setting is what runs share that differ only in the seed. Every run that ended counts: one that diverged, failed, or
scored worse than the trivial answer counts as the trivial answer, which is what its user would be left with.
"""

import collections
import dataclasses
import functools
import json

import numpy as np

from seqjax.errors import UserError, did_you_mean
from seqjax.report.published import Published, published
from seqjax.report.rows import Board, Comparison, by, mean
from seqjax.report.runs import Run
from seqjax.statistics import Paired, expected_best, expected_best_interval, mean_interval, mean_ranks, paired

LOST = ("diverged", "failed")
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

    def expected(self, draws) -> np.ndarray:
        """The reported score to expect of the best of N random settings, for each N."""
        return expected_best(self.reported, np.asarray(draws), self.scores)

    def interval(self, draws) -> tuple[np.ndarray, np.ndarray]:
        """`(low, high)` of `expected`."""
        return expected_best_interval(self.reported, np.asarray(draws), self.scores)

    def expected_at(self, draws: int) -> float:
        """`expected` of one N."""
        return float(self.expected([draws])[0])

    def interval_at(self, draws: int) -> tuple[float, float] | None:
        """`interval` of one N; None for fewer than two settings."""
        low, high = self.interval([draws])
        return None if len(self.settings) < 2 else (float(low[0]), float(high[0]))

    def lost(self, state: str | None = None) -> float:
        """The share of ended runs that diverged or failed."""
        states = [run.state for setting in self.settings for run in setting.runs]
        return sum(one in LOST if state is None else one == state for one in states) / len(states)

    @property
    def published(self) -> Published | None:
        return published(self.best.first) if self.best else None


@dataclasses.dataclass(frozen=True)
class Search:
    """The cells that were searched on one task, the best to expect first, those without an ended run last."""

    board: Board
    cells: list[Cell]
    reported: str
    """On which data the reported scores are: `test`, `validation` or `training`."""
    trivial: float | None
    """The score a lost run counts with."""

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

    def paired(self, cell: Cell, baseline: str) -> Paired | None:
        """Differences of scores, the cell's less the baseline's, over settings that both have; over seeds where they
        share one setting alone. None for the baseline itself and where nothing is shared.
        """
        first, second = (_by_pair(one) for one in (cell, self.cell(baseline)))
        shared = sorted(first.keys() & second.keys())
        if cell.name == baseline or not shared:
            return None
        differences = collections.defaultdict(list)
        for setting, seed in shared:
            differences[setting].append(first[setting, seed] - second[setting, seed])
        means = [mean(of_setting) for of_setting in differences.values()]
        return paired(np.array(means if len(means) > 1 else differences[shared[0][0]]))

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


def ranks(found: list[Search]) -> dict[str, float]:
    """`{cell: mean rank}`, best first, of the cells that ended on every task, by what to expect of the best of N."""
    shared = set.intersection(*({cell.name for cell in search.ended} for search in found))
    if not shared:
        return {}
    names = sorted(shared)
    scores = [[search.cell(name).expected_at(search.draws) for name in names] for search in found]
    of_names = zip(names, mean_ranks(np.array(scores)).tolist(), strict=True)
    return dict(sorted(of_names, key=lambda pair: pair[1]))


def sizes(settings: int, *more: int) -> np.ndarray:
    """From 1 to the number of settings: all of them, or of many some, in steps that grow, with those of `more`."""
    if settings <= MOST_SIZES:
        return np.arange(1, settings + 1)
    spread = np.geomspace(1, settings, MOST_SIZES).round().astype(int)
    return np.unique([*spread, *(size for size in more if size <= settings)])


def _search(board: Board) -> Search:
    ended = [run for run in board.runs if run.state in ("done", "stopped", *LOST)]
    done = [run for run in ended if _score(run) is not None]
    trivial = board.measure.baseline
    if trivial is None:
        trivial = max(map(_score, done), default=None)
    tested = bool(done) and all(_test(run) is not None for run in done)
    if trivial is None:
        ended = []  # nothing is known that they could count with
    cells = [
        _cell(name, runs, [run for run in ended if run.cell == name], trivial, tested)
        for name, runs in by(board.runs, "cell").items()
    ]
    found = Search(board, cells, "test" if tested else board.scored_on, trivial)

    def place(cell: Cell):
        return (not cell.settings, cell.expected_at(found.draws) if cell.settings else 0.0, cell.name)

    return dataclasses.replace(found, cells=sorted(cells, key=place))


def _cell(name: str, runs: list[Run], ended: list[Run], trivial: float | None, tested: bool) -> Cell:
    settings = []
    for of_setting in by(ended, "group").values():
        scores, tests = zip(*(_counted(run, trivial) for run in of_setting), strict=True)
        settings.append(Setting(of_setting, list(scores), list(tests) if tested else None))
    return Cell(name, settings, len(runs) - len(ended))


def _counted(run: Run, trivial: float) -> tuple[float, float | None]:
    """The scores on validation and test data that a run counts with."""
    score = _score(run)
    if score is None or score >= trivial:
        return trivial, trivial
    return score, _test(run)


def _score(run: Run) -> float | None:
    """Of a run that is done, or was stopped by successive halving: what it had then is what its shorter budget gave."""
    if run.state == "stopped":
        return run.final.get("validation", {}).get(run.measure.name)
    return run.score


def _test(run: Run) -> float | None:
    return run.final.get("test", {}).get(run.measure.name)


def _by_pair(cell: Cell) -> dict[tuple[str, int], float]:
    """Scores by what a run shares with one of another cell: its settings but for the cell's name, and its seed."""
    scores = {}
    for setting in cell.settings:
        for run, score in zip(setting.runs, setting.scores, strict=True):
            shared = {key: value for key, value in run.settings.items() if key != "cell.name"}
            scores[json.dumps(shared, sort_keys=True), run.seed] = score
    return scores
