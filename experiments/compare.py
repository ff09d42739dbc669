"""Compare runs: a leaderboard here, tables, figures and a page in a directory.

python -m experiments.compare runs
python -m experiments.compare runs/gru-* elsewhere/runs --out=comparison
python -m experiments.compare runs --where cell.name=gru --where state=done
python -m experiments.compare runs --list
"""

import sys

from experiments import entry
from seqjax.errors import printable


def main(arguments: list[str]) -> int:
    """Compare; the last line printed is the path of the report."""
    parser = entry.parser("compare", __doc__)
    parser.add_argument("runs", nargs="+", metavar="RUNS", help="a directory of runs, or one run's directory")
    parser.add_argument("--out", metavar="DIR", help="where the report goes (default: report in the first of RUNS)")
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="only runs with this value of a config key, or with this state (state=done); may be repeated",
    )
    parser.add_argument("--list", action="store_true", help="list name, state, step and score; no report")
    options = parser.parse_args(arguments)

    # Imported here so that a wrong command line is answered at once.
    from rich.console import Console

    from seqjax.report import write_report
    from seqjax.report.index import read_runs
    from seqjax.report.listing import listed, select

    if options.list:
        runs, notes = read_runs(options.runs)
        print(*listed(select(runs, options.where)), sep="\n")
        print(*notes, sep="\n", end="\n" if notes else "", file=sys.stderr)
        return 0
    console = Console()
    report = write_report(options.runs, options.out, console, options.where)
    console.print(printable(str(report)), highlight=False, markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    entry.run(main)
