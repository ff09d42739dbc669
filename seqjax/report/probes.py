"""What probes of gradients, gates and recurrent matrices found: one figure a quantity, one panel a model.

A probe's value is named `layer0.gradient.hidden.lag8`, `layer0.gate.forget` or `layer0.spectral_radius.u`.
"""

import dataclasses
import pathlib
import re
import textwrap

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from seqjax.report import canvas
from seqjax.report.canvas import BOTTOM, LEFT, LEGEND_ROW, RIGHT, WIDTH, Drawing
from seqjax.report.figures import drawable, group_curve
from seqjax.report.palette import CELLS, LINES, OTHERS, between
from seqjax.report.rows import Board, Group
from seqjax.report.text import one_line, shortened

MOST_LINES, MOST_PANELS, COLUMNS = 8, 12, 3
MOST_TICKS = 5
PANELS_TOP, PANEL_HEIGHT, GAP, PANEL_TITLE = 0.3, 1.5, 0.15, 0.45  # inches
LETTERS = 26  # of a panel's title in a line
COLOURS = [colour for colour, _ in [*CELLS.values(), *OTHERS]]
NEAREST, FURTHEST = "#e69f00", "#0072b2"

NAME = re.compile(r"layer(\d+)\.(gradient|gradient_norm|gate|spectral_radius)(?:\.(.+?))??(?:\.lag(\d+)|\.([^.]+))$")


@dataclasses.dataclass(frozen=True)
class Quantity:
    """What a figure shows, and in which words."""

    file: str
    title: str
    axis: str
    caption: str
    logarithmic: bool = False


QUANTITIES = {
    "gradient": Quantity(
        "gradients_by_lag",
        "Gradient of the loss, so many steps back",
        "mean norm of dL/dh",
        "Lines far below that of lag 0: the gradient vanishes on its way back; far above: it explodes. Zero is drawn "
        "at the bottom.",
        logarithmic=True,
    ),
    "gate": Quantity(
        "gates", "Gates", "mean opening", "Mean over units and steps. Near 0 a gate is shut, near 1 it is open."
    ),
    "spectral_radius": Quantity(
        "spectral_radii",
        "Spectral radius of the recurrent matrices",
        "largest |eigenvalue|",
        "Of the matrices alone: what gates and nonlinearities add to them is not in it.",
    ),
}


@dataclasses.dataclass(frozen=True, order=True)
class Series:
    """One line in a panel."""

    layer: int
    lag: int
    name: str

    def label(self, layers: int) -> str:
        return self.name + (f", layer {self.layer + 1}" if layers > 1 else "")


@dataclasses.dataclass
class Panel:
    """The lines of one model and, for gradients, of one part of its state."""

    title: str
    curves: dict[Series, tuple[np.ndarray, np.ndarray]]


def write(board: Board, out: pathlib.Path, prefix: str = "") -> list[Drawing]:
    """Write a figure for every quantity that was probed, as PNG and SVG."""
    drawn = []
    with canvas.style():
        for name, quantity in QUANTITIES.items():
            found = [panel for group in board.groups for panel in panels(group, name)]
            if found:
                shown, left_out = few_lines(found[:MOST_PANELS])
                more = f"The first {MOST_PANELS} of {len(found)} panels are drawn." if len(found) > MOST_PANELS else ""
                caption = f"{quantity.caption} Mean over seeds, as far as all of them go. {left_out} {more}"
                svg = canvas.save(draw(quantity, shown), out, f"{prefix}{quantity.file}")
                drawn.append(Drawing(svg, " ".join(caption.split())))
    return drawn


def panels(group: Group, quantity: str) -> list[Panel]:
    """A group's panels of a quantity; none where it was not probed."""
    runs, found = drawable(group), {}
    for probe in dict.fromkeys(name for run in runs for name in run.probes):
        match = NAME.match(probe)
        if not match or match[2].removesuffix("_norm") != quantity:
            continue
        curve = group_curve([run.probes.get(probe, {}) for run in runs])
        if curve is None:
            continue
        series = Series(int(match[1]), int(match[4] or 0), f"lag {match[4]}" if match[4] else one_line(match[5]))
        found.setdefault(match[3] or "", {})[series] = curve[:2]
    several = len(found) > 1
    return [Panel(f"{group.label}, {part}" if several else group.label, lines) for part, lines in found.items()]


