"""The page's curves: what its script draws, and where. Each figure of curves stays there for a page without scripts."""

import json
import re

import numpy as np

from seqjax.report import text
from seqjax.report.canvas import Drawing
from seqjax.report.figures import drawable, group_curve, note, to_the_end
from seqjax.report.markup import escape, figure
from seqjax.report.palette import cell_styles, group_styles
from seqjax.report.rows import Board, Comparison, Group
from seqjax.report.runs import Curve, Run
from seqjax.report.scale import score_scale

MOST_MODELS = 200  # of a leaderboard, the best first
MOST_NAMES = 60  # that can be chosen among
MOST_NUMBERS = 40_000  # of one kind of curve in a page: more runs have fewer points each
MOST_POINTS, FEWEST_POINTS = 200, 20  # of a curve
LINE_WIDTH = 1.7
NOTHING_DRAWN = '<p class="note">Nothing has been measured yet, so there is nothing to draw.</p>\n'
HOW_TO_READ = (
    "Thick lines are means over seeds, thin ones seeds. Point at a curve, or choose the plot and press arrow keys."
)


def filter_by(comparison: Comparison) -> str:
    """By which attribute of a run its rows and curves are shown or hidden: its cell or, for one cell, its model."""
    return "cell" if len({run.cell for run in comparison.runs}) > 1 else "label"


def chooser(comparison: Comparison) -> str:
    """Boxes to tick, one a name, with the name's colour and line; nothing for one name alone, or too many to tick."""
    by, looks = filter_by(comparison), {}
    if by == "cell":
        styles = cell_styles([run.cell for run in comparison.runs])
        looks = {run.cell: (styles[run.cell][0], "-") for run in comparison.runs}
    elif max(len(board.groups) for board in comparison.boards) <= MOST_NAMES:
        for board in comparison.boards:
            for group, (colour, line, _) in zip(board.groups, group_styles(board.groups), strict=True):
                looks.setdefault(group.label, (colour, line))
    if not 2 <= len(looks) <= MOST_NAMES:
        return ""
    boxes = "".join(
        f'<label><input type="checkbox" value="{escape(name)}" checked>{_stroke(*look)}{escape(name)}</label>'
        for name, look in looks.items()
    )
    return f"""<fieldset class="filter" hidden>
<legend>{"Cells" if by == "cell" else "Models"}</legend>
{boxes}<button type="button" value="all">all</button><button type="button" value="none">none</button></fieldset>
"""


def _stroke(colour: str, line) -> str:
    return (
        f'<svg class="stroke" viewBox="0 0 26 8" aria-hidden="true"><path d="M0 4H26" stroke="{colour}" '
        f'stroke-width="2.5" stroke-dasharray="{_dashes(line)}"/></svg>'
    )


def _dashes(line) -> str:
    """A pattern of matplotlib's as the attribute of SVG; empty for a line without gaps."""
    return "" if line == "-" else " ".join(f"{LINE_WIDTH * part:.3g}" for part in line[1])


def charts(board: Board) -> dict[str, dict]:
    """What the script draws of a board, by the name of the figure in whose place it stands: a curve and its words."""
    measure = board.measure
    found = {
        "learning_curves": ("validation", f"Validation {measure.noun} while training", f"validation {measure.axis}"),
        "training_curves": ("training", f"Training {measure.noun}", f"training {measure.axis}"),
        "loss_by_time": (
            "timed",
            f"{measure.noun.capitalize()} against training time",
            f"{board.scored_on} {measure.axis}",
        ),
    }
    return {name: _chart(board, *said) for name, said in found.items()}


def _chart(board: Board, curve: str, title: str, axis: str) -> dict:
    source = board.scored_on if curve == "timed" else curve
    means = [group_curve(to_the_end(drawable(group), source)) for group in board.groups[:MOST_MODELS]]
    scores = [mean[1] for mean in means if mean is not None]
    scale = score_scale(scores, board.measure) if scores else None
    return {
        "curve": curve,
        "title": title,
        "across": "seconds of training" if curve == "timed" else "step",
        "up": axis,
        "logarithmic": scale is not None and scale.floor is not None,
        "lines": [[height, label] for height, _, label in scale.lines] if scale else [],
        "caption": f"{HOW_TO_READ}{note(board, MOST_MODELS)}",
    }


