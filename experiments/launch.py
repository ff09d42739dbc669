"""Train one trial, or the trials of a sweep.

python -m experiments.launch --config=configs/char_lm.py --config.cell.name=gru
python -m experiments.launch --config=configs/char_lm.py --sweep=cells --sweep=seeds --workers=2
python -m experiments.launch --config=configs/char_lm.py --sweep=cells --launcher=ray --runs=/shared/runs
"""

import itertools
import os
import pathlib

from rich.console import Console

from experiments import entry
from seqjax.errors import UserError


def _parsed(arguments: list[str]):
    """The overrides of the config and the other options. Raises UserError for values that cannot be."""
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
    parser.add_argument(
        "--hanging",
        type=float,
        default=60.0,
        metavar="MINUTES",
        help="a training process that writes nothing for so long is ended and started again (default: 60)",
    )
    parser.add_argument(
        "--launcher", choices=("local", "ray"), default="local", help="where trials run: here, or on a Ray cluster"
    )
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="train one trial in so many, on N hosts")
    parser.add_argument("--process", type=int, default=0, metavar="K", help="which of them this is, from 0")
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="where they meet: a free port of process 0's host")
    parser.epilog = "--config.KEY=VALUE sets a value of the config, for example --config.cell.name=gru"
    overrides, rest = _overrides(arguments)
    options = parser.parse_args(rest)
    if options.workers is not None and options.workers < 1:
        raise UserError(f"--workers is {options.workers}; it should be at least 1")
    if options.rungs and not options.sweep:
        raise UserError("--rungs compares the trials of a sweep; name one with --sweep")
    if not options.hanging > 0:
        raise UserError(f"--hanging is {options.hanging}; it should be over 0, or inf for never")
    if not 0 < options.keep <= 1:
        raise UserError(f"--keep is {options.keep}; it should be over 0 and at most 1")
    if options.stack is not None and options.stack < 1:
        raise UserError(f"--stack is {options.stack}; it should be at least 1")
    _check_processes(options)
    return overrides, options


def _check_processes(options) -> None:
    if options.processes < 1:
        raise UserError(f"--processes is {options.processes}; it should be at least 1")
    if not 0 <= options.process < options.processes:
        raise UserError(f"--process is {options.process}; it should be from 0 to {options.processes - 1}")
    if options.processes > 1 and (options.sweep or options.launcher == "ray"):
        raise UserError("--processes divides one trial among hosts: leave out --sweep and --launcher")
    host, _, port = (options.coordinator or "").rpartition(":")
    if options.processes > 1 and not (host and port.isdecimal()):
        raise UserError(f"--coordinator is {options.coordinator}; --processes needs HOST:PORT, the same for all")
    if options.processes == 1 and options.coordinator:
        raise UserError("--coordinator is where several processes meet; say with --processes how many they are")


def main(arguments: list[str]) -> int:
    """Launch; returns 1 when a trial did not finish."""
    overrides, options = _parsed(arguments)
    # Imported here so that a wrong command line is answered at once.
    from seqjax.config import load_config, override
    from seqjax.report import write_report
    from seqjax.results import AT_REST
    from seqjax.sweeps import halving
    from seqjax.sweeps.expand import expand
    from seqjax.sweeps.launch import hold, plan

    _plan_on_cpu()
    config, sweeps = load_config(options.config)
    for key, value in sorted(overrides, key=lambda given: given[0] != "cell.name"):  # which empties cell.options
        override(config, key, value)
    configs = expand(config, sweeps, options.sweep)
    if options.rungs:
        for trial in configs:
            halving.check(trial, halving.rungs(options.rungs), options.within)
    runs_directory = pathlib.Path(options.runs)
    console = Console()
    if options.process:
        return _join(config, runs_directory, options)
    if options.launcher == "ray":
        from seqjax.sweeps import cluster

        cluster.connect()
    with hold(runs_directory):
        planned = plan(configs, runs_directory, options.rerun, judged=bool(options.rungs))
        _announce(console, planned)
        if not options.sweep:
            console.print(f"run directory: {planned.runs[0].path}", highlight=False, markup=False, soft_wrap=True)
        if options.sweep:
            _sweep(planned, options, console)
        else:
            _train(console, [[run] for run in planned.todo], options, [_share(config, options)])
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

    if options.launcher == "ray":
        from seqjax.sweeps import cluster

        workers = options.workers or cluster.places()
    else:
        workers = options.workers or len(allocation.available_gpus() or allocation.available_cores())
    contenders, steps = planned.runs, halving.rungs(options.rungs) if options.rungs else []
    for since, rung in itertools.pairwise([0, *steps, None]):
        todo = [run for run in contenders if run in planned.todo and run.status()["state"] not in FINISHED]
        if rung:
            todo = [run for run in todo if not halving.reached(run, rung)]
        for run in todo:
            run.set_status("queued")  # also of those that halving stopped in an earlier launch
        stacks = stacked(todo, workers, options.stack or LARGEST, since)
        _train(console, stacks, options, allocation.divide(min(workers, max(1, len(stacks)))), rung, since)
        if rung:
            kept = []
            for value, group in halving.groups(contenders, options.within).items():
                going = halving.going_on(group, rung, options.keep)
                best = f"; best: {going[0].name} {halving.score(going[0], rung):.4f}" if going else ""
                told = f"step {rung}{value and ', '}{value}: {len(going)} of {len(group)} go on{best}"
                console.print(told, highlight=False, markup=False, soft_wrap=True)
                kept += going
            contenders = kept


def _train(console: Console, stacks, options, slots, until: int | None = None, since: int = 0) -> None:
    from seqjax.sweeps import local
    from seqjax.sweeps.progress import Progress

    common = {"until": until, "options": [f"--since={since}", *_of_processes(options)], "hanging": 60 * options.hanging}
    with Progress(console, sum(run is not None for stack in stacks for run in stack)) as progress:
        if options.launcher == "ray":
            from seqjax.sweeps import cluster

            cluster.run_all(stacks, len(slots), progress.watch, **common)
        else:
            local.run_all(stacks, slots, progress.watch, **common)


def _share(config, options):
    """The whole machine for a trial, or for one of its processes."""
    from seqjax import allocation

    if config.task.batch % options.processes:
        raise UserError(f"task.batch is {config.task.batch}; it cannot be divided among {options.processes} processes")
    return allocation.everything(config.task.batch // options.processes)


def _of_processes(options) -> list[str]:
    """What tells a training process that it is one of several."""
    if options.processes == 1:
        return []
    return [f"--coordinator={options.coordinator}", f"--processes={options.processes}", f"--process={options.process}"]


def _join(config, runs_directory: pathlib.Path, options) -> int:
    """Become a further process of a trial whose first process makes and writes its run directory."""
    from seqjax.sweeps.launch import is_over, place
    from seqjax.sweeps.local import training
    from seqjax.training.trial import resolve

    record = resolve(config, {})
    run = place(runs_directory, record)
    if run.exists() and is_over(run, run.trial(), record, options.rerun):
        return 0
    command, environment = training([run], _share(config, options))
    os.execve(command[0], [*command, *_of_processes(options)], environment)  # noqa: S606 - a list of our own making


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
    begun = sum(run.timing.last() is not None for run in planned.todo)
    going_on = f" ({begun} begun before)" if begun else ""
    console.print(f"{trials}: {len(planned.todo)} to run{going_on}, {done} finished before", highlight=False)


if __name__ == "__main__":
    entry.run(main, goes_on_without_output=True)
