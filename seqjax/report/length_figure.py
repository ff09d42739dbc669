"""The figure of success, or score, against length."""

import pathlib

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from seqjax.report.canvas import Drawing, canvas, legend, save, style
from seqjax.report.lengths import Family, heading
from seqjax.report.palette import group_styles
from seqjax.report.rows import wilson
from seqjax.report.scale import score_scale
from seqjax.report.text import counted

ASIDE, ABOVE = 0.045, 0.03  # of the axes: how far apart the outermost of lines that coincide are drawn
CAPTION = "Lines are drawn slightly apart, so that none hides another."


def write(family: Family, out: pathlib.Path, prefix: str = "") -> Drawing:
    """`success_by_length` or `score_by_length`, as PNG and SVG."""
    with style():
        if family.by_success:
            return Drawing(
                save(success_figure(family), out, f"{prefix}success_by_length"), f"{_ended(family)} {CAPTION}"
            )
        figure = save(score_figure(family), out, f"{prefix}score_by_length")
        return Drawing(figure, f"Mean over seeds; bars are one standard deviation. {CAPTION}")


def _ended(family: Family) -> str:
    counts = {group.judged for line in family.lines for group in line.groups.values() if group.judged}
    if not counts:
        return "No trial has ended yet."
    few, most = min(counts), max(counts)
    trials = counted(most, "trial") if few == most else f"{few} to {most} trials"
    return f"Of {trials} a point, those that diverged counted as not solved. Bars are 95% intervals (Wilson)."


def success_figure(family: Family) -> Figure:
    """The fraction solved, with its 95% interval, against length."""
    figure, axes, places = _canvas(family, "fraction of trials that solved it", [])
    heights = _spread(len(family.lines), ABOVE)
    handles = []
    for line, (colour, pattern, marker), place, height in zip(
        family.lines, group_styles(family.lines), places, heights, strict=True
    ):
        groups = {length: group for length, group in line.groups.items() if group.judged}
        fractions = np.array([group.fraction for group in groups.values()])
        ends = np.array([wilson(group.solved, group.judged) for group in groups.values()]).reshape(-1, 2)
        xs = np.array([*groups]) * place
        axes.plot(xs, fractions + height, color=colour, linestyle=pattern, marker=marker, markersize=6, zorder=3)
        axes.vlines(xs, *(ends.T + height), color=colour, linewidth=1.2, alpha=0.45, zorder=2)
        handles.append(Line2D([], [], color=colour, linestyle=pattern, marker=marker, markersize=4.5))
    axes.set_ylim(-0.06, 1.06)
    axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    legend(figure, handles, [line.label for line in family.lines])
    return figure


def score_figure(family: Family) -> Figure:
    """The mean score, with a deviation over seeds to either side, against length."""
    groups = [group for line in family.lines for group in line.groups.values() if group.seeds]
    means = np.array([group.mean for group in groups] or [0.0])
    scale = score_scale([means], family.measure)
    same = len({board.measure for board in family.boards}) == 1
    scale.lines = scale.lines if same else []  # a baseline that depends on the length is no line across
    figure, axes, places = _canvas(family, f"{family.scored_on} {family.measure.axis}", scale.labels)
    handles = []
    for line, (colour, pattern, marker), place in zip(family.lines, group_styles(family.lines), places, strict=True):
        groups = {length: group for length, group in line.groups.items() if group.seeds}
        means = np.array([group.mean for group in groups.values()])
        spread = np.array([group.deviation or 0.0 for group in groups.values()])
        xs = np.array([*groups]) * place
        axes.plot(xs, means, color=colour, linestyle=pattern, marker=marker, markersize=6, zorder=3)
        axes.vlines(xs, np.maximum(means - spread, scale.least), means + spread, color=colour, alpha=0.45, zorder=2)
        handles.append(Line2D([], [], color=colour, linestyle=pattern, marker=marker, markersize=4.5))
    legend(figure, handles, [line.label for line in family.lines], lines=(scale.draw(axes), scale.labels))
    return figure


def _canvas(family: Family, ylabel: str, lines: list[str]):
    """Figure, axes with the lengths marked, and the factor by which each line is moved along them."""
    labels = [line.label for line in family.lines]
    figure, axes = canvas(heading(family), f"length, {family.title}", ylabel, labels, lines)
    low, high = family.lengths[0], family.lengths[-1]
    margin = (high / low) ** 0.07
    axes.set_xscale("log")
    axes.set_xlim(low / margin, high * margin)
    axes.xaxis.set_major_locator(FixedLocator(_marked(family.lengths)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    return figure, axes, (high / low) ** _spread(len(labels), ASIDE)


def _marked(lengths: list[int]) -> list[int]:
    """Those of the lengths that can be written under the axis without touching, the longest always."""
    kept = [lengths[-1]]
    for length in reversed(lengths[:-1]):
        if kept[-1] / length > (lengths[-1] / lengths[0]) ** 0.07:
            kept.append(length)
    return kept


def _spread(count: int, width: float) -> np.ndarray:
    """So many places around 0, less than `width` apart in all."""
    steps = np.arange(count) - (count - 1) / 2
    return steps * min(width / max(1, count - 1), width / 4)
