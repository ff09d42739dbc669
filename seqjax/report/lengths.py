"""Success, or score, against the length of a task: one problem at several lengths, compared across leaderboards."""

import collections
import dataclasses
import re
import statistics

from seqjax.report.measure import Measure
from seqjax.report.rows import Board, Comparison, Group, labels, wilson
from seqjax.report.runs import Run
from seqjax.report.text import counted


@dataclasses.dataclass
class Line:
    """Runs that differ only in seed and length: a group at every length at which there are some."""

    groups: dict[int, Group]
    label: str = ""

    @property
    def first(self) -> Run:
        return self.groups[min(self.groups)].first

    @property
    def runs(self) -> list[Run]:
        return [run for group in self.groups.values() for run in group.runs]


@dataclasses.dataclass
class Family:
    """The leaderboards of one problem at several lengths, as lines, those solved most often first."""

    boards: list[Board]
    lines: list[Line]

    @property
    def measure(self) -> Measure:
        """The criterion and the baseline may be another one at each length: this is that of the shortest."""
        return self.boards[0].measure

    @property
    def by_success(self) -> bool:
        """Whether there is a criterion to count by; else scores are compared."""
        return all(board.measure.solved_below is not None for board in self.boards)

    @property
    def lengths(self) -> list[int]:
        return [board.first.length for board in self.boards]

    @property
    def scored_on(self) -> str:
        return self.boards[0].scored_on

    @property
    def title(self) -> str:
        """That of the problem without its length."""
        titles = {_without(board.title, board.first.length) for board in self.boards}
        return titles.pop() if len(titles) == 1 else self.boards[0].first.config["task"]["name"].replace("_", " ")


def families(comparison: Comparison) -> list[Family]:
    """The problems that were learned at more than one length."""
    boards = collections.defaultdict(list)
    for board in comparison.boards:
        if board.first.length is not None and "length" in board.first.task:
            boards[board.first.family].append(board)
    return [
        Family(sorted(of_one, key=lambda board: board.first.length), _lines(of_one))
        for of_one in boards.values()
        if len({board.first.length for board in of_one}) == len(of_one) > 1
    ]


def _lines(boards: list[Board]) -> list[Line]:
    groups = collections.defaultdict(dict)
    for board in sorted(boards, key=lambda board: board.first.length):
        for group in board.groups:
            groups[group.first.line][board.first.length] = group
    lines = [Line(of_line) for of_line in groups.values()]
    for line, label in zip(lines, labels([line.first for line in lines], without=("task.length",)), strict=True):
        line.label = label

    def place(line: Line):
        fractions = [group.fraction for group in line.groups.values() if group.fraction is not None]
        means = [group.mean for group in line.groups.values() if group.mean is not None]
        solved = statistics.fmean(fractions) if fractions else 0.0
        return -solved, statistics.fmean(means) if means else float("inf"), line.label

    return sorted(lines, key=place)


def rows(families: list[Family]) -> list[dict]:
    """A row for each line and length: `low` and `high` are the 95% interval of the fraction, `mean` is of the score."""
    return [
        {
            "task": family.title,
            "label": line.label,
            "length": length,
            "seeds": group.judged if family.by_success else group.seeds,
            **_success(group),
            "median_step_solved": group.median_step_solved,
            "mean": group.mean,
        }
        for family in families
        for line in family.lines
        for length, group in line.groups.items()
    ]


def _success(group: Group) -> dict:
    if not group.judged:
        return dict.fromkeys(("solved", "fraction", "low", "high"))
    low, high = wilson(group.solved, group.judged)
    return {"solved": group.solved, "fraction": group.fraction, "low": low, "high": high}


def heading(family: Family) -> str:
    """`Success against length` or, without a criterion, `Loss against length`."""
    return f"{'Success' if family.by_success else family.measure.noun.capitalize()} against length"


def summary(family: Family) -> str:
    """How far each line was solved by all: what a reader looks for first."""
    if not family.by_success:
        return ""
    everywhere = {length: [line for line in family.lines if _all_solved(line, length)] for length in family.lengths}
    furthest = max((length for length, lines in everywhere.items() if lines), default=None)
    if furthest is None:
        return "At no length did every trial of a model solve the task."
    lines = everywhere[furthest]
    who = lines[0].label if len(lines) == 1 else counted(len(lines), "model")
    return f"Length {furthest:,} is the longest that every trial of a model solved: {who}."


def _all_solved(line: Line, length: int) -> bool:
    return length in line.groups and line.groups[length].fraction == 1.0


def _without(title: str, length: int) -> str:
    return re.sub(rf",?\s*(of )?(length|T)?\s*=?\s*\b{length}\b", "", title).strip(" ,") or title
