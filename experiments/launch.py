"""Train one trial, or the trials of a sweep.

python -m experiments.launch --config=configs/char_lm.py --config.cell.name=gru
python -m experiments.launch --config=configs/char_lm.py --sweep=cells --sweep=seeds --workers=2
"""

import pathlib

from rich.console import Console

from experiments import entry
from seqjax.errors import UserError


def main(arguments: list[str]) -> int:
    """Launch; returns 1 when a trial did not finish."""
    parser = entry.parser("launch", __doc__)
    parser.add_argument("--config", required=True, metavar="FILE[:VARIANT]")
    parser.add_argument("--sweep", action="append", default=[], metavar="NAME", help="may be given several times")
    parser.add_argument("--runs", default="runs", metavar="DIR", help="where run directories go (default: runs)")
    parser.add_argument("--workers", type=int, metavar="N", help="trials at a time in a sweep (default: all cores)")
    parser.add_argument(
        "--stack", type=int, metavar="N", help="at most so many trials in one program (default: 64; 1: each by itself)"
    )
    parser.add_argument(
        "--rungs", metavar="STEPS", help="successive halving: at these steps, such as 500,2000, only the best go on"
    )
    parser.add_argument("--keep", type=float, default=1 / 3, metavar="F", help="which fraction goes on (default: 1/3)")
    parser.add_argument(
        "--within", metavar="KEY", help="compare at rungs only trials of one value of this config key, say cell.name"
    )
    parser.add_argument("--rerun", action="store_true", help="train stale trials again")
    parser.epilog = "--config.KEY=VALUE sets a value of the config, for example --config.cell.name=gru"
    overrides, rest = _overrides(arguments)
    options = parser.parse_args(rest)
    if options.workers is not None and options.workers < 1:
        raise UserError(f"--workers is {options.workers}; it should be at least 1")
    if options.rungs and not options.sweep:
        raise UserError("--rungs compares the trials of a sweep; name one with --sweep")
    if not 0 < options.keep <= 1:
        raise UserError(f"--keep is {options.keep}; it should be over 0 and at most 1")
    if options.stack is not None and options.stack < 1:
        raise UserError(f"--stack is {options.stack}; it should be at least 1")

    # Imported here so that a wrong command line is answered at once.
    from seqjax import allocation
    from seqjax.config import load_config, override
    from seqjax.report import write_report
    from seqjax.results import AT_REST
    from seqjax.sweeps import halving
    from seqjax.sweeps.expand import expand
    from seqjax.sweeps.launch import hold, plan

    _plan_on_cpu()
    config, sweeps = load_config(options.config)
    for key, value in overrides:
        override(config, key, value)
    configs = expand(config, sweeps, options.sweep)
    if options.rungs:
        for trial in configs:
            halving.check(trial, halving.rungs(options.rungs), options.within)
    runs_directory = pathlib.Path(options.runs)
    console = Console()
    with hold(runs_directory):
        planned = plan(configs, runs_directory, options.rerun)
        _announce(console, planned)
        if not options.sweep:
            console.print(f"run directory: {planned.runs[0].path}", highlight=False, markup=False, soft_wrap=True)
        if options.sweep:
            _sweep(planned, options, console)
        else:
            _train(console, [[run] for run in planned.todo], [allocation.everything(config.task.batch)])
        unfinished = [run for run in planned.todo if run.status()["state"] not in AT_REST]
        for run in unfinished:
            status = run.status()
            told = f"{run.name} {status['state']}: {status['why']}"
            console.print(told, highlight=False, markup=False, soft_wrap=True)
        if options.sweep:
            report = write_report([runs_directory], console=console)
            console.print(f"report: {report}", highlight=False, markup=False, soft_wrap=True)
    return 1 if unfinished else 0


def _sweep(planned, options, console: Console) -> None:
    """Train what is to do, all of it to its end or, with rungs, what is good enough at each."""
    from seqjax import allocation
    from seqjax.results import FINISHED
    from seqjax.sweeps import halving
    from seqjax.sweeps.stacks import LARGEST, stacked

    workers = options.workers or len(allocation.available_gpus() or allocation.available_cores())
    contenders, steps = planned.runs, halving.rungs(options.rungs) if options.rungs else []
    for rung in [*steps, None]:
        todo = [run for run in contenders if run in planned.todo and run.status()["state"] not in FINISHED]
        if rung:
            todo = [run for run in todo if not halving.reached(run, rung)]
        for run in todo:
            run.set_status("queued")  # also of those that halving stopped in an earlier launch
        stacks = stacked(todo, workers, options.stack or LARGEST)
        _train(console, stacks, allocation.divide(min(workers, max(1, len(stacks)))), rung)
        if rung:
            kept = []
            for value, group in halving.groups(contenders, options.within).items():
                going = halving.going_on(group, rung, options.keep)
                best = f"; best: {going[0].name} {halving.score(going[0], rung):.4f}" if going else ""
                told = f"step {rung}{value and ', '}{value}: {len(going)} of {len(group)} go on{best}"
                console.print(told, highlight=False, markup=False, soft_wrap=True)
                kept += going
            contenders = kept


def _train(console: Console, stacks, slots, until: int | None = None) -> None:
    from seqjax.sweeps.local import run_all
    from seqjax.sweeps.progress import Progress

    with Progress(console, sum(map(len, stacks))) as progress:
        run_all(stacks, slots, progress.watch, until=until)


def _overrides(arguments: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """`--config.KEY=VALUE` and `--config.KEY VALUE` apart from the other arguments."""
    overrides, rest = [], []
    remaining = list(arguments)
    while remaining:
        argument = remaining.pop(0)
        if not argument.startswith("--config."):
            rest.append(argument)
            continue
        key, equals, value = argument.removeprefix("--config.").partition("=")
        if not equals:
            if not remaining or remaining[0].startswith("--"):
                raise UserError(f"{argument} needs a value: {argument}=VALUE")
            value = remaining.pop(0)
        overrides.append((key, value))
    return overrides, rest


def _plan_on_cpu() -> None:
    """Keep the launcher off the GPU, whose memory belongs to the trials."""
    import jax

    jax.config.update("jax_platforms", "cpu")


def _data(trial: dict) -> str:
    corpus, title = trial["corpus"], trial["title"]
    if corpus is None:
        return f"task: {title}"
    return f"data: {title}, {corpus['size']:,} bytes, SHA-256 {corpus['sha256'][:16]}..."


def _announce(console: Console, planned) -> None:
    for note in planned.notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    for line in dict.fromkeys(_data(run.trial()) for run in planned.runs):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    done = len(planned.finished)
    trials = "1 trial" if len(planned.runs) == 1 else f"{len(planned.runs)} trials"
    console.print(f"{trials}: {len(planned.todo)} to run, {done} finished before", highlight=False)


if __name__ == "__main__":
    entry.run(main)
