"""The section "gates": how often each gate is shut or open, and how its values came to be so in training.

Reference: Karpathy, Johnson & Fei-Fei (2016), arXiv:1506.02078, section 4.2 and figure 3, for the saturation plot.
"""

import pathlib
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from seqjax.report import gradients_tables
from seqjax.report.canvas import MUTED, Drawing, save, style
from seqjax.report.gradients_canvas import RIGHT, WIDTH, handle, legend, name_axes, panels
from seqjax.report.markup import figures
from seqjax.report.palette import CELLS
from seqjax.report.text import counted

if TYPE_CHECKING:
    from seqjax.interpret.activity import Activity
    from seqjax.interpret.through_training import Moment

SHUT, OPEN = 0.1, 0.9
MOSTLY = 0.9  # of the time
LAYERS = tuple(CELLS.values())  # colour and marker of each layer
MOST_TICKS = 5

Gates = tuple[tuple[str, ...], ...]
"""Of each layer, which of the activity's names are gates: `through_training.gate_names` gives them."""


def gates_section(activity: "Activity", gates: Gates, moments: list["Moment"], out: pathlib.Path) -> str:
    """A block of HTML with the saturation plot and, where there are moments, what gates did through training; empty for
    cells without gates. Figures and their numbers are also written to `out` as PNG, SVG and CSV.
    """
    if not any(gates):
        return ""
    drawings = [saturation(activity, gates, out)]
    if moments:
        drawings.append(gates_through_training(moments, out))
    return f'<section id="gates">\n<h2>Gates</h2>\n{figures(drawings)}</section>\n'


def saturation(activity: "Activity", gates: Gates, out: pathlib.Path) -> Drawing:
    """The fraction of the time a gate is under 0.1 against that over 0.9, one dot a unit, one panel a gate.

    Written to `out` as gates_saturation.png, .svg and .csv.
    """
    measured = {
        (number, name): fractions(layer[name])
        for number, (layer, names) in enumerate(zip(activity.layers, gates, strict=True), 1)
        for name in names
    }
    rows = (
        (number, name, unit, *both)
        for (number, name), (shut, opened) in measured.items()
        for unit, both in enumerate(zip(shut.tolist(), opened.tolist(), strict=True))
    )
    gradients_tables.write(out / "gates_saturation.csv", ("layer", "gate", "unit", "under_0.1", "over_0.9"), rows)
    with style():
        svg = save(_saturation_figure(measured), out, "gates_saturation")
    return Drawing(svg, _saturation_caption(measured, len(activity.symbols)))


