"""The figures of errors by kind: which symbols cost a network most, how far its memory reaches, what could help it."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from seqjax.interpret.breakdown import Breakdown, beside
from seqjax.interpret.kinds import CLASSES, DOUBLING_NAMES
from seqjax.interpret.oracles import CATEGORIES
from seqjax.report.canvas import GRID, MUTED
from seqjax.report.gradients_canvas import handle, legend, name_axes, panels
from seqjax.report.palette import between
from seqjax.report.text import one_line, shortened

NETWORKS = ("#0072b2", "#d55e00")
LINES = ("-", (0, (5, 1.6)), (0, (1, 1.4)), (0, (6, 1.6, 1, 1.6)))
BAND = {"alpha": 0.15, "linewidth": 0, "zorder": 1}
NORMAL = 1.96  # standard errors to each side of a 95% interval
LONGEST_NAME = 44
STEPS = [1, 2, 2.5, 5, 10]  # of ticks, times powers of ten
LEAST = 5  # symbols; a mean of fewer is not drawn
GREYS = ("#4d5661", "#7d8793", "#a9b2bc")


def loss_by_class(breakdown: Breakdown) -> Figure:
    """Mean loss of each class of symbols, and its share of the whole loss."""
    shown = np.flatnonzero(breakdown.by_class.count)
    names = [CLASSES[place] for place in shown]
    labels, colours = _models(breakdown)
    means = breakdown.by_class
    figure, placed = panels(
        "Which symbols cost most", ["mean loss of a symbol", "share of the whole loss"], 2,
        _height(names, labels), labels, share_x=False, share_y=True, gap=(0.35, 0.5),
    )  # fmt: skip
    for axes, values in zip(placed, (means.mean, means.share), strict=True):
        _bars(axes, names, values[:, shown], colours)
    _make_room(placed)
    error = NORMAL * means.error[:, shown]
    _whiskers(placed[0], means.mean[:, shown], error)
    _percent(placed[1])
    for axes, name in zip(placed, ("nats", "of the loss"), strict=True):
        axes.set_xlabel(name)
    legend(figure, [Patch(color=colour) for colour in colours], labels)
    return figure


def loss_by_place(breakdown: Breakdown) -> Figure:
    """Mean loss against the place after a structural character."""
    labels, colours = _models(breakdown)
    titles = [f"after: {mark}" for mark in breakdown.by_place]
    figure, placed = panels(
        "Loss by place: how soon is it clear what follows", titles, 2, 2.3, labels, share_x=False, share_y=False,
        gap=(0.6, 0.75),
    )  # fmt: skip
    for axes, means in zip(placed, breakdown.by_place.values(), strict=True):
        _curves(axes, np.arange(len(means.count)), means, colours, [LINES[0]] * len(labels))
        axes.xaxis.set_major_locator(MaxNLocator(9, steps=STEPS, integer=True))
        axes.set_ylim(bottom=0)
        _empty(axes, means)
    name_axes(figure, placed, 2, "symbols after it (0: right after)", "nats")
    legend(figure, [handle(colour) for colour in colours], labels)
    return figure


def loss_on_closing(breakdown: Breakdown) -> Figure:
    """Mean loss on a closing bracket or quotation mark against how far back it was opened."""
    orders = [f"{order}-gram" for order in breakdown.reach]
    labels, networks = _names(breakdown) + orders, len(breakdown.names)
    colours = [*NETWORKS[:networks], *GREYS[: len(orders)]]
    lines = [LINES[0]] * networks + list(LINES[1 : 1 + len(orders)])
    titles = [f"closing {mark}" for mark in breakdown.closing]
    figure, placed = panels(
        "How far memory reaches: loss on what closes, by distance", titles, 2, 3.2, labels, share_x=False, share_y=True,
        gap=(0.35, 0.5),
    )  # fmt: skip
    for axes, means in zip(placed, breakdown.closing.values(), strict=True):
        _curves(axes, np.arange(len(means.count)), means, colours, lines, marker="o")
        shown = np.flatnonzero(means.count >= LEAST)
        last = int(shown.max(initial=3))
        axes.set_xticks(range(last + 1), [name.split("-")[0].split(" ")[0] for name in DOUBLING_NAMES[: last + 1]])
        axes.set_xlim(-0.2, last + 0.2)
        _empty(axes, means)
    for axes in placed:
        axes.set_ylim(bottom=0)
    name_axes(figure, placed, 2, "symbols since it was opened: from this many to twice as many", "nats")
    legend(figure, [handle(colour, line, "o") for colour, line in zip(colours, lines, strict=True)], labels)
    return figure


def beside_ngrams(breakdown: Breakdown) -> Figure:
    """The loss of n-gram models by their order beside the networks', and how often a network gives a symbol more."""
    networks, orders = _names(breakdown), np.array(breakdown.orders)
    labels = ["n-gram models", *networks]
    titles = ["loss, by the order of the n-gram model", "the network gives the symbol more"]
    figure, placed = panels(
        "Beside n-gram models", titles, 2, 3.0, labels, share_x=False, share_y=False, gap=(0.75, 0.5)
    )
    placed[0].plot(orders, breakdown.ngrams.mean(-1), color=MUTED, marker="s", markersize=4, linewidth=1.6, zorder=3)
    for number, colour in zip(range(len(networks)), NETWORKS, strict=False):
        placed[0].axhline(breakdown.nats[number].mean(), color=colour, linewidth=1.6, zorder=2)
        more = [row.better for row in beside(breakdown, number)[:-1]]
        placed[1].plot(orders, more, color=colour, marker="o", markersize=4, linewidth=1.6)
    placed[0].set_ylim(bottom=0)
    placed[1].set_ylim(0, 1)
    placed[1].axhline(0.5, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
    placed[1].yaxis.set_major_formatter(PercentFormatter(1))
    for axes, name in zip(placed, ("nats per symbol", "of all symbols"), strict=True):
        axes.set_xlabel("order n: n - 1 symbols of context")
        axes.set_ylabel(name)
        axes.xaxis.set_major_locator(MaxNLocator(10, steps=STEPS, integer=True))
    handles = [handle(MUTED, marker="s"), *(handle(colour) for colour in NETWORKS[: len(networks)])]
    legend(figure, handles, labels)
    return figure


def beyond_ngrams(breakdown: Breakdown) -> Figure:
    """By class, what the networks gain on the best n-gram model, or lose."""
    shown = np.flatnonzero(breakdown.by_class.count)
    names, labels = [CLASSES[place] for place in shown], _names(breakdown)
    values = np.stack([breakdown.beyond(number)[shown] for number in range(len(labels))])
    figure, placed = panels(
        f"Where a network knows more than the {breakdown.best_name}, or less",
        ["by class of symbol"],
        1,
        _height(names, labels),
        labels,
    )
    _bars(placed[0], names, values, NETWORKS[: len(labels)])
    _make_room(placed)
    placed[0].axvline(0, color=MUTED, linewidth=1)
    placed[0].set_xlabel("loss of the n-gram model less the network's, in nats per symbol of the text")
    legend(figure, [Patch(color=colour) for colour in NETWORKS[: len(labels)]], labels)
    return figure


def error_categories(breakdown: Breakdown) -> Figure:
    """The share of errors that each oracle takes away, in the order in which they are asked."""
    labels = _names(breakdown)
    counts = np.stack([breakdown.errors(number) for number in range(len(labels))])
    totals = np.maximum(counts.sum(-1, keepdims=True), 1)
    titles = ["in the order in which oracles are asked"]
    figure, placed = panels("What could have helped: errors by oracle", titles, 1, _height(CATEGORIES, labels), labels)
    _bars(placed[0], CATEGORIES, counts / totals, NETWORKS[: len(labels)], "{:.1%}")
    _make_room(placed)
    _percent(placed[0])
    placed[0].set_xlabel("of the network's errors")
    named = [f"{label}: {total[0]:,} errors" for label, total in zip(labels, totals, strict=True)]
    legend(figure, [Patch(color=colour) for colour in NETWORKS[: len(labels)]], named)
    return figure


def errors_between(breakdown: Breakdown) -> Figure:
    """What fraction of the first network's errors the second removed, and how many it added to them."""
    change, (first, second) = breakdown.change, _names(breakdown)
    had = np.where(breakdown.errors(0) >= LEAST, breakdown.errors(0), np.nan)
    labels = ["removed", "added", "removed less added, 95% interval"]
    figure, placed = panels(
        f"Errors of {first} that {second} removed", ["by oracle"], 1, _height(CATEGORIES, labels[:2]), labels
    )
    colours = (NETWORKS[1], between(NETWORKS[0], "#ffffff", 0.35))
    _bars(placed[0], CATEGORIES, np.stack([change.removed / had, -change.added / had]), colours)
    _make_room(placed)
    rows = np.arange(len(CATEGORIES))
    low, high = change.interval / had
    placed[0].hlines(rows, low, high, color=MUTED, linewidth=2, zorder=4)
    placed[0].plot((change.removed - change.added) / had, rows, "D", color=MUTED, markersize=4, zorder=5)
    placed[0].axvline(0, color=MUTED, linewidth=1)
    _percent(placed[0])
    placed[0].set_xlabel("of the first network's errors in the category; added to the left")
    marks = [Patch(color=colour) for colour in colours] + [handle(MUTED, marker="D")]
    legend(figure, marks, labels)
    return figure


def _names(breakdown: Breakdown) -> list[str]:
    return [shortened(one_line(name), LONGEST_NAME) for name in breakdown.names]


def _models(breakdown: Breakdown) -> tuple[list[str], list[str]]:
    """The networks, then the best n-gram model, and their colours."""
    names = _names(breakdown)
    return [*names, f"{breakdown.best_name}, the best n-gram model"], [*NETWORKS[: len(names)], GREYS[1]]


def _height(names, labels) -> float:
    """Inches, of a panel of bars."""
    return 0.1 + len(names) * (0.12 + 0.11 * len(labels))


def _bars(axes, names, values, colours, form: str | None = None) -> None:
    """One group of bars a name, from top to bottom; `form` writes the value beside each."""
    thickness = 0.78 / len(values)
    for row, (of_model, colour) in enumerate(zip(values, colours, strict=True)):
        middle = np.arange(len(names)) + (row - (len(values) - 1) / 2) * thickness
        bars = axes.barh(middle, np.nan_to_num(of_model), thickness * 0.92, color=colour, zorder=2)
        if form:
            axes.bar_label(bars, [form.format(value) for value in of_model], padding=3, fontsize=8, color=MUTED)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=STEPS))