def few_lines(panels: list[Panel]) -> tuple[list[Panel], str]:
    """Panels of at most MOST_LINES lines, and a sentence about what is left out."""
    said = ""
    if max(len(panel.curves) for panel in panels) > MOST_LINES:
        if any(series.layer for panel in panels for series in panel.curves):
            said = "Only the first layer is shown."
        panels = [_only(panel, [series for series in panel.curves if series.layer == 0]) for panel in panels]
    names = sorted({(series.lag, series.name) for panel in panels for series in panel.curves})
    if max(len(panel.curves) for panel in panels) > MOST_LINES:
        kept = {names[place] for place in np.linspace(0, len(names) - 1, MOST_LINES).round().astype(int)}
        said += f" {MOST_LINES} of {len(names)} lines are shown."
        panels = [_only(panel, [s for s in panel.curves if (s.lag, s.name) in kept]) for panel in panels]
    return panels, said.strip()


def _only(panel: Panel, kept: list[Series]) -> Panel:
    return Panel(panel.title, {series: panel.curves[series] for series in kept})


def draw(quantity: Quantity, panels: list[Panel]) -> Figure:
    """Panels that share their axes, with one legend."""
    series = sorted({series for panel in panels for series in panel.curves})
    layers = len({one.layer for one in series})
    looks = _looks(series)
    labels = [one.label(layers) for one in series]
    columns = min(COLUMNS, max(2, len(panels)))
    rows = -(-len(panels) // columns)
    height = (
        PANELS_TOP + rows * (PANEL_TITLE + PANEL_HEIGHT) + BOTTOM + LEGEND_ROW * canvas.legend_shape(labels)[0] + 0.1
    )
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    figure.text(LEFT / WIDTH, 1 - 0.32 / height, quantity.title, fontsize=12, fontweight="bold")
    width = (WIDTH - LEFT - RIGHT - (columns - 1) * GAP) / columns
    ylimits = _limits(quantity, panels)
    last = max(steps[-1] for panel in panels for steps, _ in panel.curves.values())
    for n, panel in enumerate(panels):
        row, column = divmod(n, columns)
        bottom = height - PANELS_TOP - (row + 1) * (PANEL_TITLE + PANEL_HEIGHT)
        place = (LEFT + column * (width + GAP), bottom, width, PANEL_HEIGHT)
        axes = figure.add_axes([part / size for part, size in zip(place, (WIDTH, height) * 2, strict=True)])
        axes.set_facecolor("none")
        canvas.dress(axes)
        _title(axes, panel.title)
        for one, (steps, values) in panel.curves.items():
            drawn = np.maximum(values, ylimits[0]) if quantity.logarithmic else values
            colour, pattern = looks[one]
            marker = "." if len(steps) == 1 else None
            axes.plot(steps, drawn, color=colour, linestyle=pattern, linewidth=1.4, marker=marker)
        axes.set_xlim(0, 1.03 * last)
        _scale(axes, quantity, ylimits)
        below = n + columns < len(panels)  # another panel
        axes.tick_params(labelleft=column == 0, labelbottom=not below)
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        if not below:
            axes.set_xlabel("step")
        if column == 0:
            axes.set_ylabel(quantity.axis, fontsize=9)
    handles = [Line2D([], [], color=looks[one][0], linestyle=looks[one][1], linewidth=1.7) for one in series]
    canvas.legend(figure, handles, labels)
    return figure


def _title(axes, title: str) -> None:
    """In at most two lines."""
    lines = textwrap.wrap(one_line(title), LETTERS, max_lines=2, placeholder=" …")
    said = "\n".join(shortened(line, LETTERS) for line in lines)
    axes.set_title(said, loc="left", fontsize=9, pad=4, parse_math=False)


def _looks(series: list[Series]) -> dict[Series, tuple[str, object]]:
    """Colour and pattern: lags go from one colour to another, names have one each, and layers have patterns."""
    names = list(dict.fromkeys((one.lag, one.name) for one in sorted(series, key=lambda one: (one.lag, one.name))))
    by_lag = any(lag for lag, _ in names)
    colours = {
        name: between(NEAREST, FURTHEST, n / max(1, len(names) - 1)) if by_lag else COLOURS[n % len(COLOURS)]
        for n, name in enumerate(names)
    }
    return {one: (colours[one.lag, one.name], LINES[one.layer % len(LINES)]) for one in series}


def _limits(quantity: Quantity, panels: list[Panel]) -> tuple[float, float]:
    values = np.concatenate([values for panel in panels for _, values in panel.curves.values()])
    if quantity.logarithmic:
        positive = values[values > 0]
        return (positive.min() / 2, positive.max() * 2) if positive.size else (0.1, 10.0)
    low, high = min(0.0, values.min()), max(1.0, values.max())
    return low - 0.03 * (high - low), high + 0.05 * (high - low)


def _scale(axes, quantity: Quantity, limits: tuple[float, float]) -> None:
    if quantity.logarithmic:
        axes.set_yscale("log")
        low, high = (int(np.ceil(np.log10(end))) for end in limits)
        every = max(1, -(-(high - low) // MOST_TICKS))
        axes.yaxis.set_major_locator(FixedLocator([10.0**power for power in range(low, high, every)]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylim(limits)
