"""The page's leaderboard, and what it says in a sentence."""

from seqjax.report import text
from seqjax.report.markup import escape, head, number, sort_value, state, swatch
from seqjax.report.palette import group_styles
from seqjax.report.published import published
from seqjax.report.rows import Board, Group, bits, deviation, mean, perplexity, wilson

LEFT = ("model", "", "runs")  # columns that are not numbers


def verdict(board: Board) -> str:
    """What the leaderboard says, no louder than the spread over seeds allows."""
    ranked = [group for group in board.groups if group.seeds or group.judged]
    if not ranked:
        said = "No trial is done yet, so there is nothing to rank."
    elif ranked[0].solved:
        said = _who_solves(board, ranked)
    elif board.measure.solved_below is not None:
        ended = sum(group.judged for group in ranked)
        said = f"None of {text.counted(ended, 'trial')} that ended solved the task. {_who_scores(board, ranked)}"
    else:
        said = _who_scores(board, ranked)
    return f'<p class="verdict">{said.strip()}</p>\n'


def _who_solves(board: Board, ranked: list[Group]) -> str:
    best = ranked[0]

    def times(group: Group) -> str:
        return f"{group.solved} of {text.counted(group.judged, 'trial')}"

    sentence = f"<strong>{escape(best.label)}</strong> solves the task in <strong>{times(best)}</strong>"
    median = " in the median" if best.solved > 1 else ""
    sentence += f", at step {text.step(best.median_step_solved)}{median}."
    if len(ranked) == 1:
        return sentence
    second = ranked[1]
    if second.fraction == best.fraction:
        alike = [group for group in ranked if group.fraction == best.fraction]
        others = f"does {escape(second.label)}" if len(alike) == 2 else f"do {len(alike) - 1} other models"
        return f"{sentence} So {others}: the order among them is that of the {measured(board)}."
    sentence += f" {escape(second.label)} follows with {times(second)}"
    if wilson(second.solved, second.judged)[1] > wilson(best.solved, best.judged)[0]:
        sentence += "; their 95% intervals overlap, so more seeds may turn the order round"
    return sentence + "."


def _who_scores(board: Board, ranked: list[Group]) -> str:
    ranked = [group for group in ranked if group.seeds]
    if not ranked:
        return ""
    best = ranked[0]
    score = f"<strong>{text.score(best.mean, best.deviation)}</strong> {escape(board.measure.unit)}"
    seeds = f" over {text.counted(best.seeds, 'seed')}" if best.seeds > 1 else ""
    if len(ranked) == 1:
        return f"<strong>{escape(best.label)}</strong> reaches {score}{seeds}."
    sentence = f"<strong>{escape(best.label)}</strong> has the lowest {measured(board)}: {score}{seeds}."
    second = ranked[1]
    lead = second.mean - best.mean
    spreads = [group.deviation for group in (best, second) if group.deviation is not None]
    if len(spreads) < 2:
        chance = "; from single seeds there is no telling how much of that is chance"
    elif lead < max(spreads):
        chance = ", less than one standard deviation over seeds: too close to call"
    else:
        chance = ""
    return f"{sentence} {escape(second.label)} follows {text.score(lead)} behind{chance}."


def measured(board: Board) -> str:
    """`validation loss`, `validation error`, ..."""
    if board.scored_on == "validation":
        return f"validation {board.measure.noun}"
    return f"training {board.measure.noun} (smoothed; there is no validation {board.noun})"


def leaderboard(board: Board, by: str) -> str:
    """The table, and below it how to read it. Rows say the attribute `by` of their runs, to be shown or hidden by."""
    styles = group_styles(board.groups)
    low, high = _extent(board.groups)
    columns = {
        "#": [_number(rank, str) if group.seeds else number("") for rank, group in enumerate(board.groups, 1)],
        "model": [
            f'<th scope="row">{swatch(style[0])}{escape(group.label)}</th>'
            for group, style in zip(board.groups, styles, strict=True)
        ],
        **_success(board),
        f"{board.scored_on} {board.measure.name}": [
            _bold(text.score(group.mean, group.deviation), group.mean) for group in board.groups
        ],
        "": [
            f"<td>{_error_bar(group, style[0], low, high)}</td>"
            for group, style in zip(board.groups, styles, strict=True)
        ],
        **_states(board),
        **_other_metrics(board),
        **_published(board),
        "seeds": [_number(group.seeds, str) for group in board.groups],
        "parameters": [_number(group.first.parameters, lambda count: f"{count:,}") for group in board.groups],
        "ms/step": [_number(group.ms_per_step, lambda value: text.number(value, 1)) for group in board.groups],
        "training": [_number(group.training_seconds, text.duration) for group in board.groups],
    }
    rows = "".join(
        f'<tr data-model="{n}" data-filter="{escape(getattr(group.first, by))}">{"".join(cells)}</tr>\n'
        for n, (group, *cells) in enumerate(zip(board.groups, *columns.values(), strict=True))
    )
    return f"""<h3>Leaderboard</h3>
<div class="scroll"><table class="leaderboard">
{head([*columns], LEFT)}
<tbody>
{rows}</tbody></table></div>
{_notes(board)}"""


