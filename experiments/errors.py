"""See the errors of a trained character model by kind, beside n-gram models, or beside another run.

python -m experiments.errors runs/NAME
python -m experiments.errors runs/SMALL runs/LARGE --split=test --out=errors
"""

import pathlib

from experiments import entry
from seqjax.errors import UserError

HELD_OUT = ("validation", "test")


def main(arguments: list[str]) -> int:
    """Measure, print and write the page, whose path is the last line printed."""
    parser = entry.parser("errors", __doc__)
    parser.add_argument("run", help="the directory of a run of a character model")
    parser.add_argument("other", nargs="?", metavar="other_run", help="a second run, on the same data")
    parser.add_argument("--split", default="test", help="validation or test (the default)")
    parser.add_argument(
        "--orders",
        type=int,
        default=20,
        metavar="N",
        help="of the longest n-grams, at most 100 (default: 20); errors are explained by up to 9",
    )
    parser.add_argument("--symbols", type=int, default=100_000, metavar="N", help="at most so many (default: 100,000)")
    parser.add_argument("--out", metavar="DIR", help="where the page goes (default: errors in the run's directory)")
    options = parser.parse_args(arguments)
    entry.check(options, "orders", 1, 100)
    entry.check(options, "symbols", 2, 10_000_000)

    # Imported here so that a wrong command line is answered at once.
    import numpy as np
    from rich.console import Console

    from seqjax.interpret.breakdown import break_down
    from seqjax.interpret.surprise import surprise
    from seqjax.report import errors, errors_tables
    from seqjax.report.gradients_write import prepare

    runs = [options.run] + ([options.other] if options.other else [])
    names = [pathlib.Path(run).resolve().name for run in runs]
    if len({pathlib.Path(run).resolve() for run in runs}) < len(runs):
        raise UserError(f"{' and '.join(runs)} are the same directory; a run is compared with another one")
    if len(set(names)) < len(names):
        names = runs
    opened, tasks = zip(*map(_open, runs), strict=True)
    symbols = _symbols(tasks[0], options.split, options.symbols)
    _check_same(runs, tasks)
    out = prepare(options.out or pathlib.Path(options.run) / "errors")
    training, vocabulary = tasks[0].splits["train"], tasks[0].vocabulary
    nats = np.stack([surprise(loaded.model, symbols) for loaded in opened])
    _check_finite(runs, nats)
    breakdown = break_down(names, nats, symbols, training, vocabulary, options.orders)
    facts = {
        "text": f"{tasks[0].title}, {options.split}, read as {breakdown.language}",
        "symbols": f"{len(symbols):,}",
        "training text": f"{len(training):,} symbols",
        "vocabulary": f"{len(vocabulary)} {vocabulary.kind}",
    }
    facts |= {f"weights, {name}": f"of step {loaded.step:,}" for name, loaded in zip(names, opened, strict=True)}
    facts |= {f"nats, {name}": f"{row.mean():.4f}" for name, row in zip(names, breakdown.nats, strict=True)}
    facts |= {f"nats, {breakdown.best_name}": f"{breakdown.ngrams[breakdown.best].mean():.4f}"}
    page = errors.write(breakdown, facts, out)
    console = Console()
    for name, value in facts.items():
        console.print(f"{name}: {value}", highlight=False, markup=False, soft_wrap=True)
    errors_tables.print_all(breakdown, console)
    console.print(str(page), highlight=False, markup=False, soft_wrap=True)
    return 0


def _open(run: str):
    """A run, loaded, and its task with its data."""
    from seqjax.loading import load_evaluated
    from seqjax.results import RunDirectory
    from seqjax.training.trial import open_task

    loaded = load_evaluated(run)
    if not loaded.is_language_model:
        raise UserError(f"{run} is no language model, but a run of the task {loaded.config.task.name}")
    return loaded, open_task(RunDirectory(run).trial())[1]


def _symbols(task, split: str, most: int):
    """The beginning of a split. Raises UserError where there is nothing to measure."""
    from seqjax.errors import did_you_mean

    if split == "train":
        raise UserError("n-gram models are made of the train split and know it by heart; measure validation or test")
    if split not in HELD_OUT:
        raise UserError(f"unknown split {split!r}; {did_you_mean(split, HELD_OUT)}")
    symbols = task.splits[split][:most]
    if len(symbols) < 2:
        filled = [f"--split={name}" for name in HELD_OUT if len(task.splits[name]) > 1]
        rather = f"use {filled[0]}" if filled else "train one with --config.data.test=0.05"
        raise UserError(f"this run has no {split} split to measure; {rather}")
    return symbols


def _check_same(runs: list[str], tasks) -> None:
    """Raises UserError where two runs do not share vocabulary and data."""
    import numpy as np

    from seqjax.tasks.char_lm import SPLITS

    first, *others = tasks
    for run, other in zip(runs[1:], others, strict=True):
        if other.vocabulary != first.vocabulary:
            raise UserError(f"{runs[0]} and {run} have different vocabularies; compare runs of the same data.symbols")
        if not all(np.array_equal(first.splits[name], other.splits[name]) for name in SPLITS):
            raise UserError(f"{runs[0]} and {run} have different texts or splits; compare runs of the same data")


def _check_finite(runs: list[str], nats) -> None:
    """Raises UserError for a run whose loss on some symbol after the first, which has none, is NaN or infinite."""
    import numpy as np

    for run, row in zip(runs, nats[:, 1:], strict=True):
        if not np.isfinite(row).all():
            raise UserError(f"the losses of {run} are not all finite: has this network diverged?")


if __name__ == "__main__":
    entry.run(main)
