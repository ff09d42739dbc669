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
from seqjax.report.rows import (
    SCORES,
    SPLITS,
    Board,
    Comparison,
    Group,
    Run,
    bits,
    deviation,
    mean,
    perplexity,
    varying_settings,
)
from seqjax.results import STATUSES

WIDTH_ELSEWHERE = 120  # columns, where the output is no terminal

DROPPED_FIRST = ("bits", "test", "parameters", "ms/step")  # where the terminal is narrow

# Names of columns and their types; every value may be missing.
RUN_COLUMNS = {
    "leaderboard": int,
    "text": str,
    "text_sha256": str,
    "label": str,
    "name": str,
    "cell": str,
    "layers": int,
    "hidden": int,
    "seed": int,
    "parameters": int,
    "status": str,
    "why": str,
    "steps": int,
    "steps_wanted": int,
    "best_step": int,
    "measure": str,
    "score": float,
    **{f"{split}_{score}": float for split in SPLITS for score in SCORES},
    "ms_per_step": float,
    "training_seconds": float,
}
GROUP_COLUMNS = {
    "leaderboard": int,
    "text": str,
    "text_sha256": str,
    "rank": int,
    "label": str,
    "cell": str,
    "layers": int,
    "hidden": int,
    "parameters": int,
    "measure": str,
    "seeds": int,
    "mean_nats": float,
    "deviation_nats": float,
    "mean_bits": float,
    "perplexity_of_mean": float,
    "train_nats": float,
    "test_nats": float,
    "test_deviation_nats": float,
    "ms_per_step": float,
    "training_seconds": float,
    **dict.fromkeys(STATUSES, int),
}


def run_rows(comparison: Comparison) -> list[dict]:
    """One row for each run, with the settings that vary as `config.<key>`."""
    keys = varying_settings(comparison.runs)
    return [
        {"leaderboard": n, **_text(board), **_run_row(run), **{f"config.{key}": run.settings.get(key) for key in keys}}
        for n, board in enumerate(comparison.boards, 1)
        for run in board.runs
    ]


def _text(board: Board) -> dict:
    return {"text": text.one_line(str(board.corpus.get("source", ""))), "text_sha256": board.corpus.get("sha256")}


def _run_row(run: Run) -> dict:
    same = ("label", "name", "cell", "layers", "hidden", "seed", "parameters")
    last = ("why", "steps", "steps_wanted", "best_step", "measure", "score")
    scores = {f"{split}_{score}": run.final.get(split, {}).get(score) for split in SPLITS for score in SCORES}
    return {
        **{name: getattr(run, name) for name in same},
        "status": run.state,
        **{name: getattr(run, name) for name in last},
        **scores,
        "ms_per_step": run.ms_per_step,
        "training_seconds": run.training_seconds,
    }


def group_rows(comparison: Comparison) -> list[dict]:
    """One row for each group, best first; `rank` is missing where no run is done."""
    return [
        {"leaderboard": n, **_text(board), "rank": rank if group.seeds else None, **_group_row(group)}
        for n, board in enumerate(comparison.boards, 1)
        for rank, group in enumerate(board.groups, 1)
    ]


def _group_row(group: Group) -> dict:
    run = group.first
    return {
        "label": group.label,
        **{name: getattr(run, name) for name in ("cell", "layers", "hidden", "parameters", "measure")},
        "seeds": group.seeds,
        "mean_nats": group.mean,
        "deviation_nats": group.deviation,
        "mean_bits": bits(group.mean),
        "perplexity_of_mean": perplexity(group.mean),
        "train_nats": mean(group.split("train")),
        "test_nats": mean(group.split("test")),
        "test_deviation_nats": deviation(group.split("test")),
        "ms_per_step": group.ms_per_step,
        "training_seconds": group.training_seconds,
        **{state: group.states.get(state, 0) for state in STATUSES},
    }


def write(comparison: Comparison, out: pathlib.Path) -> None:
    """runs.csv, runs.parquet, leaderboard.csv and leaderboard.parquet."""
    for name, rows, columns in (
        ("runs", run_rows(comparison), RUN_COLUMNS),
        ("leaderboard", group_rows(comparison), GROUP_COLUMNS),
    ):
        _write_csv(out / f"{name}.csv", rows)
        pyarrow.parquet.write_table(_arrow(rows, columns), out / f"{name}.parquet")


def _write_csv(path: pathlib.Path, rows: list[dict]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _arrow(rows: list[dict], columns: dict[str, type]) -> pyarrow.Table:
    """Columns keep their type where all values are missing; a setting of mixed types becomes text."""
    types = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    arrays = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        kinds = {type(value) for value in values if value is not None}
        if name not in columns and kinds not in ({bool}, {int}, {float}, {int, float}):
            values = [None if value is None else str(value) for value in values]
        arrays[name] = pyarrow.array(values, types.get(columns.get(name)))
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
    what = (
        "validation text" if board.measure == "validation" else "training text, smoothed (there is no validation text)"
    )
    _say(console, f"\n{_text(board)['text']}: nats per symbol on the {what}")
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


def _columns(board: Board) -> dict[str, list[str]]:
    """The cells of each column, by its name."""
    groups = board.groups
    columns = {
        "#": [str(n) if group.seeds else "" for n, group in enumerate(groups, 1)],
        "model": [group.label for group in groups],
        board.measure: [text.nats(group.mean, group.deviation) for group in groups],
        "bits": [text.number(bits(group.mean), 3) for group in groups],
        "test": [text.number(mean(group.split("test")), 4) for group in groups],
        "seeds": [str(group.seeds) for group in groups],
        "parameters": [f"{group.first.parameters:,}" for group in groups],
        "ms/step": [text.number(group.ms_per_step, 1) for group in groups],
        "runs": [text.states(group.states) for group in groups],
    }
    if not any(group.split("test") for group in groups):
        del columns["test"]
    if all(run.state == "done" for run in board.runs):
        del columns["runs"]
    return columns


def _width(columns: dict[str, list[str]]) -> int:
    """Of the table, in characters."""
    return sum(max(map(len, [name, *cells])) + 2 for name, cells in columns.items())
