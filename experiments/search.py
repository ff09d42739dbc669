"""See what a search says: the best of each cell's settings, and what to expect of the best of N, which is fair to all.

python -m experiments.search runs
python -m experiments.search runs/music runs/arithmetic --baseline=lstm --out=search
"""

from experiments import entry


def main(arguments: list[str]) -> int:
    """Compare; the last line printed is the path of the page."""
    parser = entry.parser("search", __doc__)
    parser.add_argument("runs", nargs="+", metavar="RUNS", help="a directory of runs, or one run's directory")
    parser.add_argument("--baseline", metavar="CELL", help="compare every cell with this one, setting by setting")
    parser.add_argument("--out", metavar="DIR", help="where the page goes (default: report in the first of RUNS)")
    options = parser.parse_args(arguments)

    # Imported here so that a wrong command line is answered at once.
    from rich.console import Console

    from seqjax.report.search_write import write_search

    console = Console()
    page = write_search(options.runs, options.out, options.baseline, console)
    console.print(str(page), highlight=False, markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    entry.run(main)
