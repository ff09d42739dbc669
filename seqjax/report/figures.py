"""Figures of one leaderboard."""

import pathlib

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

from seqjax.report.canvas import LONGEST_LABEL, Drawing, canvas, legend, save, style
from seqjax.report.palette import cell_styles, group_styles
from seqjax.report.rows import Board, Group
from seqjax.report.runs import Curve
from seqjax.report.scale import score_scale

MOST_POINTS = 200  # of a drawn curve
MOST_MODELS = 40  # in one plot, the best first: a legend of more is longer than a page
MOST_BANDS = 8  # more of them in one plot hide each other

CAPTIONS = {
    "learning_curves": "Mean over seeds. With up to eight models, a band shows one standard deviation to either side.",
    "training_curves": "Each point is a mean over the steps since the last one.",
    "loss_by_parameters": "Down and to the left is better. Bars are one standard deviation over seeds.",
    "loss_by_time": "Whichever line is lowest at a given time made the best use of it, on the machine that trained it.",
}
HELD = " Where seeds are averaged, a run that stopped once it had solved the task counts with its last score."


def write(board: Board, out: pathlib.Path, prefix: str = "") -> list[Drawing]:
    """Write each figure that has something to show as PNG and SVG."""
    drawn, best = [], Board(board.groups[:MOST_MODELS])
    with style():
        for name, draw in FIGURES.items():
            of_curves = name != "loss_by_parameters"
            figure = draw(best if of_curves else board)
            if figure is not None:
                caption = CAPTIONS[name] + (note(board, MOST_MODELS) if of_curves else "")
                drawn.append(Drawing(save(figure, out, f"{prefix}{name}"), caption))
    return drawn


def note(board: Board, most: int) -> str:
    """What is to be known of curves of at most so many models of a board; empty, or sentences after a space."""
    stopped = any(run.solved and run.steps < run.steps_wanted for run in board.runs)
    few = f" The best {most} of {len(board.groups):,} models are drawn." if len(board.groups) > most else ""
    return (HELD if stopped else "") + few


def learning_curves(board: Board) -> Figure | None:
    """The validation score against step."""
    curves = [group_curve(to_the_end(drawable(group), "validation")) for group in board.groups]
    title = f"Validation {board.measure.noun} while training"
    return _curves(board, curves, title, "step", f"validation {board.measure.axis}")


def training_curves(board: Board) -> Figure | None:
    """The training score against step, each point a mean over the steps of a dispatch or more."""
    curves = [group_curve(to_the_end(drawable(group), "training")) for group in board.groups]
    return _curves(board, curves, f"Training {board.measure.noun}", "step", f"training {board.measure.axis}")


def loss_by_time(board: Board) -> Figure | None:
    """The score against seconds of training: validation, or training where there is no validation data."""
    curves = []
    for group in board.groups:
        runs = drawable(group)
        loss = group_curve(to_the_end(runs, board.scored_on))
        time = group_curve(to_the_end(runs, "seconds"))
        if loss is None or time is None:
            curves.append(None)
            continue
        at, (steps, scores, spread) = dict(zip(time[0], time[1], strict=True)), loss
        known = np.array([step in at for step in steps])
        seconds = np.array([at[step] for step in steps[known]])
        curves.append((seconds, scores[known], spread[known]) if known.any() else None)
    title = f"{board.measure.noun.capitalize()} against training time"
    return _curves(board, curves, title, "seconds of training", f"{board.scored_on} {board.measure.axis}")