def figures(drawings: list[Drawing], charts: dict[str, dict]) -> str:
    """The figures of a board. Those in whose place the script draws a chart are marked with its name."""
    if not drawings:
        return NOTHING_DRAWN
    drawn = "".join(_figure(drawing, charts) for drawing in drawings)
    return f'<h3>Figures</h3>\n<div class="figures">\n{drawn}</div>\n'


def _figure(drawing: Drawing, charts: dict[str, dict]) -> str:
    name = re.search(r'aria-label="(?:board\d+-)?([^"]*)"', drawing.svg)[1].replace(" ", "_")
    return figure(drawing, f' data-chart="{name}"' if name in charts else "")


def data(comparison: Comparison, charts: list[dict[str, dict]]) -> str:
    """Every board's curves and charts, as JSON that is safe inside a script element.

    A curve is `[n, values]`, at the steps that are number `n` of `steps`; `seconds` are at those of the curve by which
    the board is scored.
    """
    by = filter_by(comparison)
    shown = sum(len(group.runs) for board in comparison.boards for group in board.groups[:MOST_MODELS])
    steps = _Steps(max(FEWEST_POINTS, min(MOST_POINTS, MOST_NUMBERS // shown)))
    boards = [
        {"unit": board.measure.name, "charts": of_board, "models": _models(board, by, steps)}
        for board, of_board in zip(comparison.boards, charts, strict=True)
    ]
    content = json.dumps({"boards": boards, "steps": steps.known}, allow_nan=False, separators=(",", ":"))
    return content.replace("<", "\\u003c")


class _Steps:
    """The different lists of steps that curves have, each stored once."""

    def __init__(self, most: int):
        self.most, self.known, self.places = most, [], {}

    def curve(self, curve: Curve) -> list:
        """`[n, values]` with at most so many points, each a mean over the steps since the last one."""
        steps, count = sorted(curve), min(len(curve), self.most)
        ends = np.arange(count + 1) * len(curve) // max(1, count)
        at = tuple(steps[end - 1] for end in ends[1:])
        if at not in self.places:
            self.places[at] = len(self.known)
            self.known.append(at)
        means = np.add.reduceat([curve[step] for step in steps], ends[:-1]) / np.diff(ends)
        return [self.places[at], [float(f"{value:.6g}") for value in means]]  # as many digits as anybody reads


def _models(board: Board, by: str, steps: _Steps) -> list[dict]:
    styles = group_styles(board.groups)
    return [
        {
            "label": text.visible(group.label),
            "filter": text.visible(getattr(group.first, by)),
            "colour": colour,
            "dashes": _dashes(line),
            "runs": [_run(run, board.scored_on, steps) for run in group.runs],
            "mean": _mean(group, board.scored_on, steps) if len(group.runs) > 1 else None,
        }
        for group, (colour, line, _) in list(zip(board.groups, styles, strict=True))[:MOST_MODELS]
    ]


def _run(run: Run, scored_on: str, steps: _Steps) -> dict:
    curves = {"validation": run.validation, "training": run.training}
    curves |= _against_time(curves[scored_on], run.seconds)
    return {"seed": run.seed, "state": run.state} | {name: steps.curve(curve) for name, curve in curves.items()}


def _mean(group: Group, scored_on: str, steps: _Steps) -> dict:
    """Over the group's runs that count, as in the figures."""
    runs, curves = drawable(group), {}
    for name in ("validation", "training", "seconds"):
        mean = group_curve(to_the_end(runs, name))
        curves[name] = {} if mean is None else dict(zip(mean[0].tolist(), mean[1].tolist(), strict=True))
    curves |= _against_time(curves[scored_on], curves.pop("seconds"))
    return {"seeds": len(runs)} | {name: steps.curve(curve) for name, curve in curves.items()}


def _against_time(scored: Curve, seconds: Curve) -> dict[str, Curve]:
    """Scores and seconds at the steps at which both are known."""
    both = [step for step in scored if step in seconds]
    return {"timed": {step: scored[step] for step in both}, "seconds": {step: seconds[step] for step in both}}