def _number(value: float | None, say) -> str:
    return number(say(value), value)


def _bold(said: str, value: float | None) -> str:
    return f'<td class="number score"{sort_value(value)}>{said}</td>'


def _success(board: Board) -> dict[str, list[str]]:
    if board.measure.solved_below is None:
        return {}
    return {
        "solved": [_bold(f"{group.solved}/{group.judged}", group.fraction) for group in board.groups],
        "at step": [_number(group.median_step_solved, text.step) for group in board.groups],
    }


def _states(board: Board) -> dict[str, list[str]]:
    if all(run.state == "done" for run in board.runs):
        return {}
    badges = (" ".join(state(name, n) for name, n in group.states.items()) for group in board.groups)
    return {"runs": [f"<td>{said}</td>" for said in badges]}


def _other_metrics(board: Board) -> dict[str, list[str]]:
    columns = {}
    if board.measure.of_text:
        means = [group.mean for group in board.groups]
        columns["bits"] = [_number(bits(nats), lambda value: text.number(value, 3)) for nats in means]
        columns["perplexity"] = [_number(perplexity(nats), lambda value: text.number(value, 2)) for nats in means]
    for name in board.other_metrics:
        columns[name] = [_number(mean(group.split("validation", name)), text.score) for group in board.groups]
    if any(group.split("test") for group in board.groups):
        tests = [group.split("test") for group in board.groups]
        columns[f"test {board.measure.name}"] = [
            number(text.score(mean(test), deviation(test)), mean(test)) for test in tests
        ]
    return columns


def _published(board: Board) -> dict[str, list[str]]:
    """What was printed, and our score less that; nothing where no number is known."""
    known = [published(group.first) for group in board.groups]
    if not any(known):
        return {}
    differences = [
        None if printed is None or score is None else score - printed.score
        for printed, score in zip(known, _reported(board)[1], strict=True)
    ]
    return {
        "published": [_number(printed.score, text.score) if printed else number("") for printed in known],
        "difference": [_number(difference, text.signed) for difference in differences],
    }


def _reported(board: Board) -> tuple[str, list[float | None]]:
    """On which data the scores are that stand beside published ones, and those scores: test where all have it."""
    tests = [mean(group.split("test")) for group in board.groups]
    if all(test is not None for group, test in zip(board.groups, tests, strict=True) if group.seeds):
        return "test", tests
    return board.scored_on, [group.mean for group in board.groups]


def _notes(board: Board) -> str:
    order = f"Sorted by {measured(board)}, lower is better."
    if board.measure.solved_below is not None:
        order = f"Sorted by the fraction solved, then by {measured(board)}, lower is better."
    spread = " ± is the sample standard deviation over seeds." if any(group.seeds > 1 for group in board.groups) else ""
    counted = " Only runs that are done count in means."
    if board.measure.solved_below is not None:
        counted += (
            " Solved are counted among all runs that ended: one that diverged has not solved the task. The step is"
        )
        counted += " the median over those that did, when the validation score first met the criterion."
    notes = [escape(board.measure.yardsticks), escape(f"{order}{spread}{counted}"), escape(_sources(board))]
    return "".join(f'<p class="note">{note}</p>\n' for note in notes if note)


def _sources(board: Board) -> str:
    """Where the published numbers are from; empty where there is none."""
    sources = dict.fromkeys(known.source for group in board.groups if (known := published(group.first)))
    if not sources:
        return ""
    return f"Published: {'; '.join(sources)}. Difference: the {_reported(board)[0]} score less that; below 0 is better."


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