def loss_by_parameters(board: Board) -> Figure | None:
    """The score against the number of parameters; a line joins each cell's best of every size. None for one size."""
    groups = [group for group in board.groups if group.seeds]
    if len({group.first.parameters for group in groups}) < 2:
        return None
    styles = cell_styles([group.first.cell for group in groups])
    cells = list(dict.fromkeys(group.first.cell for group in groups))
    scale = score_scale([np.array([group.mean for group in groups])], board.measure)
    title = f"{board.measure.noun.capitalize()} against size"
    figure, axes = canvas(title, "parameters", f"{board.scored_on} {board.measure.axis}", cells, scale.labels)
    for cell in cells:
        colour, marker = styles[cell]
        of_cell = [group for group in groups if group.first.cell == cell]
        means = np.array([group.mean for group in of_cell])
        spread = np.array([group.deviation for group in of_cell], float)  # NaN, and no bar, for one seed
        bars = [list(means - np.maximum(means - spread, scale.least)), list(spread)]
        look = {"color": colour, "marker": marker, "markersize": 6.5, "capsize": 3, "elinewidth": 1.3}
        axes.errorbar([group.first.parameters for group in of_cell], means, bars, **look, linestyle="", zorder=3)
        best = {}
        for group in of_cell:
            size = group.first.parameters
            best[size] = min(group.mean, best.get(size, group.mean))
        if len(best) > 1:
            sizes = sorted(best)
            axes.plot(sizes, [best[size] for size in sizes], color=colour, linewidth=1.4, alpha=0.6, zorder=2)
    _scale_sizes(axes, [group.first.parameters for group in groups])
    handles = [Line2D([], [], color=styles[cell][0], marker=styles[cell][1], linestyle="") for cell in cells]
    legend(figure, handles, cells, handle=1.2, lines=(scale.draw(axes), scale.labels))
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


def to_the_end(runs: list, name: str) -> list[Curve]:
    """The runs' curves of that name. A run that stopped when it had solved the task goes on at its last score, and at
    its own pace, for as long as another of them goes: else a mean over seeds would end with the quickest.
    """
    curves = [getattr(run, name) for run in runs]
    steps = set().union(*curves)

    def later(curve: Curve) -> Curve:
        last = max(curve)
        pace = curve[last] / last if name == "seconds" else 0.0
        return {step: curve[last] + pace * (step - last) for step in steps if step > last}

    return [curve | later(curve) if run.solved and curve else curve for run, curve in zip(runs, curves, strict=True)]


def group_curve(curves: list[Curve]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
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
    scale = score_scale([curves[n][1] for n in shown], board.measure)
    names = _names(board.groups)
    labels = [names[n] for n in shown]
    figure, axes = canvas(title, xlabel, ylabel, labels, scale.labels)
    styles, handles = group_styles(board.groups), []
    for n in reversed(shown):  # the best are drawn last, over the others
        (xs, means, spread), (colour, line, marker) = curves[n], styles[n]
        alpha = 1.0 if board.groups[n].seeds else 0.5
        axes.plot(xs, means, color=colour, linestyle=line, linewidth=1.7, alpha=alpha, zorder=3)
        axes.plot(xs[-1:], means[-1:], color=colour, marker=marker, markersize=5.5, alpha=alpha, zorder=4)
        if spread.any() and len(shown) <= MOST_BANDS:
            below = np.maximum(means - spread, scale.least)
            axes.fill_between(xs, below, means + spread, color=colour, alpha=0.13, linewidth=0, zorder=1)
        handles.append(Line2D([], [], color=colour, linestyle=line, linewidth=1.7, marker=marker, markersize=4.5))
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10], integer=xlabel == "step"))
    if axes.get_xlim()[1] >= 10_000:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    legend(figure, handles[::-1], labels, lines=(scale.draw(axes), scale.labels))
    return figure


def _names(groups: list[Group]) -> list[str]:
    """Their labels; the cells alone where labels would be cut and each group has a cell of its own."""
    cells, ends = [group.first.cell for group in groups], [_unfinished(group) for group in groups]
    labels = [group.label + end for group, end in zip(groups, ends, strict=True)]
    if len(set(cells)) < len(cells) or max(map(len, labels)) <= LONGEST_LABEL:
        return labels
    return [cell + end for cell, end in zip(cells, ends, strict=True)]


def _unfinished(group: Group) -> str:
    if group.seeds:
        return ""
    return " (diverged)" if set(group.states) == {"diverged"} else " (not finished)"


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
