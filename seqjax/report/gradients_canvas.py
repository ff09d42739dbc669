"""Small multiples and the marks that the figures of vanishing gradients share."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from seqjax.report.canvas import INK, MUTED, dress
from seqjax.report.palette import cell_styles

WIDTH = 10.4  # inches
LEFT, RIGHT, TOP, BOTTOM = 0.85, 0.2, 0.75, 0.6
LEGEND_ROW, LETTER, HANDLE = 0.19, 0.078, 0.72
FLOOR = 1e-20  # of a log axis of gradients, as a fraction of its top
STATES = ("-", (0, (5, 1.6)), (0, (1, 1.4)), (0, (6, 1.6, 1, 1.6)))
BAND = {"alpha": 0.13, "linewidth": 0, "zorder": 1}


def panels(
    title: str,
    titles: list[str],
    columns: int,
    height: float,
    labels: list[str] = (),
    *,
    share_x: bool = True,
    share_y: bool = True,
    gap: tuple[float, float] = (0.3, 0.55),
    right: float = RIGHT,
):
    """`(figure, [axes])`: one panel for each of `titles`, so many in a row, each `height` inches high.

    `gap` is in inches, across and down. Room is left below for a legend of `labels`.
    """
    rows = -(-len(titles) // columns)
    below = BOTTOM + (LEGEND_ROW * _legend_shape(labels)[0] + 0.08 if labels else 0)
    total = TOP + rows * height + (rows - 1) * gap[1] + below
    figure = Figure(figsize=(WIDTH, total))
    FigureCanvasAgg(figure)
    width = (WIDTH - LEFT - right - (columns - 1) * gap[0]) / columns
    placed = []
    for number, name in enumerate(titles):
        row, column = divmod(number, columns)
        left, bottom = LEFT + column * (width + gap[0]), total - TOP - height - row * (height + gap[1])
        shared = {
            "sharex": placed[0] if placed and share_x else None,
            "sharey": placed[0] if placed and share_y else None,
        }
        place = (left / WIDTH, bottom / total, width / WIDTH, height / total)
        axes = figure.add_axes(place, facecolor="none", **shared)
        dress(axes)
        axes.set_title(name, loc="left", fontsize=10.5, fontweight="bold", pad=5, parse_math=False)
        axes.tick_params(labelleft=column == 0 or not share_y)
        axes.tick_params(labelbottom=number + columns >= len(titles) or not share_x)
        placed.append(axes)
    figure.text(LEFT / WIDTH, 1 - 0.12 / total, title, fontsize=13, fontweight="bold", va="top", parse_math=False)
    return figure, placed


def name_axes(figure, placed: list, columns: int, xlabel: str, ylabel: str) -> None:
    """`ylabel` beside the first panel of every row, `xlabel` under the last of every column."""
    for number, axes in enumerate(placed):
        if number % columns == 0:
            axes.set_ylabel(ylabel, parse_math=False)
        if number + columns >= len(placed):
            axes.set_xlabel(xlabel, parse_math=False)


def legend(figure: Figure, handles: list, labels: list[str]) -> None:
    """Under the panels, never over the data."""
    made = figure.legend(
        handles,
        [" " * label.startswith("_") + label for label in labels],
        loc="lower left",
        bbox_to_anchor=(LEFT / WIDTH - 0.01, 0.0),
        ncols=_legend_shape(labels)[1],
        frameon=False,
        fontsize=9.5,
        handlelength=3.2,
        columnspacing=1.4,
        labelspacing=0.35,
    )
    for text in made.get_texts():
        text.set_parse_math(False)


def _legend_shape(labels):
    widest = HANDLE + LETTER * max(map(len, labels))
    columns = max(1, min(len(labels), int((WIDTH - LEFT - RIGHT) / widest)))
    return -(-len(labels) // columns), columns


def line_of(state: str, states: list[str]):
    """The line of a state: whole for the one that is the output, broken for those that the cell keeps to itself."""
    kept = [name for name in states if name != "hidden"]
    return STATES[0] if state == "hidden" else STATES[1 + kept.index(state) % 3]


def paths(studies) -> list[tuple]:
    """`(study, state, label, colour, line, marker)` of every state of every cell."""
    styles = cell_styles([study.cell for study in studies])
    found = []
    for study in studies:
        for state in study.norms:
            label = study.cell if len(study.norms) == 1 else f"{study.cell} {state}"
            colour, marker = styles[study.cell]
            found.append((study, state, label, colour, line_of(state, [*study.norms]), marker))
    return found


def band(axes, xs, values: np.ndarray, colour: str, line="-", marker=None, floor: float = 0.0, offset: int = 0) -> None:
    """The median over seeds, `[seeds, places]`, and a band from the least to the largest; what is 0 is not drawn."""
    middle, low, high = summary(values)
    every = max(1, len(xs) // 8)
    look = {"marker": marker, "markersize": 4.5, "markevery": (offset % every, every)} if marker else {}
    axes.plot(
        xs, np.where(middle > floor, middle, np.nan), color=colour, linestyle=line, linewidth=1.6, zorder=3, **look
    )
    if len(values) > 1:
        shown = high > floor
        axes.fill_between(xs, np.maximum(low, floor or 1e-300), high, where=shown, color=colour, **BAND)


def summary(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Median, least and largest over seeds; NaN where any is."""
    return np.median(values, 0), values.min(0), values.max(0)


def handle(colour: str, line="-", marker=None, width: float = 1.6) -> Line2D:
    return Line2D([], [], color=colour, linestyle=line, marker=marker, markersize=4.5, linewidth=width)


def log_axis(axes, which: str = "y") -> None:
    """Powers of ten, few enough to read."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    (axes.set_yscale if which == "y" else axes.set_xscale)("log")
    axis.set_major_locator(LogLocator(numticks=8))
    axis.set_minor_formatter(NullFormatter())
    axis.set_minor_locator(NullLocator())


def lag_axis(axes, last: int) -> None:
    axes.set_xlim(-0.01 * last, 1.01 * last)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], integer=True))


def unity(axes) -> None:
    """Where nothing grows or shrinks."""
    axes.axhline(1, color=MUTED, linewidth=1, linestyle=(0, (2, 2)), zorder=2)


UNITY = Line2D([], [], color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
INK_LINE = {"color": INK, "linewidth": 1.2}
