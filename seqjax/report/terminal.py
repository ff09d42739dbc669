"""What a comparison says on the terminal."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from seqjax.report import text
from seqjax.report.lengths import Family, families, heading, summary
from seqjax.report.rows import Board, Comparison, Group, bits, mean

WIDTH_ELSEWHERE = 120  # columns, where the output is no terminal

DROPPED_FIRST = ("bits", "test", "parameters", "ms/step", "at step")  # where the terminal is narrow


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Success by length, the leaderboards, a line for each run that is not done and for each that could not be read."""
    if not console.is_terminal:
        console = Console(file=console.file, width=WIDTH_ELSEWHERE)
    for family in families(comparison):
        _print_lengths(family, console)
    for board in comparison.boards:
        _print_leaderboard(board, console)
    for run in comparison.runs:
        if run.state != "done":
            reason = f": {run.why}" if run.why else f" at step {run.steps:,} of {run.steps_wanted:,}"
            _say(console, f"{run.name} {run.state}{reason}")
    for note in comparison.notes:
        _say(console, note)


def _say(console: Console, sentence: str) -> None:
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)


def _print_lengths(family: Family, console: Console) -> None:
    _say(console, f"\n{family.title}: {heading(family).lower()}")
    cells = [[_at_length(line.groups.get(length)) for length in family.lengths] for line in family.lines]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", overflow="fold")
    for length in family.lengths:
        table.add_column(f"{length:,}", justify="right")
    for line, of_line in zip(family.lines, cells, strict=True):
        table.add_row(*map(Text, [line.label, *of_line]))
    console.print(table)
    if family.by_success:
        _say(console, f"solved / ended, and the median step at which they were solved\n{summary(family)}")


def _at_length(group: Group | None) -> str:
    """`4/5` and, on a second line, the median step; or the score."""
    if group is None:
        return ""
    if group.first.measure.solved_below is None:
        return text.score(group.mean, group.deviation)
    return f"{group.solved}/{group.judged}\n{text.step(group.median_step_solved)}".strip()


def _print_leaderboard(board: Board, console: Console) -> None:
    where = f"the {board.scored_on} {board.noun}"
    if board.scored_on == "training":
        where += f", smoothed (there is no validation {board.noun})"
    _say(console, f"\n{board.title}: {board.measure.axis} on {where}")
    columns = _columns(board)
    for name in DROPPED_FIRST:
        if _width(columns) > console.width:
            columns.pop(name, None)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        left = name in ("model", "runs")
        table.add_column(name, justify="left" if left else "right", no_wrap=not left, overflow="fold")
    best = next((group for group in board.groups if group.seeds), None)
    for group, *cells in zip(board.groups, *columns.values(), strict=True):
        table.add_row(*map(Text, cells), style="bold" if group is best else "")
    console.print(table)
    spread = any(group.seeds > 1 for group in board.groups)
    _say(console, ("mean ± standard deviation over seeds; " if spread else "") + "lower is better")
    if board.measure.yardsticks:
        console.print(Text(board.measure.yardsticks, style="dim"), soft_wrap=True)


def _columns(board: Board) -> dict[str, list[str]]:
    """The cells of each column, by its name."""
    groups, measure = board.groups, board.measure
    columns = {
        "#": [str(n) if group.seeds else "" for n, group in enumerate(groups, 1)],
        "model": [group.label for group in groups],
        "solved": [f"{group.solved}/{group.judged}" for group in groups],
        "at step": [text.step(group.median_step_solved) for group in groups],
        board.scored_on: [text.score(group.mean, group.deviation) for group in groups],
        "bits": [text.number(bits(group.mean), 3) for group in groups],
        "test": [text.score(mean(group.split("test"))) for group in groups],
        "seeds": [str(group.seeds) for group in groups],
        "parameters": [f"{group.first.parameters:,}" for group in groups],
        "ms/step": [text.number(group.ms_per_step, 1) for group in groups],
        "runs": [text.states(group.states) for group in groups],
    }
    if measure.solved_below is None:
        del columns["solved"], columns["at step"]
    if not measure.of_text:
        del columns["bits"]
    if not any(group.split("test") for group in groups):
        del columns["test"]
    if all(run.state == "done" for run in board.runs):
        del columns["runs"]
    return columns


def _width(columns: dict[str, list[str]]) -> int:
    """Of the table, in characters."""
    return sum(max(map(len, [name, *cells])) + 2 for name, cells in columns.items())
