"""Compare runs: a leaderboard here, tables, figures and a page in a directory.

python -m experiments.compare runs
python -m experiments.compare runs/gru-* elsewhere/runs --out=comparison
"""

from experiments import entry


def main(arguments: list[str]) -> int:
    """Compare; the last line printed is the path of the report."""
    parser = entry.parser("compare", __doc__)
    parser.add_argument("runs", nargs="+", metavar="RUNS", help="a directory of runs, or one run's directory")
    parser.add_argument("--out", metavar="DIR", help="where the report goes (default: report in the first of RUNS)")
    options = parser.parse_args(arguments)

    # Imported here so that a wrong command line is answered at once.
    from rich.console import Console

    from seqjax.report import write_report

    console = Console()
    report = write_report(options.runs, options.out, console)
    console.print(str(report), highlight=False, markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    entry.run(main)
