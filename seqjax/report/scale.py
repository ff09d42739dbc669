"""The axis of scores, linear or logarithmic, with lines at the baseline and at the criterion of success."""

import dataclasses
import math

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from seqjax.report.canvas import MUTED
from seqjax.report.measure import Measure

DECADES = 2  # scores that span more are drawn on a logarithmic axis
MOST_TICKS = 8
NEAR = 0.25  # of the axis: a baseline so far outside is still drawn
DASHED, DOTTED = (0, (6, 3)), (0, (1, 2))


@dataclasses.dataclass
class Scale:
    """How scores are drawn."""

    limits: tuple[float, float] | None
    """Of the axis; None leaves them to what is drawn."""
    least: float
    """What no band goes below."""
    floor: float | None
    """Where a logarithmic axis ends or, to show 0, turns linear; None on a linear axis."""
    lines: list[tuple[float, tuple, str]]
    """Height, pattern and label of the lines across the plot."""

    @property
    def labels(self) -> list[str]:
        return [label for _, _, label in self.lines]

    def draw(self, axes) -> list[Line2D]:
        """Scale and limit the axis, once the scores are drawn; returns the lines for the legend."""
        for height, pattern, _ in self.lines:
            axes.axhline(height, color=MUTED, linestyle=pattern, linewidth=1.1, zorder=2)
        if self.floor is not None:
            self._logarithmic(axes)
        if self.limits is not None:
            axes.set_ylim(self.limits)
        return [Line2D([], [], color=MUTED, linestyle=pattern, linewidth=1.1) for _, pattern, _ in self.lines]

    def _logarithmic(self, axes) -> None:
        zero = self.limits[0] < 0
        if zero:
            axes.set_yscale("symlog", linthresh=self.floor, linscale=0.5)
        else:
            axes.set_yscale("log")
        first, last = math.ceil(math.log10(self.floor)), math.floor(math.log10(self.limits[1]))
        every = -(-(last - first + 1) // MOST_TICKS)
        ticks = [10.0**power for power in range(last, first - 1, -every)]
        axes.yaxis.set_major_locator(FixedLocator([0.0, *ticks] if zero else ticks))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        note = "logarithmic axis" + (f", linear below {self.floor:g} to show 0" if zero else "")
        axes.set_title(note, loc="right", fontsize=8, color=MUTED, pad=10)


def score_scale(scores: list[np.ndarray], measure: Measure) -> Scale:
    """The scale for what is drawn of a measure. Losses on texts have a linear axis, as everybody draws them."""
    values = np.concatenate(scores)
    criterion = [] if measure.solved_below is None else [measure.solved_below]
    low, high = min([values.min(), *criterion]), values.max()
    positive = values[values > 0]
    if not measure.of_text and low >= 0 and positive.size and high > 10**DECADES * positive.min():
        least = min([positive.min(), *criterion])
        beyond = (high / least) ** NEAR
        lines = _lines(measure, least / beyond, high * beyond)
        heights = [least, high, *(height for height, _, _ in lines)]
        if low == 0:
            floor = 10.0 ** math.floor(math.log10(min(height for height in heights if height > 0)))
            return Scale((-0.2 * floor, 1.5 * max(heights)), 0.0, floor, lines)
        floor = min(heights) / 1.5
        return Scale((floor, 1.5 * max(heights)), floor, floor, lines)
    most = _most(values)
    top = high if most is None else most
    span = max(top - low, 0.05 * abs(top))
    lines = _lines(measure, low - NEAR * span, top + NEAR * span)
    top = max([top, *(height for height, _, _ in lines)])
    limits = None if most is None else (low - 0.05 * (top - low), top + (0.02 * (top - low) if lines else 0.0))
    return Scale(limits, 0.0 if not measure.of_text and low >= 0 else -math.inf, None, lines)


def _most(values: np.ndarray) -> float | None:
    """Where a linear axis is cut off, so that one exploding run does not press all others flat; None for nowhere."""
    low, usual, high = values.min(), np.quantile(values, 0.9), values.max()
    most = low + 3 * (usual - low)
    return most if high > most > low else None


def _lines(measure: Measure, low: float, high: float) -> list[tuple[float, tuple, str]]:
    lines = []
    if measure.baseline is not None and low <= measure.baseline <= high:
        lines.append((measure.baseline, DASHED, f"{measure.baseline_is} ({measure.baseline:.4g})"))
    if measure.solved_below is not None:
        lines.append((measure.solved_below, DOTTED, f"solved: {measure.solved_is}"))
    return lines
