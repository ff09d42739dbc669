"""One HTML page that holds the whole report: it opens from a file, without a network and without scripts."""

import html
import importlib.resources
import json

from seqjax.report import text
from seqjax.report.palette import cell_styles, group_styles
from seqjax.report.rows import SPLITS, Board, Comparison, Group, Run, bits, deviation, mean, perplexity

# The page asks the browser to hold it to its promise: nothing is loaded from anywhere, nothing is executed.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

MOST_STEPS = 12  # samples of so many steps can be chosen between; page.css has a rule for each
LONGEST_SAMPLE = 3000  # letters

CAPTIONS = {
    "learning_curves": "Mean over seeds. With up to eight models, a band shows one standard deviation to either side.",
    "training_curves": "Each point is a mean over the steps since the last one.",
    "loss_by_parameters": "Down and to the left is better. Bars are one standard deviation over seeds.",
    "loss_by_time": "Whichever line is lowest at a given time made the best use of it, on the machine that trained it.",
}


def render(comparison: Comparison, drawn: list[dict[str, str]]) -> str:
    """The page. `drawn` holds the figures of each board as SVG elements, by name."""
    style = importlib.resources.files("seqjax.report").joinpath("page.css").read_text(encoding="utf-8")
    title = _title(comparison)
    several = len(comparison.boards) > 1
    boards = "".join(
        _board(board, figures, n, several)
        for n, (board, figures) in enumerate(zip(comparison.boards, drawn, strict=True), 1)
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<header>
<p class="brand">seqjax report</p>
<h1>{escape(title)}</h1>
{_contents(comparison) if several else ""}</header>
<main>
{boards}{_troubles(comparison)}{_runs(comparison)}</main>
<footer>The same numbers: <code>leaderboard.csv</code>, <code>runs.csv</code> and both as Parquet, beside this page,
with every figure as PNG and SVG.</footer>
</body>
</html>
"""


def escape(value) -> str:
    """Any text as text, never as markup; control characters become visible."""
    return html.escape(text.visible(str(value)))


def _title(comparison: Comparison) -> str:
    models = text.counted(sum(len(board.groups) for board in comparison.boards), "model")
    sources = list(dict.fromkeys(_source(board) for board in comparison.boards))
    return f"{models} on {' and '.join(sources) if len(sources) < 3 else f'{len(sources)} texts'}"


def _source(board: Board) -> str:
    return text.one_line(str(board.corpus.get("source", "a text")))


def _heading(board: Board) -> str:
    return _source(board) + ("" if board.measure == "validation" else ", without validation text")


def _contents(comparison: Comparison) -> str:
    links = (f'<a href="#text{n}">{escape(_heading(board))}</a>' for n, board in enumerate(comparison.boards, 1))
    why = (
        "<span>Losses on different texts, or on other parts of one, cannot be compared: each has its own table.</span>"
    )
    return f"<nav>{' '.join(links)} {why}</nav>\n"


def _board(board: Board, figures: dict[str, str], number: int, several: bool) -> str:
    heading = f"<h2>{escape(_heading(board))}</h2>\n" if several else ""
    return f"""<section class="board" id="text{number}">
{heading}{_facts(board)}{_verdict(board)}{_leaderboard(board)}{_figures(figures)}{_samples(board, number)}</section>
"""


def _facts(board: Board) -> str:
    symbols, vocabulary = board.runs[0].task.get("symbols", {}), board.runs[0].task.get("vocabulary", {})
    facts = [
        ("trials", f"{len(board.runs):,}"),
        ("models", f"{len(board.groups):,}"),
        ("text", f"{board.corpus.get('size', 0):,} bytes"),
        ("SHA-256", str(board.corpus.get("sha256", ""))[:16]),
    ]
    facts += [(split, f"{symbols[split]:,} symbols") for split in SPLITS if symbols.get(split)]
    if vocabulary.get("symbols"):
        facts.append(("vocabulary", f"{len(vocabulary['symbols']):,} {vocabulary.get('kind', 'symbols')}"))
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{items}</dl>\n'


def _verdict(board: Board) -> str:
    """What the leaderboard says in a sentence, no louder than the spread over seeds allows."""
    ranked = [group for group in board.groups if group.seeds]
    if not ranked:
        return '<p class="verdict">No trial is done yet, so there is nothing to rank.</p>\n'
    best = ranked[0]
    nats = f"<strong>{text.nats(best.mean, best.deviation)}</strong> nats per symbol"
    seeds = f" over {text.counted(best.seeds, 'seed')}" if best.seeds > 1 else ""
    if len(ranked) == 1:
        return f'<p class="verdict"><strong>{escape(best.label)}</strong> reaches {nats}{seeds}.</p>\n'
    sentence = f"<strong>{escape(best.label)}</strong> has the lowest {_measured(board)}: {nats}{seeds}."
    second = ranked[1]
    lead = second.mean - best.mean
    spreads = [group.deviation for group in (best, second) if group.deviation is not None]
    if len(spreads) < 2:
        chance = "; from single seeds there is no telling how much of that is chance"
    elif lead < max(spreads):
        chance = ", less than one standard deviation over seeds: too close to call"
    else:
        chance = ""
    sentence += f" {escape(second.label)} follows {lead:.4f} behind{chance}."
    return f'<p class="verdict">{sentence}</p>\n'


def _measured(board: Board) -> str:
    return (
        "validation loss" if board.measure == "validation" else "training loss (smoothed; there is no validation text)"
    )


def _leaderboard(board: Board) -> str:
    tested = any(group.split("test") for group in board.groups)
    all_done = all(run.state == "done" for run in board.runs)
    head = ["#", "model", f"{board.measure} nats", "", *["runs"] * (not all_done), "bits", "perplexity"]
    head += [*["test nats"] * tested, "seeds", "parameters", "ms/step", "training"]
    cells = "".join(
        f'<th scope="col"{"" if name in ("model", "", "runs") else " class=number"}>{escape(name)}</th>'
        for name in head
    )
    styles = group_styles(board.groups)
    low, high = _extent(board.groups)
    rows = "".join(
        _leaderboard_row(rank, group, style[0], low, high, tested, all_done)
        for rank, (group, style) in enumerate(zip(board.groups, styles, strict=True), 1)
    )
    note = "± is the sample standard deviation over seeds. " if any(group.seeds > 1 for group in board.groups) else ""
    return f"""<h3>Leaderboard</h3>
<div class="scroll"><table class="leaderboard">
<thead><tr>{cells}</tr></thead>
<tbody>
{rows}</tbody></table></div>
<p class="note">Sorted by {_measured(board)}, lower is better. {note}Only runs that are done count.</p>
"""


def _leaderboard_row(
    rank: int, group: Group, colour: str, low: float, high: float, tested: bool, all_done: bool
) -> str:
    test = group.split("test")
    values = [
        f'<td class="number">{rank if group.seeds else ""}</td>',
        f'<th scope="row">{_swatch(colour)}{escape(group.label)}</th>',
        f'<td class="number score">{text.nats(group.mean, group.deviation)}</td>',
        f"<td>{_error_bar(group, colour, low, high)}</td>",
        "" if all_done else f"<td>{_states(group)}</td>",
        _number(text.number(bits(group.mean), 3)),
        _number(text.number(perplexity(group.mean), 2)),
        _number(text.nats(mean(test), deviation(test))) if tested else "",
        _number(str(group.seeds)),
        _number(f"{group.first.parameters:,}"),
        _number(text.number(group.ms_per_step, 1)),
        _number(text.duration(group.training_seconds)),
    ]
    return f"<tr>{''.join(values)}</tr>\n"


def _number(value: str) -> str:
    return f'<td class="number">{value}</td>'


def _swatch(colour: str) -> str:
    return f'<i class="swatch" style="background:{colour}"></i>'


def _states(group: Group) -> str:
    return " ".join(_state(state, n) for state, n in group.states.items())


def _state(state: str, count: int | None = None) -> str:
    return f'<span class="state {escape(state)}">{"" if count is None else f"{count} "}{escape(state)}</span>'


def _extent(groups: list[Group]) -> tuple[float, float]:
    """The range of means and deviations, for bars that share an axis."""
    ends = [group.mean + side * (group.deviation or 0) for group in groups if group.seeds for side in (-1, 1)]
    return (min(ends), max(ends)) if ends else (0.0, 0.0)


def _error_bar(group: Group, colour: str, low: float, high: float) -> str:
    """A dot for the mean and a line for the deviation, on an axis all rows share."""
    if not group.seeds:
        return ""
    scale = 104 / (high - low) if high > low else 0.0

    def place(value):
        return f"{8 + (value - low) * scale:.1f}"

    spread = group.deviation or 0.0
    return (
        '<svg class="bar" viewBox="0 0 120 16" aria-hidden="true"><path d="M4 8H116" stroke="var(--line)"/>'
        f'<path d="M{place(group.mean - spread)} 8H{place(group.mean + spread)}" stroke="{colour}" stroke-width="4" '
        f'opacity=".45"/><circle cx="{place(group.mean)}" cy="8" r="4" fill="{colour}"/></svg>'
    )


def _figures(figures: dict[str, str]) -> str:
    if not figures:
        return '<p class="note">Nothing has been measured yet, so there is nothing to draw.</p>\n'
    drawn = "".join(
        f'<figure><div class="scroll">{svg}</div><figcaption>{CAPTIONS[name]}</figcaption></figure>\n'
        for name, svg in figures.items()
    )
    return f'<h3>Figures</h3>\n<div class="figures">\n{drawn}</div>\n'


def _samples(board: Board, number: int) -> str:
    """What each model wrote after the same number of steps, side by side; the steps are chosen between with radios."""
    chosen = [
        (group, style[0], run)
        for group, style in zip(board.groups, group_styles(board.groups), strict=True)
        if (run := next((run for run in group.runs if run.samples), None))
    ]
    if not chosen:
        return ""
    steps = few(sorted({step for _, _, run in chosen for step in run.samples}))
    radios = "".join(
        f'<label><input type="radio" name="step{number}" class="pick-{n}"{" checked" if n == len(steps) else ""}>'
        f"<span>{step:,}</span></label>"
        for n, step in enumerate(steps, 1)
    )
    articles = "".join(_sample(run, group.label, colour, steps) for group, colour, run in chosen)
    return f"""<h3>What they write</h3>
<div class="samples">
<fieldset><legend>after so many steps (arrow keys work too)</legend>{radios}</fieldset>
<div class="texts">
{articles}</div></div>
"""


def _sample(run: Run, label: str, colour: str, steps: list[int]) -> str:
    texts = "".join(_sample_at(run, step, n) for n, step in enumerate(steps, 1))
    return f"<article><h4>{_swatch(colour)}{escape(label)} <small>seed {run.seed}</small></h4>{texts}</article>\n"


def _sample_at(run: Run, step: int, n: int) -> str:
    """The text of the last sample up to `step`."""
    written = max((at for at in run.samples if at <= step), default=None)
    if written is None:
        return f'<p class="at at-{n}">nothing written yet</p>'
    sample, loss = run.samples[written], run.validation.get(written)
    said = f"step {written:,}" + (f", {loss:.3f} nats" if loss is not None else "")
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


def _troubles(comparison: Comparison) -> str:
    """Runs that are not done, and directories that could not be used, each with the reason."""
    unfinished = [run for run in comparison.runs if run.state != "done"]
    items = [f"<li>{_state(run.state)} <b>{escape(run.name)}</b> {escape(_reached(run))}</li>\n" for run in unfinished]
    items += [f"<li>{_state('note')} {escape(note)}</li>\n" for note in comparison.notes]
    if not items:
        return ""
    return f'<section><h2>Not in the means</h2>\n<ul class="troubles">\n{"".join(items)}</ul></section>\n'


def _reached(run: Run) -> str:
    loss = [run.validation[max(run.validation)]] if run.validation else []
    so_far = f"{loss[0]:.4f} nats at step {max(run.validation):,}" if loss else ""
    return "; ".join(filter(None, [run.why, f"at step {run.steps:,} of {run.steps_wanted:,}", so_far]))


def _runs(comparison: Comparison) -> str:
    colours = cell_styles([run.cell for run in comparison.runs])
    details = "".join(_run(run, colours[run.cell][0]) for run in comparison.runs)
    return f'<section><h2>Every run and its config</h2>\n<div class="runs">\n{details}</div></section>\n'


def _run(run: Run, colour: str) -> str:
    config = json.dumps(run.config, indent=2, sort_keys=True, ensure_ascii=False)
    score = f"{run.score:.4f} nats" if run.score is not None else ""
    best = f"best at step {run.best_step:,}" if run.score is not None and run.best_step is not None else ""
    return (
        f"<details><summary>{_swatch(colour)}<b>{escape(run.name)}</b> "
        f'{_state(run.state)} <span>{score}</span> <span class="note">{best}</span>'
        f"</summary><pre>\n{escape(config)}</pre></details>\n"
    )
