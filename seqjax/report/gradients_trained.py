"""The two figures of one trained network, their captions and their tables."""

import numpy as np
from matplotlib.figure import Figure

from seqjax.report.gradients_canvas import FLOOR, handle, lag_axis, legend, line_of, log_axis, name_axes, panels
from seqjax.report.gradients_captions import digits
from seqjax.report.palette import cell_styles

PERCENTILES = (10, 50, 90)
GATES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
LAG = "steps back from the last, T - t"


def _titles(study):
    return [f"layer {number}" for number in range(1, len(study.layers) + 1)]


def _columns(study):
    return min(2, len(study.layers))


def trained_gradient_by_lag(study) -> Figure:
    """|dL/ds_t| against the lag, one panel a layer."""
    states = list(study.layers[0].norms)
    colour, marker = cell_styles([study.cell])[study.cell]
    lines = [line_of(state, states) for state in states]
    labels = [f"{study.cell} {state}" for state in states]
    columns = _columns(study)
    figure, placed = panels(f"How far back {study.name} hears of its loss", _titles(study), columns, 3.4, labels)
    top = max(norms.max() for layer in study.layers for norms in layer.norms.values())
    for axes, layer in zip(placed, study.layers, strict=True):
        log_axis(axes)
        for number, (state, line) in enumerate(zip(states, lines, strict=True)):
            low, middle, high = np.percentile(layer.norms[state], PERCENTILES, axis=1)
            lags = np.arange(len(middle))
            every = max(1, len(lags) // 8)
            look = {"marker": marker, "markersize": 4.5, "markevery": (2 * number % every, every)}
            shown = np.where(middle > FLOOR * top, middle, np.nan)
            axes.plot(lags, shown, color=colour, linestyle=line, linewidth=1.6, zorder=3, **look)
            axes.fill_between(
                lags,
                np.maximum(low, FLOOR * top),
                high,
                where=high > FLOOR * top,
                color=colour,
                alpha=0.13,
                linewidth=0,
            )
        lag_axis(axes, len(lags) - 1)
    name_axes(figure, placed, columns, LAG, "|dL/ds_t|")
    legend(figure, [handle(colour, line, marker) for line in lines], labels)
    return figure


def trained_gates(study) -> Figure | None:
    """The gates at every step, one panel a layer; None for a cell without gates."""
    names = list(study.layers[0].gates)
    if not names:
        return None
    columns = _columns(study)
    figure, placed = panels(f"The gates of {study.name}", _titles(study), columns, 3.4, names)
    colours = [GATES[n % len(GATES)] for n in range(len(names))]
    for axes, layer in zip(placed, study.layers, strict=True):
        for name, colour in zip(names, colours, strict=True):
            low, middle, high = layer.gates[name].T
            steps = np.arange(1, len(middle) + 1)
            axes.plot(steps, middle, color=colour, linewidth=1.6, zorder=3)
            axes.fill_between(steps, low, high, color=colour, alpha=0.13, linewidth=0)
        axes.set_xlim(0, len(middle) + 1)
    placed[0].set_ylim(0, 1.02)
    name_axes(figure, placed, columns, "step t", "gate")
    legend(figure, [handle(colour) for colour in colours], names)
    return figure


def caption_of_gradients(study) -> str:
    parts = []
    for number, layer in enumerate(study.layers, 1):
        for state, norms in layer.norms.items():
            median = np.median(norms, 1)
            heard = np.flatnonzero(median > 0)
            if len(heard):
                at = f"layer {number}, {state}" if len(study.layers) > 1 else state
                parts.append(f"{at} {digits(median[-1] / median[heard[0]])}")
    lags = len(norms) - 1
    said = (
        f"What is left of the gradient {lags} steps back: {'; '.join(parts)}. " if parts else "There is no gradient. "
    )
    return said + "Lines are medians over the batch, bands go from the 10th to the 90th percentile."


def caption_of_gates(study) -> str:
    parts = [
        f"{f'layer {number}, ' if len(study.layers) > 1 else ''}{name} {digits(values[:, 1].mean())}"
        for number, layer in enumerate(study.layers, 1)
        for name, values in layer.gates.items()
    ]
    return (
        f"The median gate, mean over steps: {'; '.join(parts)}. Lines are medians over units and batch, bands go from "
        "the 10th to the 90th percentile."
    )


def table_of_gradients(study):
    """Names and rows of the CSV file."""
    rows = (
        (number, state, lag, *np.percentile(values, PERCENTILES))
        for number, layer in enumerate(study.layers, 1)
        for state, norms in layer.norms.items()
        for lag, values in enumerate(norms)
    )
    return ("layer", "state", "lag", "percentile_10", "median", "percentile_90"), rows


def table_of_gates(study):
    """Names and rows of the CSV file."""
    rows = (
        (number, name, step, *values)
        for number, layer in enumerate(study.layers, 1)
        for name, gate in layer.gates.items()
        for step, values in enumerate(gate, 1)
    )
    return ("layer", "gate", "step", "percentile_10", "median", "percentile_90"), rows


FIGURES = {
    "trained_gradient_by_lag": (trained_gradient_by_lag, caption_of_gradients, table_of_gradients),
    "trained_gates": (trained_gates, caption_of_gates, table_of_gates),
}
