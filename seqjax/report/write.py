"""A whole report: tables, figures and the page, in one directory."""

import os
import pathlib
from collections.abc import Sequence

from seqjax.errors import UserError
from seqjax.report.rows import compare, out_directory
from seqjax.results import write_atomically


def write_report(paths, out: str | os.PathLike | None = None, console=None, where: Sequence[str] = ()) -> pathlib.Path:
    """Compare the runs that `paths` are or hold, and write the report into `out`; returns the path of report.html.

    `out` is `report` inside the first of `paths` unless given. With a rich `console`, the leaderboard is printed too.
    `where` are conditions such as `cell.name=gru` or `state=done` that runs must meet. Raises UserError when there is
    nothing to compare, or `out` cannot be written.
    """
    # Here, so that `import seqjax.report` stays fast: matplotlib and pyarrow take most of a second.
    from seqjax.report import figures, length_figure, page, probes, tables, terminal
    from seqjax.report.lengths import families

    comparison = compare(paths, where)
    known = families(comparison)
    if console is not None:
        terminal.print_comparison(comparison, console)
    out = out_directory(paths) if out is None else pathlib.Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        tables.write(comparison, out)
        by_length = [(family, length_figure.write(family, out, prefix)) for family, prefix in numbered("task", known)]
        drawn = [
            figures.write(board, out, prefix) + probes.write(board, out, prefix)
            for board, prefix in numbered("board", comparison.boards)
        ]
    except OSError as error:
        raise UserError(f"the report cannot be written to {out}: {error.strerror or error}") from error
    report = out / "report.html"
    write_atomically(report, page.render(comparison, drawn, by_length))
    return report


def numbered(word: str, things: list) -> list[tuple]:
    """Things with what the names of their files start with: nothing for the only one."""
    return [(thing, f"{word}{n}-" if len(things) > 1 else "") for n, thing in enumerate(things, 1)]
