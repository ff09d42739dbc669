"""A whole report: tables, figures and the page, in one directory."""

import os
import pathlib

from seqjax.errors import UserError
from seqjax.report.rows import compare, out_directory
from seqjax.results import write_atomically


def write_report(paths, out: str | os.PathLike | None = None, console=None) -> pathlib.Path:
    """Compare the runs that `paths` are or hold, and write the report into `out`; returns the path of report.html.

    `out` is `report` inside the first of `paths` unless given. With a rich `console`, the leaderboard is printed too.
    Raises UserError when there is nothing to compare, or `out` cannot be written.
    """
    # Here, so that `import seqjax.report` stays fast: matplotlib and pyarrow take most of a second.
    from seqjax.report import figures, page, tables

    comparison = compare(paths)
    if console is not None:
        tables.print_leaderboards(comparison, console)
    out = out_directory(paths) if out is None else pathlib.Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        tables.write(comparison, out)
        drawn = [figures.write(board, out, prefix) for board, prefix in _prefixed(comparison.boards)]
    except OSError as error:
        raise UserError(f"the report cannot be written to {out}: {error.strerror or error}") from error
    report = out / "report.html"
    write_atomically(report, page.render(comparison, drawn))
    return report


def _prefixed(boards):
    """Boards with what their files' names start with: nothing for the only one."""
    return [(board, f"board{n}-" if len(boards) > 1 else "") for n, board in enumerate(boards, 1)]
