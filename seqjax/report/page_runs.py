"""The end of the page: what is not in the means, and every run with its config."""

import json

from seqjax.report import text
from seqjax.report.markup import escape, state, swatch
from seqjax.report.palette import cell_styles
from seqjax.report.rows import Comparison
from seqjax.report.runs import Run


def troubles(comparison: Comparison) -> str:
    """Runs that are not done, and directories that could not be used, each with the reason."""
    unfinished = [run for run in comparison.runs if run.state != "done"]
    items = [f"<li>{state(run.state)} <b>{escape(run.name)}</b> {escape(_reached(run))}</li>\n" for run in unfinished]
    items += [f"<li>{state('note')} {escape(note)}</li>\n" for note in comparison.notes]
    if not items:
        return ""
    title = "Not in the means" if unfinished else "Notes"
    return f'<section><h2>{title}</h2>\n<ul class="troubles">\n{"".join(items)}</ul></section>\n'


def _reached(run: Run) -> str:
    loss = [run.validation[max(run.validation)]] if run.validation else []
    so_far = f"{text.score(loss[0])} {run.measure.name} at step {max(run.validation):,}" if loss else ""
    return "; ".join(filter(None, [run.why, f"at step {run.steps:,} of {run.steps_wanted:,}", so_far]))


def runs(comparison: Comparison, by: str) -> str:
    """Every run with its config, each saying its attribute `by`, to be shown or hidden by."""
    colours = cell_styles([run.cell for run in comparison.runs])
    details = "".join(_run(run, colours[run.cell][0], by) for run in comparison.runs)
    return f'<section><h2>Every run and its config</h2>\n<div class="runs">\n{details}</div></section>\n'


def _run(run: Run, colour: str, by: str) -> str:
    config = json.dumps(run.config, indent=2, sort_keys=True, ensure_ascii=False)
    score = f"{text.score(run.score)} {run.measure.name}" if run.score is not None else ""
    best = f"best at step {run.best_step:,}" if run.score is not None and run.best_step is not None else ""
    return (
        f'<details data-filter="{escape(getattr(run, by))}"><summary>{swatch(colour)}<b>{escape(run.name)}</b> '
        f'{state(run.state)} <span>{score}</span> <span class="note">{best}</span>'
        f"</summary><pre>\n{escape(config)}</pre></details>\n"
    )