def _make_room(placed) -> None:
    """Room for names beside bars: panels start further right."""
    left = 1.75
    width = placed[0].figure.get_figwidth()
    first, last = placed[0].get_position(), placed[-1].get_position()
    gap = placed[1].get_position().x0 - first.x1 if len(placed) > 1 else 0.0
    each = (last.x1 - left / width - gap * (len(placed) - 1)) / len(placed)
    for number, axes in enumerate(placed):
        axes.set_position((left / width + number * (each + gap), first.y0, each, first.height))


def _whiskers(axes, values, error) -> None:
    thickness = 0.78 / len(values)
    for row, (of_model, half) in enumerate(zip(values, error, strict=True)):
        middle = np.arange(len(of_model)) + (row - (len(values) - 1) / 2) * thickness
        axes.hlines(middle, of_model - half, of_model + half, color=MUTED, linewidth=1.1, zorder=4)


def _percent(axes) -> None:
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _curves(axes, xs, means, colours, lines, marker=None) -> None:
    """Means with 95% bands; a mean of too few symbols is not drawn."""
    enough = means.count >= LEAST
    for mean, error, colour, line in zip(means.mean, means.error, colours, lines, strict=True):
        mean, half = np.where(enough, mean, np.nan), NORMAL * np.where(enough, error, np.nan)
        axes.plot(xs, mean, color=colour, linestyle=line, linewidth=1.6, marker=marker, markersize=4, zorder=3)
        axes.fill_between(xs, np.maximum(mean - half, 0), mean + half, color=colour, **BAND)


def _empty(axes, means) -> None:
    if not (means.count >= LEAST).any():
        axes.text(0.5, 0.5, "too few in this text", transform=axes.transAxes, ha="center", color=MUTED, fontsize=10)
        axes.set_facecolor(GRID)
        axes.patch.set_alpha(0.25)
