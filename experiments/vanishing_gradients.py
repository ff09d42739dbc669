"""See gradients vanish and explode: every cell, before and after training, in eight figures and one page.

python -m experiments.vanishing_gradients
python -m experiments.vanishing_gradients --cells=rnn,lstm --length=200 --out=long
python -m experiments.vanishing_gradients --run=runs/NAME
"""

import sys

from experiments import entry
from seqjax.errors import UserError


def main(arguments: list[str]) -> int:
    """Measure, draw and write the page, whose path is the last line printed; returns 1 when something failed."""
    parser = entry.parser("vanishing_gradients", __doc__)
    parser.add_argument("--cells", metavar="NAMES", help="with commas between (default: all but variants)")
    parser.add_argument("--length", type=int, metavar="T", help="steps of the adding problem (default: 100)")
    parser.add_argument("--hidden", type=int, metavar="N", help="units of every network (default: 32)")
    parser.add_argument("--seeds", type=int, metavar="S", help="networks of every kind (default: 5)")
    parser.add_argument("--training-steps", type=int, metavar="N", help="between before and after (default: 100)")
    parser.add_argument("--run", metavar="RUN", help="look into a trained run instead, on its own task")
    parser.add_argument("--out", default="gradients", metavar="DIR", help="where the page goes (default: gradients)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; 0: in this one (default: one a core)")
    options = parser.parse_args(arguments)
    entry.check(options, "workers", 0, 1024)

    # Imported here so that a wrong command line is answered at once.
    from seqjax.studies.settings import Settings

    asked = ("length", "hidden", "seeds", "training_steps")
    given = {name: getattr(options, name) for name in asked if getattr(options, name) is not None}
    if options.run is not None:
        return _look_into(options, given)
    settings = Settings(**given)
    cells = chosen_cells(options.cells)

    from seqjax.report import gradients_write
    from seqjax.studies import vanishing_gradients

    out = gradients_write.prepare(options.out)
    try:
        results, failures = _measure(vanishing_gradients.jobs(cells, settings), options.workers)
    except KeyboardInterrupt:
        print("stopped: nothing is drawn", file=sys.stderr)
        return 130
    studies = {"cells": [results.pop(cell) for cell in cells if cell in results]}
    facts = {
        "task": f"adding problem, {settings.length} steps",
        "hidden units": str(settings.hidden),
        "seeds": str(settings.seeds),
        "batch": str(settings.batch),
        "training": f"{settings.training_steps} steps of Adam, clipped",
    }
    measured = gradients_write.Measured(studies | results, failures, facts, settings.training_steps)
    print("drawing", flush=True)
    print(gradients_write.write(measured, out))
    return 1 if failures else 0


def _look_into(options, given: dict) -> int:
    """The figures of one trained run."""
    unfit = [f"--{name.replace('_', '-')}" for name in given] + (["--cells"] if options.cells is not None else [])
    if unfit:
        raise UserError(f"--run looks into one trained network as it is; it does not go with {', '.join(unfit)}")

    from seqjax.report import gradients_write
    from seqjax.results import RunDirectory
    from seqjax.studies import vanishing_gradients

    RunDirectory(options.run).trial()
    out = gradients_write.prepare(options.out)
    results, failures = _measure(vanishing_gradients.jobs_of_run(options.run), options.workers)
    if failures:
        raise UserError(failures[options.run])
    print(gradients_write.write_trained(results[options.run], out))
    return 0


def chosen_cells(names: str | None) -> list[str]:
    """Those that `--cells` names, or every registered cell but those that are a variant of another."""
    from seqjax.cells import CELLS, VARIANTS, find_cell

    if names is None:
        return [name for name in CELLS if name not in VARIANTS]
    chosen = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not chosen:
        raise UserError("--cells names no cell; give names with commas between, such as --cells=rnn,lstm")
    for name in chosen:
        find_cell(name)
    return chosen


def _measure(jobs, workers: int | None) -> tuple[dict, dict]:
    import time

    from seqjax import allocation
    from seqjax.datasets import cache_directory
    from seqjax.studies.workers import run

    if workers is None:
        workers = len(allocation.available_cores())
    results, failures, began = {}, {}, time.monotonic()
    for number, outcome in enumerate(run(jobs, min(workers, len(jobs)), cache_directory() / "compiled"), 1):
        name = outcome.job.name
        if outcome.failure:
            failures[name] = outcome.failure
        else:
            results[name] = outcome.result
        said = f"failed: {outcome.failure}" if outcome.failure else "measured"
        print(f"{time.monotonic() - began:5.0f} s  {number}/{len(jobs)}  {name} {said}", flush=True)
    return results, failures


if __name__ == "__main__":
    entry.run(main)
