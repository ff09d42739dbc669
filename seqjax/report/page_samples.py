"""The page's samples: what models write as they learn, or how they answer."""

import itertools

from seqjax.report.markup import escape, swatch
from seqjax.report.palette import group_styles
from seqjax.report.rows import Board
from seqjax.report.runs import Run

MOST_STEPS = 12  # samples of so many steps can be chosen between; page.css has a rule for each
LONGEST_SAMPLE = 3000  # letters
MOST_MODELS = 12  # whose samples are shown, the best first


def samples(board: Board, number: int, by: str) -> str:
    """What each model wrote, or how it answered, after the same number of steps; the steps are chosen with radios.

    Articles say the attribute `by` of their run, to be shown or hidden by.
    """
    written = (
        (style[0], run)
        for group, style in zip(board.groups, group_styles(board.groups), strict=True)
        if (run := next((run for run in group.runs if run.samples), None))
    )
    chosen = list(itertools.islice(written, MOST_MODELS + 1))  # no more are read from the disk
    if not chosen:
        return ""
    best = f'<p class="note">Of the best {MOST_MODELS} models.</p>\n' if len(chosen) > MOST_MODELS else ""
    chosen = chosen[:MOST_MODELS]
    steps = few(sorted({step for _, run in chosen for step in run.samples}))
    radios = "".join(
        f'<label><input type="radio" name="step{number}" class="pick-{n}"{" checked" if n == len(steps) else ""}>'
        f"<span>{step:,}</span></label>"
        for n, step in enumerate(steps, 1)
    )
    articles = "".join(_sample(run, getattr(run, by), colour, steps) for colour, run in chosen)
    return f"""<h3>{"What they write" if board.measure.of_text else "Samples"}</h3>
{best}<div class="samples">
<fieldset><legend>after so many steps (arrow keys work too)</legend>{radios}</fieldset>
<div class="texts{"" if board.measure.of_text else " drawn"}">
{articles}</div></div>
"""


def _sample(run: Run, filtered_by: str, colour: str, steps: list[int]) -> str:
    texts = "".join(_sample_at(run, step, n) for n, step in enumerate(steps, 1))
    title = f"{swatch(colour)}{escape(run.label)} <small>seed {run.seed}</small>"
    return f'<article data-filter="{escape(filtered_by)}"><h4>{title}</h4>{texts}</article>\n'


def _sample_at(run: Run, step: int, n: int) -> str:
    """The text of the last sample up to `step`."""
    written = max((at for at in run.samples if at <= step), default=None)
    if written is None:
        return f'<p class="at at-{n}">nothing written yet</p>'
    sample, loss = run.samples[written], run.validation.get(written)
    said = f"step {written:,}" + (f", {loss:.3f} {run.measure.name}" if loss is not None else "")
    left_out = len(sample) - LONGEST_SAMPLE
    more = f"\n… {left_out:,} more characters in the run's samples folder" if left_out > 0 else ""
    # HTML drops a line break right after <pre>, so one is there to be dropped.
    return (
        f'<div class="at at-{n}"><p class="when">{said}</p><pre>\n{escape(sample[:LONGEST_SAMPLE])}{more}</pre></div>'
    )


def few(steps: list[int]) -> list[int]:
    """At most MOST_STEPS of them, with the first and the last, closer together at the start where texts change most."""
    if len(steps) <= MOST_STEPS:
        return steps
    last = len(steps) - 1
    places = {round((last + 1) ** (n / (MOST_STEPS - 1))) - 1 for n in range(MOST_STEPS)}
    spare = (place for place in range(last, 0, -1) if place not in places)
    while len(places) < MOST_STEPS:
        places.add(next(spare))
    return [steps[place] for place in sorted(places)]