def fractions(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each unit of `[time, units]`, the fraction of the time its gate is shut (under 0.1) and open (over 0.9)."""
    return (values < SHUT).mean(axis=0), (values > OPEN).mean(axis=0)


def _saturation_figure(measured: dict) -> Figure:
    names = list(dict.fromkeys(name for _, name in measured))
    layers = sorted({number for number, _ in measured})
    labels = [f"layer {number}" for number in layers] + ["always shut or open"]
    title = "How often each unit's gates are shut or open"
    figure, placed = _panels(title, names, labels)
    for axes, name in zip(placed, names, strict=True):
        axes.plot([0, 1], [1, 0], color=MUTED, linewidth=1, linestyle=(0, (5, 3)), zorder=2)
        for number in layers:
            if (number, name) in measured:
                shut, opened = measured[number, name]
                colour, marker = _look(number)
                size = 26 if len(shut) < 200 else 14
                axes.scatter(
                    shut, opened, size, colour, marker=marker, alpha=0.55, linewidths=0, zorder=3, clip_on=False
                )
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel(f"time under {SHUT}")
    placed[0].set_ylabel(f"time over {OPEN}")
    dots = [
        Line2D([], [], color=colour, marker=marker, linestyle="", alpha=0.7) for colour, marker in map(_look, layers)
    ]
    legend(figure, [*dots, handle(MUTED, (0, (5, 3)), width=1)], labels)
    return figure


def _look(layer: int) -> tuple[str, str]:
    return LAYERS[(layer - 1) % len(LAYERS)]


def _panels(title: str, names: list[str], labels: list[str]):
    """A row of panels, one for each gate; a single one is not as wide as the page."""
    columns = min(3, len(names))
    figure, placed = panels(title, names, columns, 3.1, labels, right=WIDTH / 2 if columns == 1 else RIGHT)
    return figure, placed


def _saturation_caption(measured: dict, symbols: int) -> str:
    said = f"Over {counted(symbols, 'symbol')}; shut is under {SHUT}, open over {OPEN}. On the broken line a gate is "
    said += f"never between, at the lower left it mostly is. Open, and shut, for more than {MOSTLY:.0%} of the time: "
    parts = []
    for name in dict.fromkeys(name for _, name in measured):
        both = [values for (_, gate), values in measured.items() if gate == name]
        shut, opened = np.concatenate(both, axis=1)
        parts.append(
            f"{name} {(opened > MOSTLY).sum():,} and {(shut > MOSTLY).sum():,} of {len(shut):,} units "
            f"({opened.mean():.0%} and {shut.mean():.0%} of all values)"
        )
    return said + "; ".join(parts) + "."


def gates_through_training(moments: list["Moment"], out: pathlib.Path) -> Drawing:
    """The distribution of each gate's values at each moment, over units and text: median, and bands that hold the
    middle half and nine tenths. One panel a gate and layer.

    Written to `out` as gates_through_training.png, .svg and .csv.
    """
    rows = (
        (moment.step, number, name, *quantiles.tolist())
        for moment in moments
        for number, layer in enumerate(moment.gates, 1)
        for name, quantiles in layer.items()
    )
    names = ("step", "layer", "gate", *(f"percentile_{n}" for n in (5, 25, 50, 75, 95)))
    gradients_tables.write(out / "gates_through_training.csv", names, rows)
    with style():
        svg = save(_training_figure(moments), out, "gates_through_training")
    return Drawing(svg, _training_caption(moments))


def _training_figure(moments: list["Moment"]) -> Figure:
    several = len(moments[0].gates) > 1
    shown = [(number, name) for number, layer in enumerate(moments[0].gates) for name in layer]
    titles = [f"layer {number + 1}, {name}" if several else name for number, name in shown]
    labels = ["median", "25% to 75%", "5% to 95%"]
    columns = min(3, len(moments[0].gates[shown[0][0]]))
    right = WIDTH / 2 if columns == 1 else RIGHT
    figure, placed = panels("The values of gates through training", titles, columns, 2.6, labels, right=right)
    steps = np.array([moment.step for moment in moments])
    for axes, (number, name) in zip(placed, shown, strict=True):
        colour, marker = _look(number + 1)
        values = np.stack([moment.gates[number][name] for moment in moments])
        low, lower, middle, upper, high = values.T
        axes.fill_between(steps, low, high, color=colour, alpha=0.14, linewidth=0)
        axes.fill_between(steps, lower, upper, color=colour, alpha=0.25, linewidth=0)
        axes.plot(steps, middle, color=colour, marker=marker, markersize=4.5, linewidth=1.6)
    _step_axis(placed[0], steps)
    placed[0].set_ylim(0, 1.02)
    name_axes(figure, placed, columns, "training step", "gate")
    colour = _look(1)[0]
    bands = [Line2D([], [], color=colour, alpha=alpha, linewidth=9) for alpha in (0.36, 0.14)]
    legend(figure, [handle(colour), *bands], labels)
    return figure


def _step_axis(axes, steps: np.ndarray) -> None:
    """Steps on a logarithmic axis that begins at 0, with ticks at some of them, the first and the last among them."""
    first = steps[steps > 0].min(initial=1)
    axes.set_xscale("symlog", linthresh=first, linscale=0.2)
    every = -(-len(steps) // MOST_TICKS)
    ticks = sorted({steps[0], *steps[:0:-1][::every]})
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{step:,}" for step in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())


def _training_caption(moments: list["Moment"]) -> str:
    first, last = moments[0], moments[-1]
    parts = []
    for number, layer in enumerate(last.gates):
        for name in layer:
            where = f"layer {number + 1}, {name}" if len(last.gates) > 1 else name
            before, after = first.gates[number][name], last.gates[number][name]
            parts.append(f"{where} {_half(before)} and {_half(after)}")
    said = f"Half of all values lie, after {counted(first.step, 'step')} and after {last.step:,}, between: "
    return said + "; ".join(parts) + ". Over units and text; the axis of steps is logarithmic."


def _half(quantiles: np.ndarray) -> str:
    return f"{quantiles[1]:.2f} to {quantiles[3]:.2f}"
