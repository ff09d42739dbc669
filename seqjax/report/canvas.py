"""What figures are drawn on: one size and style, a legend under the plot, PNG and SVG files, SVG for the page.

Drawn with matplotlib's objects: no window, no state shared with the caller's plots.
"""

import dataclasses
import pathlib
import re
import textwrap

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

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
LEFT, RIGHT, TOP, BOTTOM = 0.9, 0.25, 0.5, 0.62
LEGEND_ROW, LEGEND_HANDLE, LETTER = 0.172, 0.66, 0.076
LONGEST_LABEL = 70  # letters in a legend
LONGEST_AXIS = 46  # letters beside an axis before it takes a second line


@dataclasses.dataclass
class Drawing:
    """A figure inside the page: an SVG element and what stands under it."""

    svg: str
    caption: str


def style():
    """A context in which figures are made and saved."""
    return matplotlib.rc_context(SETTINGS)


def save(figure: Figure, out: pathlib.Path, name: str) -> str:
    """Write `<name>.png` and `<name>.svg`; returns the SVG for inside the page."""
    figure.savefig(out / f"{name}.png", dpi=160, facecolor="white")
    svg = out / f"{name}.svg"
    figure.savefig(svg, format="svg", facecolor="white", metadata={"Date": None})
    return for_page(svg.read_text(encoding="utf-8"), name)


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


def legend_shape(labels: list[str]) -> tuple[int, int]:
    """`(rows, columns)` of a legend under the plot."""
    widest = LEGEND_HANDLE + LETTER * min(LONGEST_LABEL, max(map(len, labels)))
    columns = max(1, min(len(labels), int((WIDTH - LEFT - RIGHT) / widest)))
    return -(-len(labels) // columns), columns


def canvas(title: str, xlabel: str, ylabel: str, labels: list[str], lines: list[str] | None = None):
    """A figure as high as its legend needs, with the plot of one size throughout. The legend's rows are shared by
    `labels`, and each of `lines` has its own below.
    """
    height = TOP + PLOT_HEIGHT + BOTTOM + LEGEND_ROW * (legend_shape(labels)[0] + len(lines or [])) + 0.1
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    plot_bottom = height - TOP - PLOT_HEIGHT
    axes = figure.add_axes(
        (LEFT / WIDTH, plot_bottom / height, (WIDTH - LEFT - RIGHT) / WIDTH, PLOT_HEIGHT / height), facecolor="none"
    )
    dress(axes)
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=10)
    axes.set_xlabel(xlabel, parse_math=False)
    axes.set_ylabel(textwrap.fill(ylabel, LONGEST_AXIS), parse_math=False)
    return figure, axes


def dress(axes) -> None:
    """The style of every plot."""
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=3)


def legend(figure: Figure, handles: list, labels: list[str], handle: float = 3.2, lines=((), ())) -> None:
    """Below the plot: `labels` in columns and, under them, the handles and labels of `lines`, one a row."""
    handles_of_lines, labels_of_lines = lines
    height = len(labels_of_lines) * LEGEND_ROW / figure.get_figheight()
    _legend(figure, handles, labels, height, handle, legend_shape(labels)[1])
    if labels_of_lines:
        _legend(figure, handles_of_lines, labels_of_lines, 0.0, 3.2, 1)


def _legend(figure: Figure, handles, labels, bottom: float, handle: float, columns: int) -> None:
    legend = figure.legend(
        handles,
        # matplotlib leaves out a label that starts with an underscore; a space before it does not show.
        [" " * label.startswith("_") + shortened(one_line(label), LONGEST_LABEL) for label in labels],
        loc="lower left",
        bbox_to_anchor=(LEFT / figure.get_figwidth() - 0.01, bottom),
        ncols=columns,
        frameon=False,
        fontsize=9,
        handlelength=handle,
        columnspacing=1.2,
        labelspacing=0.35,
    )
    for label in legend.get_texts():
        label.set_parse_math(False)  # a dollar sign in a setting is a dollar sign
