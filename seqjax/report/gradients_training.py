"""The figures of clipping: a training run with and without, and the cliff."""

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from seqjax.report.canvas import INK, MUTED
from seqjax.report.gradients_canvas import WIDTH, handle, legend, log_axis, panels

FREE, CLIPPED = "#d55e00", "#0072b2"
SURFACE = "cividis"
SMOOTHED_OVER = 25  # steps


def clipping(runs) -> Figure:
    """The gradient's norm at every step, with and without clipping, and the losses below."""
    titles = [
        "without clipping: the gradient's norm",
        "with clipping: its norm before it is clipped",
        "the training losses",
    ]
    labels = ["not clipped", "clipped", "threshold"]
    figure, placed = panels(
        "Training a vanilla network with and without clipping", [*titles[:2], "", ""], 2, 2.2, labels, share_y=False,
        gap=(0.35, 0.6),
    )  # fmt: skip
    placed[3].remove()
    placed[2].set_title(titles[2], loc="left", fontsize=10.5, fontweight="bold", pad=5)
    box, beside = placed[2].get_position(), placed[1].get_position()
    placed[2].set_position((box.x0, box.y0, beside.x1 - box.x0, box.height))
    placed[1].sharey(placed[0])
    for axes, run, colour in zip(placed, runs, (FREE, CLIPPED), strict=False):
        steps = np.arange(1, len(run.gradient_norm) + 1)
        log_axis(axes)
        axes.plot(steps, run.gradient_norm, color=colour, linewidth=0.9, zorder=3)
        axes.axhline(run.threshold, color=INK, linewidth=1.2, linestyle=(0, (5, 2)), zorder=4)
        placed[2].plot(steps, run.loss, color=colour, linewidth=0.5, alpha=0.35, zorder=2)
        placed[2].plot(steps, smoothed(run.loss), color=colour, linewidth=1.8, zorder=3)
        axes.tick_params(labelbottom=True)
        axes.set_xlim(0, len(steps) + 1)
    placed[0].set_ylabel("norm of the gradient")
    placed[1].tick_params(labelleft=False)
    placed[2].set_ylabel("loss (nats)")
    placed[2].set_xlabel("training step")
    placed[2].set_xlim(0, max(len(run.loss) for run in runs) + 1)
    threshold = Line2D([], [], color=INK, linewidth=1.2, linestyle=(0, (5, 2)))
    legend(figure, [handle(FREE), handle(CLIPPED), threshold], labels)
    return figure


def smoothed(values: np.ndarray, width: int = SMOOTHED_OVER) -> np.ndarray:
    """The mean over the last `width` steps, or as many as there are."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(ends - width, 0)
    return (sums[ends] - sums[begins]) / (ends - begins)


def cliff(study) -> Figure:
    """The loss surface of the one-unit network and two descents, near the wall and from far."""
    titles = ["near the wall", "from far: where the free step lands"]
    labels = ["not clipped", f"clipped at {study.settings['clip']:g}", "start", "end"]
    figure, placed = panels(
        "The cliff: the loss of a one-unit network of 50 steps", titles, 2, 3.9, labels, share_x=False, share_y=False,
        gap=(0.6, 0.5), right=1.05,
    )  # fmt: skip
    logs = [study.near["loss"], study.far["loss"]]
    norm = LogNorm(1e-5, max(part.max() for part in logs))
    for axes, part in zip(placed, (study.near, study.far), strict=True):
        loss = np.maximum(part["loss"], 1e-5)
        image = axes.pcolormesh(part["w"], part["b"], loss.T, cmap=SURFACE, norm=norm, rasterized=True, shading="auto")
        axes.set_xlim(part["w"][0], part["w"][-1])
        axes.set_ylim(part["b"][0], part["b"][-1])
        axes.grid(False)
        for descent, colour in ((study.free, FREE), (study.clipped, "#56b4e9")):
            axes.plot(descent["w"], descent["b"], color="white", linewidth=2.4, zorder=3)
            axes.plot(descent["w"], descent["b"], color=colour, linewidth=1.6, marker="o", markersize=2.6, zorder=4)
            _mark(axes, descent["w"][-1], descent["b"][-1], "X", colour)
        _mark(axes, study.free["w"][0], study.free["b"][0], "o", "white")
        axes.set_xlabel("w")
    placed[0].set_ylabel("b")
    box = placed[1].get_position()
    bar = figure.add_axes((box.x1 + 0.15 / WIDTH, box.y0, 0.16 / WIDTH, box.height))
    figure.colorbar(image, cax=bar, label=f"loss (darkest: {1e-5:g} or less)")
    bar.tick_params(length=3)
    bar.minorticks_off()
    start = Line2D([], [], color="none", marker="o", markersize=8, markerfacecolor="white", markeredgecolor=INK)
    end = Line2D([], [], color="none", marker="X", markersize=9, markerfacecolor=MUTED, markeredgecolor="white")
    legend(figure, [handle(FREE), handle("#56b4e9"), start, end], labels)
    return figure


def _mark(axes, x, y, marker, colour):
    edge = INK if marker == "o" else "white"
    axes.plot([x], [y], marker=marker, markersize=9, color=colour, markeredgecolor=edge, linestyle="", zorder=6)
