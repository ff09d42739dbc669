"""The leaderboard on the terminal, and all numbers as CSV and Parquet."""

import csv
import pathlib

import pyarrow
import pyarrow.parquet
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from seqjax.report import text
from seqjax.report.rows import Board, Comparison, Group, bits, deviation, mean, perplexity, varying_settings
from seqjax.report.runs import SPLITS, Run
from seqjax.results import STATUSES

WIDTH_ELSEWHERE = 120  # columns, where the output is no terminal

DROPPED_FIRST = ("bits", "test", "parameters", "ms/step", "at step")  # where the terminal is narrow

# Names of columns and their types; every value may be missing. Other columns of numbers are floats.
COLUMNS = {
    **dict.fromkeys(("title", "data_sha256", "label", "name", "cell", "status", "why", "metric", "scored_on"), str),
    **dict.fromkeys(("leaderboard", "rank", "layers", "hidden", "seed", "seeds", "parameters"), int),
    **dict.fromkeys(("steps", "steps_wanted", "best_step", "solved_step", "ended", "solved", *STATUSES), int),
}


def run_rows(comparison: Comparison) -> list[dict]:
    """One row for each run, with every metric on every split as `<split>_<metric>`, and the settings that vary as
    `config.<key>`.
    """
    keys, names = varying_settings(comparison.runs), metrics(comparison.runs)
    return [
        {
            "leaderboard": n,
            **_board(board),
            **_run_row(run, names),
            **{f"config.{key}": run.settings.get(key) for key in keys},
        }
        for n, board in enumerate(comparison.boards, 1)
        for run in board.runs
    ]


def metrics(runs: list[Run]) -> list[str]:
    """The measures of the runs, what follows from them, and what else was measured at their ends."""
    names = {}
    for run in runs:
        names |= dict.fromkeys([run.measure.name, *(("bits", "perplexity") if run.measure.of_text else ())])
    return list(names | dict.fromkeys(name for run in runs for final in run.final.values() for name in final))


def _board(board: Board) -> dict:
    return {
        "title": board.title,
        "data_sha256": board.corpus.get("sha256"),
        "metric": board.measure.name,
        "scored_on": board.scored_on,
    }


def _run_row(run: Run, names: list[str]) -> dict:
    first = ("label", "name", "cell", "layers", "hidden", "seed", "parameters")
    last = ("why", "steps", "steps_wanted", "best_step", "solved_step", "score")
    return {
        **{name: getattr(run, name) for name in first},
        "status": run.state,
        **{name: getattr(run, name) for name in last},
        **{f"{split}_{name}": run.final.get(split, {}).get(name) for split in SPLITS for name in names},
        "ms_per_step": run.ms_per_step,
        "training_seconds": run.training_seconds,
    }


def group_rows(comparison: Comparison) -> list[dict]:
    """One row for each group, best first; `rank` is missing where no run has a score. `ended` and `solved` count the
    runs of a task with a criterion of success.
    """
    of_text = any(board.measure.of_text for board in comparison.boards)
    return [
        {"leaderboard": n, **_board(board), "rank": rank if group.seeds else None, **_group_row(group, board, of_text)}
        for n, board in enumerate(comparison.boards, 1)
        for rank, group in enumerate(board.groups, 1)
    ]


def _group_row(group: Group, board: Board, of_text: bool) -> dict:
    run, measure = group.first, board.measure
    nats = group.mean if measure.of_text else None
    return {
        "label": group.label,
        **{name: getattr(run, name) for name in ("cell", "layers", "hidden", "parameters")},
        "seeds": group.seeds,
        "mean": group.mean,
        "deviation": group.deviation,
        **({"mean_bits": bits(nats), "perplexity_of_mean": perplexity(nats)} if of_text else {}),
        "train": mean(group.split("train")),
        "test": mean(group.split("test")),
        "test_deviation": deviation(group.split("test")),
        "baseline": measure.baseline,
        "solved_below": measure.solved_below,
        "ended": None if measure.solved_below is None else group.judged,
        "solved": None if measure.solved_below is None else group.solved,
        "median_step_solved": group.median_step_solved,
        "ms_per_step": group.ms_per_step,
        "training_seconds": group.training_seconds,
        **{state: group.states.get(state, 0) for state in STATUSES},
    }


def write(comparison: Comparison, out: pathlib.Path) -> None:
    """runs.csv, runs.parquet, leaderboard.csv and leaderboard.parquet."""
    for name, rows in (("runs", run_rows(comparison)), ("leaderboard", group_rows(comparison))):
        write_csv(out / f"{name}.csv", rows)
        pyarrow.parquet.write_table(_arrow(rows), out / f"{name}.parquet")


def write_csv(path: pathlib.Path, rows: list[dict]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _arrow(rows: list[dict]) -> pyarrow.Table:
    """Columns keep their type where all values are missing; a setting of mixed types becomes text."""
    types = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    arrays = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        setting = name.startswith("config.")
        kinds = {type(value) for value in values if value is not None}
        if setting and kinds not in ({bool}, {int}, {float}, {int, float}):
            values = [None if value is None else str(value) for value in values]
        arrays[name] = pyarrow.array(values, None if setting else types[COLUMNS.get(name, float)])
    return pyarrow.table(arrays)


def print_leaderboards(comparison: Comparison, console: Console) -> None:
    """The leaderboards, then a line for each run that is not done and for each that could not be read."""
    if not console.is_terminal:
        console = Console(file=console.file, width=WIDTH_ELSEWHERE)
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
