"""The figures of vanishing gradients: how far back the loss reaches, and what decides it.

Drawn from what `seqjax.studies` measures: dataclasses of NumPy arrays, one of each cell.
"""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from seqjax.report.canvas import GRID, MUTED
from seqjax.report.gradients_canvas import (
    FLOOR,
    UNITY,
    WIDTH,
    band,
    handle,
    lag_axis,
    legend,
    log_axis,
    name_axes,
    panels,
    paths,
    unity,
)

LAG = "steps back from the last, T - t"
MAP = "viridis"
LOWEST = -16  # log10, of a colour
COLUMNS = 3


def gradient_by_lag(studies, training_steps: int) -> Figure:
    """|dL/ds_t| against the lag, before and after training."""
    drawn = paths(studies)
    titles = ["before training", f"after {training_steps:,} training steps"]
    labels = [label for _, _, label, *_ in drawn]
    figure, placed = panels("How much of the loss is heard so many steps back", titles, 2, 4.0, labels)
    top = max(study.norms[state].max() for study, state, *_ in drawn)
    for moment, axes in enumerate(placed):
        log_axis(axes)
        for number, (study, state, _, colour, line, marker) in enumerate(drawn):
            norms = study.norms[state][moment]
            band(axes, np.arange(norms.shape[-1]), norms, colour, line, marker, FLOOR * top, offset=2 * number)
        lag_axis(axes, norms.shape[-1] - 1)
    name_axes(figure, placed, 2, LAG, "|dL/ds_t|, mean over the batch")
    legend(figure, [handle(colour, line, marker) for *_, colour, line, marker in drawn], labels)
    return figure


def singular_value_extremes(studies, training_steps: int) -> Figure:
    """The largest and the smallest singular value of ds_T/ds_t against the lag, before and after training."""
    drawn = paths(studies)
    labels = [
        "largest, after training (in the cell's colour)",
        "smallest, after",
        "largest, before training",
        "smallest, before",
        "1: nothing grows or shrinks",
    ]
    figure, placed = panels(
        "Between the largest and the smallest singular value of ds_T/ds_t", [p[2] for p in drawn], COLUMNS, 1.9, labels
    )
    for axes, (study, state, _, colour, *_) in zip(placed, drawn, strict=True):
        log_axis(axes)
        for moment, shade in ((0, MUTED), (1, colour)):
            spectra = study.spectra[state][moment]
            lags = np.arange(spectra.shape[1])
            band(axes, lags, spectra[..., 0], shade)
            band(axes, lags, spectra[..., -1], shade, (0, (1, 1.2)))
        unity(axes)
        lag_axis(axes, lags[-1])
    name_axes(figure, placed, COLUMNS, LAG, "singular value")
    colour = drawn[0][3]
    dotted = (0, (1, 1.2))
    handles = [handle(colour), handle(colour, dotted), handle(MUTED), handle(MUTED, dotted), UNITY]
    legend(figure, handles, labels)
    return figure


def singular_value_spectra(studies, training_steps: int) -> Figure:
    """All singular values of ds_T/ds_t of the first seed as heat maps, before and after training side by side."""
    drawn = paths(studies)
    titles = [f"{label}, {moment}" for _, _, label, *_ in drawn for moment in ("before", "after")]
    columns = 4
    figure, placed = panels(
        "Every singular value of ds_T/ds_t, as log10", titles, columns, 1.35, share_y=False, gap=(0.22, 0.42), right=1.0
    )
    spectra = [study.spectra[state][moment, 0] for study, state, *_ in drawn for moment in (0, 1)]
    low, high = (f([f(np.log10(s[s > 0])) for s in spectra]) for f in (np.min, np.max))
    norm = matplotlib.colors.Normalize(max(low, LOWEST), max(high, 1e-3))
    for axes, values in zip(placed, spectra, strict=True):
        lags, units = values.shape
        edges = np.arange(lags + 1) - 0.5, np.arange(units + 1) + 0.5
        with np.errstate(divide="ignore"):
            logs = np.log10(values.T)
        image = axes.pcolormesh(*edges, np.ma.masked_invalid(logs), cmap=MAP, norm=norm, rasterized=True)
        axes.set_facecolor(GRID)
        axes.grid(False)
        axes.set_ylim(units + 0.5, 0.5)
        axes.set_xlim(-0.5, lags - 0.5)
        axes.tick_params(labelleft=axes in placed[::columns])
    name_axes(figure, placed, columns, "steps back", "rank")
    total = figure.get_figheight()
    bar = figure.add_axes(((WIDTH - 0.75) / WIDTH, 0.6 / total, 0.16 / WIDTH, 1 - 1.5 / total))
    figure.colorbar(image, cax=bar, label="log10 of the singular value", extend="min" if low < LOWEST else "neither")
    bar.tick_params(length=3)
    return figure


