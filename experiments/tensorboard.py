"""Write what runs measured as TensorBoard event files, one directory a run.

python -m experiments.tensorboard runs --out=events && tensorboard --logdir=events

The times are seconds of training: TensorBoard's relative axis shows them.
"""

import collections
import contextlib
import pathlib

from experiments import entry
from seqjax.errors import UserError

NOT_SCALARS = ("kind", "split", "step", "cause")
SUFFIX = ".seqjax"  # of the event files written here, so that a second conversion replaces the first


def main(arguments: list[str]) -> int:
    """Convert; returns 0."""
    parser = entry.parser("tensorboard", __doc__.replace("%", "%%"))
    parser.add_argument("runs", nargs="+", metavar="RUNS", help="a directory of runs, or one run's directory")
    parser.add_argument("--out", required=True, metavar="DIR", help="where the event directories go")
    options = parser.parse_args(arguments)

    from seqjax.results import find_runs

    runs = list({run.path.resolve(): run for run in find_runs(options.runs)}.values())
    for run, name in zip(runs, event_names(runs), strict=True):
        write_events(run, pathlib.Path(options.out) / name)
    print(f"{len(runs)} run{'s' if len(runs) > 1 else ''} written to {options.out}")
    return 0


def event_names(runs) -> list[str]:
    """A directory name for each run: its own, or with its parent's where two have the same."""
    names = [run.path.resolve().name for run in runs]
    count = collections.Counter(names)
    longer = [f"{run.path.resolve().parent.name}-{name}" for run, name in zip(runs, names, strict=True)]
    names = [long if count[name] > 1 else name for name, long in zip(names, longer, strict=True)]
    count = collections.Counter(names)
    return [f"{name}-{n}" if count[name] > 1 else name for n, name in enumerate(names, 1)]


def write_events(run, directory: pathlib.Path) -> None:
    """One run's scalars, tagged `train/nats`, `validation/nats`, ..., `final/test/nats`.

    Raises UserError when tensorboardX is missing or the directory cannot be written.
    """
    try:
        from tensorboardX import event_file_writer, summary  # SummaryWriter would meet a full disk in another thread
        from tensorboardX.proto.event_pb2 import Event
    except ImportError as error:
        raise UserError("TensorBoard files need tensorboardX: pip install 'seqjax[tensorboard]'") from error
    seconds = {line["step"]: line["seconds"] for line in run.timing.read()}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for old in directory.glob(f"events.out.tfevents.*{SUFFIX}"):
            old.unlink()
        with contextlib.closing(event_file_writer.EventsWriter(str(directory / "events"), SUFFIX)) as writer:
            for tag, value, step in scalars(run.metrics.read()):
                seen = seconds.get(step, 0.0)
                writer.write_event(Event(summary=summary.scalar(tag, value), step=step, wall_time=seen))
    except OSError as error:
        raise UserError(f"{directory} cannot be written: {error.strerror or error}") from error


def scalars(records: list[dict]) -> list[tuple[str, float, int]]:
    """`(tag, value, step)` of every number measured."""
    found = []
    for record in records:
        if record["kind"] == "sample":
            continue
        kind = f"final/{record['split']}" if record["kind"] == "final" else record["kind"]
        found += [
            (f"{kind}/{name}", value, record["step"]) for name, value in record.items() if name not in NOT_SCALARS
        ]
    return found


if __name__ == "__main__":
    entry.run(main)
