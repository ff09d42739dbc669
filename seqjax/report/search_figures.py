"""The figures of a search: what to expect of the best of N settings, and which hyperparameters matter."""

import collections

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from seqjax.report.canvas import canvas, legend
from seqjax.report.figures import MOST_BANDS
from seqjax.report.palette import LINES
from seqjax.report.scale import score_scale
from seqjax.report.search import TRUSTED, Search

MOST_KEYS = 6  # hyperparameters in a plot

BEST_CAPTION = """The score to expect of the best of N settings, drawn at random from those tried: further left, less
luck and less work. Bands are 95% intervals, drawn up to a quarter of a cell's settings; beyond, they could not be
trusted. At its end a line is at the best of all settings tried. A single point is a cell with settings that were
stopped early: of the best of fewer nothing is known."""
IMPORTANCE_CAPTION = """The share of the variance of a cell's scores that each hyperparameter explains alone (functional
analysis of variance). What is missing to 100% needs several together, or chance. Hyperparameters are assumed to have
been drawn independently of each other; those that always changed together are one. Runs that were lost enter with the
score of the trivial answer, those that were stopped early with the score they had then."""


def expected_best(search: Search, styles) -> Figure | None:
    """The expected score against the number of settings drawn; None where no cell has a curve. `styles` are the
    colour and marker of each cell, as in `palette.cell_styles`.
    """
    cells = [cell for cell in search.ended if len(cell.settings) > 1]
    if all(cell.halved for cell in cells):
        return None
    lines = _lines(search, styles)
    curves = [(cell.sizes(), cell.expected(cell.sizes())) for cell in cells]
    scale = score_scale([scores for _, scores in curves], search.board.measure)
    labels = [cell.name for cell in cells]
    title = f"The best of N settings: {search.board.measure.noun}"
    ylabel = f"{search.reported} {search.board.measure.axis}"
    figure, axes = canvas(title, "settings drawn", ylabel, labels, scale.labels)
    handles = []
    for cell, (draws, scores) in zip(cells, curves, strict=True):
        (colour, marker), line = styles[cell.name], lines[cell.name]
        axes.plot(draws, scores, color=colour, linestyle=line, linewidth=1.7, zorder=3)
        axes.plot(draws[-1:], scores[-1:], color=colour, marker=marker, markersize=5.5, zorder=4)
        inside = draws[draws <= max(1, len(cell.settings) // TRUSTED)]
        if len(cells) <= MOST_BANDS and len(inside) > 1:
            axes.fill_between(inside, *cell.interval(inside), color=colour, alpha=0.13, linewidth=0, zorder=1)
        handles.append(Line2D([], [], color=colour, linestyle=line, linewidth=1.7, marker=marker, markersize=4.5))
    axes.set_xscale("log")
    axes.set_xlim(left=1)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    legend(figure, handles, labels, lines=(scale.draw(axes), scale.labels))
    return figure


def importance(found: dict[str, dict[str, float]], styles) -> Figure:
    """A group of bars for each hyperparameter, the most important first, with one bar for each cell."""
    means = collections.Counter()
    for shares in found.values():
        means.update({key: share / len(found) for key, share in shares.items()})
    keys = [key for key, _ in means.most_common(MOST_KEYS)]
    figure, axes = canvas("Which hyperparameters matter", "", "share of the variance of the scores", list(found))
    width = 0.8 / len(found)
    for n, (cell, shares) in enumerate(found.items()):
        places = np.arange(len(keys)) + (n - (len(found) - 1) / 2) * width
        axes.bar(places, [shares.get(key, 0.0) for key in keys], 0.92 * width, color=styles[cell][0], zorder=2)
    names = [key.replace(".", "\n").replace(" = ", "\n= ") for key in keys]
    axes.set_xticks(range(len(keys)), names, fontsize=8, parse_math=False)
    axes.set_xlim(-0.6, len(keys) - 0.4)
    axes.grid(visible=False, axis="x")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    legend(figure, [Patch(color=styles[cell][0]) for cell in found], list(found), handle=1.2)
    return figure


def _lines(search: Search, styles) -> dict[str, object]:
    """The pattern of each cell's line: whole, but for cells that must share a colour."""
    seen, chosen = collections.Counter(), {}
    for cell in search.cells:
        colour = styles[cell.name][0]
        chosen[cell.name] = LINES[seen[colour] % len(LINES)]
        seen[colour] += 1
    return chosen