def step_factors(studies, training_steps: int) -> Figure:
    """The factors of the product, step by step: the forget gate where there is a memory under one, else the singular
    values of the step's Jacobian.
    """
    titles = [f"{study.cell}: {factor_name(study)}" for study in studies]
    labels = [
        "median, after training (in the cell's colour)",
        "range, after",
        "median, before training",
        "range, before",
        "1: nothing grows or shrinks",
    ]
    figure, placed = panels("The factors of the product, step by step", titles, COLUMNS, 1.9, labels)
    styles = {study.cell: colour for study, _, _, colour, *_ in paths(studies)}
    for axes, study in zip(placed, studies, strict=True):
        for moment, shade in ((0, MUTED), (1, styles[study.cell])):
            low, middle, high = factors(study, moment)
            steps = np.arange(1, len(middle) + 1)
            axes.plot(steps, middle, color=shade, linewidth=1.6, zorder=3)
            axes.fill_between(steps, low, high, color=shade, alpha=0.2, linewidth=0, zorder=1)
        unity(axes)
        axes.set_xlim(0, len(middle) + 1)
    placed[0].set_ylim(bottom=0)
    name_axes(figure, placed, COLUMNS, "step t", "factor")
    shade = styles[studies[0].cell]
    handles = [handle(shade), Patch(color=shade, alpha=0.2), handle(MUTED), Patch(color=MUTED, alpha=0.2), UNITY]
    legend(figure, handles, labels)
    return figure


def has_forget_gate(study) -> bool:
    return "memory" in study.norms and "forget" in study.gates


def factor_name(study) -> str:
    if has_forget_gate(study):
        return "forget gate"
    return "diag(tanh') U" if study.cell == "rnn" else "step Jacobian"


def factors(study, moment: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every step, the mean over seeds: the 10th, 50th and 90th percentile of the forget gate over units and batch,
    or the smallest, median and largest singular value of the step's Jacobian.
    """
    if has_forget_gate(study):
        return tuple(study.gates["forget"][moment].mean(0).T)
    spectra = study.step_spectra[moment].mean(0)
    return spectra[:, -1], np.median(spectra, -1), spectra[:, 0]


def recurrent_scale(scaled) -> Figure:
    """The largest singular value of dh_T/dh_t of vanilla networks against the lag, by the scale of their matrix."""
    titles = [f"{study.activation} ({study.recurrent} matrix)" for study in scaled]
    labels = ["a = 0.9 / gamma", "a = 1 / gamma, the critical value", "a = 1.1 / gamma", "the bound, (gamma a)^(T - t)"]
    figure, placed = panels(
        "Below, at and above the critical value: the largest singular value of dh_T/dh_t",
        titles, 2, 2.3, labels, share_y=False, gap=(0.75, 0.6),
    )  # fmt: skip
    looks = [("#0072b2", "o"), ("#59636e", "s"), ("#d55e00", "^")]
    for axes, study in zip(placed, scaled, strict=True):
        log_axis(axes)
        lags = np.arange(study.bound.shape[-1])
        for values, bound, (colour, marker) in zip(study.largest, study.bound, looks, strict=True):
            axes.plot(lags, bound, color=colour, linewidth=4.5, alpha=0.25, zorder=1)
            band(axes, lags, values, colour, marker=marker)
        names = ", ".join(f"{scale:g}" for scale in study.scales)
        axes.text(
            0.98, 1.02, f"a = {names}", transform=axes.transAxes, ha="right", va="bottom", fontsize=9, color=MUTED
        )
        lag_axis(axes, lags[-1])
    name_axes(figure, placed, 2, LAG, "largest singular value")
    bound = handle(MUTED, width=4.5)
    bound.set_alpha(0.35)
    legend(figure, [*(handle(colour, marker=marker) for colour, marker in looks), bound], labels)
    return figure


def forget_bias(studies) -> Figure:
    """|dL/dc_t| of the LSTM against the lag, and the mean of its forget gate, by what its bias starts at."""
    labels = [*(bias_label(study) for study in studies), "its gates alone, multiplied"]
    titles = ["gradient of the memory", "forget gate, mean over units"]
    figure, placed = panels(
        "The LSTM's forget gate at initialisation", titles, 2, 3.4, labels, share_y=False, gap=(0.95, 0.5)
    )
    looks = [("#d55e00", "s", ":"), ("#0072b2", "o", "-"), ("#009e73", "^", "--"), ("#aa4499", "D", "-.")]
    log_axis(placed[0])
    top = max(study.norms.max() for study in studies)
    for number, (study, (colour, marker, line)) in enumerate(zip(studies, looks, strict=True)):
        lags = np.arange(study.norms.shape[-1])
        band(placed[0], lags, study.norms, colour, line, marker, FLOOR * top, offset=2 * number)
        band(placed[1], lags, study.forget[:, ::-1], colour, line, marker, offset=2 * number)
    limits = placed[0].get_ylim()
    for study, (colour, *_) in zip(studies, looks, strict=True):
        placed[0].plot(lags[1:], gates_alone(study), color=colour, linewidth=0.9, alpha=0.75, zorder=2)
    placed[0].set_ylim(limits)
    for axes, name in zip(placed, ("|dL/dc_t|, mean over the batch", "forget gate"), strict=True):
        lag_axis(axes, lags[-1])
        axes.set_xlabel(LAG)
        axes.set_ylabel(name, parse_math=False)
    placed[1].set_ylim(0, 1.02)
    alone = Line2D([], [], color=MUTED, linewidth=0.9)
    legend(figure, [*(handle(colour, line, marker) for colour, marker, line in looks), alone], labels)
    return figure


def gates_alone(study) -> np.ndarray:
    """What the memory's own path would leave at lags from 1 of the gradient at lag 1: the means of the forget gates,
    multiplied. The median over seeds, `[lags - 1]`.
    """
    gates = study.forget[:, ::-1][:, 1:-1]  # the gradient at lag 1 has passed the last step's gate already
    products = np.cumprod(np.concatenate([np.ones_like(gates[:, :1]), gates], axis=1), axis=1)
    return np.median(study.norms[:, 1:2] * products, axis=0)


def bias_label(study) -> str:
    return study.label if study.label.startswith("chrono") else f"bias {study.label}"
