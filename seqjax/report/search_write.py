"""A whole search: tables, figures and the page, in one directory."""

import itertools
import os
import pathlib

from seqjax.errors import UserError
from seqjax.report import search_figures, search_importance, search_page, search_tables, search_words
from seqjax.report.canvas import Drawing, save, style
from seqjax.report.gradients_tables import write as write_csv
from seqjax.report.palette import cell_styles
from seqjax.report.rows import compare, mean, out_directory
from seqjax.report.search import Search, check_baseline, ranking, searches
from seqjax.report.write import numbered
from seqjax.results import write_atomically


def write_search(
    paths, out: str | os.PathLike | None = None, baseline: str | None = None, console=None
) -> pathlib.Path:
    """Read the runs that `paths` are or hold, and write what a search among them says into `out`; returns the path of
    search.html.

    `out` is `report` inside the first of `paths` unless given. Cells are compared in pairs with that named `baseline`.
    With a rich `console`, the tables are printed too. Raises UserError when there is nothing to compare, no run is of
    the baseline, or `out` cannot be written.
    """
    comparison = compare(paths)
    found = searches(comparison)
    if baseline is not None:
        check_baseline(found, baseline)
    importances, notes = zip(*map(search_importance.importances, found), strict=True)
    if console is not None:
        _print(found, baseline, [*itertools.chain(*notes), *comparison.notes], console)
    styles = cell_styles([cell.name for search in found for cell in search.cells])
    out = out_directory(paths) if out is None else pathlib.Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write_tables(found, importances, baseline, out)
        drawn = [
            _draw(search, of_search, styles, out, prefix)
            for (search, prefix), of_search in zip(numbered("search", found), importances, strict=True)
        ]
    except OSError as error:
        raise UserError(f"the search cannot be written to {out}: {error.strerror or error}") from error
    page = out / "search.html"
    write_atomically(page, search_page.render(found, drawn, notes, comparison.notes, baseline, styles))
    return page


def _print(found: list[Search], baseline: str | None, sentences: list[str], console) -> None:
    for search in found:
        search_tables.print_search(search, baseline, console)
        for sentence in [search_words.verdict(search), *search_words.cautions(search)]:
            console.print(sentence, highlight=False, markup=False, soft_wrap=True)
    if ranked := ranking(found):
        said = ", ".join(f"{name} {mean(of_cell):.2f}" for name, of_cell in ranked.ranks.items())
        said = f"\nmean rank over {len(ranked.tasks)} tasks: {said or 'no cell ended on all of them'}"
        for sentence in [said, *search_words.how_to_read_ranks(ranked)]:
            console.print(sentence, highlight=False, markup=False, soft_wrap=True)
    for sentence in sentences:
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)


def _write_tables(found: list[Search], importances, baseline: str | None, out: pathlib.Path) -> None:
    shares = [
        {"task": search.board.title, "cell": cell, "hyperparameter": key, "share": share}
        for search, of_search in zip(found, importances, strict=True)
        for cell, of_cell in of_search.items()
        for key, share in of_cell.items()
    ]
    curves = search_tables.curve_rows(found)
    for name, rows in (
        ("search", search_tables.rows(found, baseline)),
        ("expected_best", curves),
        ("importance", shares),
    ):
        if rows:
            write_csv(out / f"{name}.csv", tuple(rows[0]), [row.values() for row in rows])


def _draw(search: Search, importances: dict, styles, out: pathlib.Path, prefix: str) -> list[Drawing]:
    drawn = []
    with style():
        figure = search_figures.expected_best(search, styles)
        if figure is not None:
            drawn.append(Drawing(save(figure, out, f"{prefix}expected_best"), search_figures.BEST_CAPTION))
        if importances:
            figure = search_figures.importance(importances, styles)
            drawn.append(Drawing(save(figure, out, f"{prefix}importance"), search_figures.IMPORTANCE_CAPTION))
    return drawn
