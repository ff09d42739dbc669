"""Figures of one leaderboard, drawn with matplotlib's objects: no window, no state shared with the caller's plots."""

import pathlib
import re

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

from seqjax.report.palette import cell_styles, group_styles
from seqjax.report.rows import Board, Curve, Group
from seqjax.report.text import one_line, shortened

# Plain hexadecimal colours, so that the page can put its own, light or dark, in their place.
INK, MUTED, GRID = "#24292f", "#59636e", "#d8dee4"
PAGE_COLOURS = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--line)"}

SETTINGS = {
    "svg.hashsalt": "seqjax",
    "svg.fonttype": "none",  # letters stay letters: small files, text that can be searched
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.unicode_minus": False,
}

# Inches.
WIDTH, PLOT_HEIGHT = 6.8, 3.4
LEFT, RIGHT, TOP, BOTTOM = 0.72, 0.2, 0.5, 0.62
LEGEND_ROW, LEGEND_HANDLE, LETTER = 0.172, 0.66, 0.076

MOST_POINTS = 200  # of a drawn curve
MOST_BANDS = 8  # more of them in one plot hide each other
LONGEST_LABEL = 70  # letters in a legend


def write(board: Board, out: pathlib.Path, prefix: str = "") -> dict[str, str]:
    """Write each figure that has something to show as PNG and SVG; returns `{name: SVG for inside the page}`."""
    drawn = {}
    with matplotlib.rc_context(SETTINGS):
        for name, draw in FIGURES.items():
            figure = draw(board)
            if figure is None:
                continue
            stem = out / f"{prefix}{name}"
            figure.savefig(stem.with_suffix(".png"), dpi=160, facecolor="white")
            svg = stem.with_suffix(".svg")
            figure.savefig(svg, format="svg", facecolor="white", metadata={"Date": None})
            drawn[name] = for_page(svg.read_text(encoding="utf-8"), f"{prefix}{name}")
    return drawn


def for_page(svg: str, name: str) -> str:
    """An SVG file as an element of the page: the page's colours, names of its own, nothing that points outside."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    opening, rest = svg.split(">", 1)
    size = re.search(r'viewBox="[^"]*"', opening).group()
    rest = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", rest)
    rest = rest.replace("xlink:href", "href")
    # The first patch is the figure's white background.
    rest = re.sub(r"fill: #ffffff", "fill: none", rest, count=1)
    for colour, variable in PAGE_COLOURS.items():
        rest = rest.replace(colour, variable)
    return f'<svg {size} role="img" aria-label="{name.replace("_", " ")}">{rest.strip()}'


def learning_curves(board: Board) -> Figure | None:
    """Validation nats against step."""
    curves = [group_curve(group, [run.validation for run in drawable(group)]) for group in board.groups]
    return _curves(board, curves, "Validation loss while training", "step", "validation nats per symbol")


def training_curves(board: Board) -> Figure | None:
    """Training nats against step, each point a mean over the steps of a dispatch or more."""
    curves = [group_curve(group, [run.training for run in drawable(group)]) for group in board.groups]
    return _curves(board, curves, "Training loss", "step", "training nats per symbol")


def loss_by_time(board: Board) -> Figure | None:
    """Nats against seconds of training: validation, or training where there is no validation text."""
    curves = []
    for group in board.groups:
        runs = drawable(group)
        loss = group_curve(group, [getattr(run, board.measure) for run in runs])
        time = group_curve(group, [run.seconds for run in runs])
        if loss is None or time is None:
            curves.append(None)
            continue
        at, (steps, nats, spread) = dict(zip(time[0], time[1], strict=True)), loss
        known = np.array([step in at for step in steps])
        seconds = np.array([at[step] for step in steps[known]])
        curves.append((seconds, nats[known], spread[known]) if known.any() else None)
    return _curves(
        board, curves, "Loss against training time", "seconds of training", f"{board.measure} nats per symbol"
    )


def loss_by_parameters(board: Board) -> Figure | None:
    """The score against the number of parameters; a line joins each cell's best of every size."""
    groups = [group for group in board.groups if group.seeds]
    if not groups:
        return None
    styles = cell_styles([group.first.cell for group in groups])
    cells = list(dict.fromkeys(group.first.cell for group in groups))
    figure, axes = _canvas("Loss against size", "parameters", f"{board.measure} nats per symbol", cells)
    for cell in cells:
        colour, marker = styles[cell]
        best = {}
        for group in groups:
            if group.first.cell == cell:
                best.setdefault(group.first.parameters, group.mean)  # groups come best first
                axes.errorbar(
                    group.first.parameters,
                    group.mean,
                    group.deviation,
                    color=colour,
                    marker=marker,
                    markersize=6.5,
                    capsize=3,
                    linewidth=1.3,
                    zorder=3,
                )
        if len(best) > 1:
            sizes = sorted(best)
            axes.plot(sizes, [best[size] for size in sizes], color=colour, linewidth=1.4, alpha=0.6, zorder=2)
    sizes = [group.first.parameters for group in groups]
    _scale_sizes(axes, sizes)
    _limit(axes, [np.array([group.mean for group in groups])])
    handles = [Line2D([], [], color=styles[cell][0], marker=styles[cell][1], linestyle="") for cell in cells]
    _legend(figure, handles, cells, handle=1.2)
    return figure


