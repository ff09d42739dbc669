"""All numbers as CSV and Parquet."""

import csv
import pathlib

import pyarrow
import pyarrow.parquet

from seqjax.report import lengths
from seqjax.report.rows import Board, Comparison, Group, bits, deviation, mean, perplexity, varying_settings
from seqjax.report.runs import SPLITS, Run
from seqjax.results import STATUSES

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
    """runs.csv, leaderboard.csv, both as Parquet, and success_by_length.csv where a task has several lengths."""
    for name, rows in (("runs", run_rows(comparison)), ("leaderboard", group_rows(comparison))):
        rows = [{key: _unicode(value) for key, value in row.items()} for row in rows]
        _write_csv(out / f"{name}.csv", rows)
        with open(out / f"{name}.parquet", "wb") as file:  # pyarrow takes no path that is not Unicode
            pyarrow.parquet.write_table(_arrow(rows), file)
    if by_length := lengths.rows(lengths.families(comparison)):
        _write_csv(out / "success_by_length.csv", by_length)


def _unicode(value):
    """A file's name need not be Unicode."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _write_csv(path: pathlib.Path, rows: list[dict]) -> None:
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