FIGURES = {
    "learning_curves": learning_curves,
    "training_curves": training_curves,
    "loss_by_parameters": loss_by_parameters,
    "loss_by_time": loss_by_time,
}


def drawable(group: Group) -> list:
    """The finished runs of a group, or all of them where none is finished."""
    return group.finished or group.runs


def group_curve(group: Group, curves: list[Curve]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """`(steps, mean, deviation)` over runs, at the steps that all of them have; None where there is none.

    Where runs of different length are averaged further than the shortest goes, the mean jumps as runs drop out.
    """
    curves = [curve for curve in curves if curve]
    steps = sorted(set.intersection(*map(set, curves))) if curves else []
    if not steps:
        return None
    values = np.array([[curve[step] for step in steps] for curve in curves])
    bins = np.array_split(np.arange(len(steps)), min(len(steps), MOST_POINTS))
    values = np.stack([values[:, places].mean(1) for places in bins], axis=1)
    steps = np.array([steps[places[-1]] for places in bins])
    spread = values.std(0, ddof=1) if len(curves) > 1 else np.zeros(len(steps))
    return steps, values.mean(0), spread


def _curves(board: Board, curves: list, title: str, xlabel: str, ylabel: str) -> Figure | None:
    """One line a group, with a band of one deviation over seeds, in the leaderboard's order."""
    shown = [n for n, curve in enumerate(curves) if curve is not None]
    if not shown:
        return None
    labels = [board.groups[n].label + ("" if board.groups[n].seeds else " (not finished)") for n in shown]
    figure, axes = _canvas(title, xlabel, ylabel, labels)
    styles, handles = group_styles(board.groups), []
    for n in reversed(shown):  # the best are drawn last, over the others
        (xs, nats, spread), (colour, line, marker) = curves[n], styles[n]
        alpha = 1.0 if board.groups[n].seeds else 0.5
        axes.plot(xs, nats, color=colour, linestyle=line, linewidth=1.7, alpha=alpha, zorder=3)
        axes.plot(xs[-1:], nats[-1:], color=colour, marker=marker, markersize=5.5, alpha=alpha, zorder=4)
        if spread.any() and len(shown) <= MOST_BANDS:
            axes.fill_between(xs, nats - spread, nats + spread, color=colour, alpha=0.13, linewidth=0, zorder=1)
        handles.append(Line2D([], [], color=colour, linestyle=line, linewidth=1.7, marker=marker, markersize=4.5))
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10], integer=xlabel == "step"))
    if axes.get_xlim()[1] >= 10_000:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    _limit(axes, [curves[n][1] for n in shown])
    _legend(figure, handles[::-1], labels)
    return figure


def _limit(axes, losses: list[np.ndarray]) -> None:
    """Keep one exploding run from pressing all others flat."""
    values = np.concatenate(losses)
    low, usual, high = values.min(), np.quantile(values, 0.9), values.max()
    most = low + 3 * (usual - low)
    if high > most > low:
        axes.set_ylim(low - 0.05 * (most - low), most)


def _scale_sizes(axes, sizes: list[int]) -> None:
    if max(sizes) > 3 * min(sizes):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(min(sizes) / 1.3, max(sizes) * 1.3)
    else:
        margin = max(0.15 * (max(sizes) - min(sizes)), 0.05 * max(sizes))
        axes.set_xlim(min(sizes) - margin, max(sizes) + margin)
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _legend_shape(labels: list[str]) -> tuple[int, int]:
    """`(rows, columns)` of a legend under the plot."""
    widest = LEGEND_HANDLE + LETTER * min(LONGEST_LABEL, max(map(len, labels)))
    columns = max(1, min(len(labels), int((WIDTH - LEFT - RIGHT) / widest)))
    return -(-len(labels) // columns), columns


def _canvas(title: str, xlabel: str, ylabel: str, labels: list[str]):
    """A figure as high as its legend needs, with the plot of one size throughout."""
    height = TOP + PLOT_HEIGHT + BOTTOM + LEGEND_ROW * _legend_shape(labels)[0] + 0.1
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    plot_bottom = height - TOP - PLOT_HEIGHT
    axes = figure.add_axes(
        (LEFT / WIDTH, plot_bottom / height, (WIDTH - LEFT - RIGHT) / WIDTH, PLOT_HEIGHT / height), facecolor="none"
    )
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=10)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=3)
    return figure, axes


def _legend(figure: Figure, handles: list, labels: list[str], handle: float = 3.2) -> None:
    legend = figure.legend(
        handles,
        # matplotlib leaves out a label that starts with an underscore; a space before it does not show.
        [" " * label.startswith("_") + shortened(one_line(label), LONGEST_LABEL) for label in labels],
        loc="lower left",
        bbox_to_anchor=(LEFT / WIDTH - 0.01, 0.0),
        ncols=_legend_shape(labels)[1],
        frameon=False,
        fontsize=9,
        handlelength=handle,
        columnspacing=1.2,
        labelspacing=0.35,
    )
    for label in legend.get_texts():
        label.set_parse_math(False)  # a dollar sign in a setting is a dollar sign
