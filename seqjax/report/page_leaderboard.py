"""The page's leaderboard, and what it says in a sentence."""

from seqjax.report import text
from seqjax.report.markup import escape, head, number, state, swatch
from seqjax.report.palette import group_styles
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


def leaderboard(board: Board) -> str:
    """The table, and below it how to read it."""
    styles = group_styles(board.groups)
    low, high = _extent(board.groups)
    columns = {
        "#": [number(str(rank) if group.seeds else "") for rank, group in enumerate(board.groups, 1)],
        "model": [
            f'<th scope="row">{swatch(style[0])}{escape(group.label)}</th>'
            for group, style in zip(board.groups, styles, strict=True)
        ],
        **_success(board),
        f"{board.scored_on} {board.measure.name}": [
            f'<td class="number score">{text.score(group.mean, group.deviation)}</td>' for group in board.groups
        ],
        "": [
            f"<td>{_error_bar(group, style[0], low, high)}</td>"
            for group, style in zip(board.groups, styles, strict=True)
        ],
        **_states(board),
        **_other_metrics(board),
        "seeds": [number(str(group.seeds)) for group in board.groups],
        "parameters": [number(f"{group.first.parameters:,}") for group in board.groups],
        "ms/step": [number(text.number(group.ms_per_step, 1)) for group in board.groups],
        "training": [number(text.duration(group.training_seconds)) for group in board.groups],
    }
    rows = "".join(f"<tr>{''.join(cells)}</tr>\n" for cells in zip(*columns.values(), strict=True))
    return f"""<h3>Leaderboard</h3>
<div class="scroll"><table class="leaderboard">
{head([*columns], LEFT)}
<tbody>
{rows}</tbody></table></div>
{_notes(board)}"""


def _success(board: Board) -> dict[str, list[str]]:
    if board.measure.solved_below is None:
        return {}
    return {
        "solved": [f'<td class="number score">{group.solved}/{group.judged}</td>' for group in board.groups],
        "at step": [number(text.step(group.median_step_solved)) for group in board.groups],
    }


def _states(board: Board) -> dict[str, list[str]]:
    if all(run.state == "done" for run in board.runs):
        return {}
    badges = (" ".join(state(name, n) for name, n in group.states.items()) for group in board.groups)
    return {"runs": [f"<td>{said}</td>" for said in badges]}


def _other_metrics(board: Board) -> dict[str, list[str]]:
    columns = {}
    if board.measure.of_text:
        columns["bits"] = [text.number(bits(group.mean), 3) for group in board.groups]
        columns["perplexity"] = [text.number(perplexity(group.mean), 2) for group in board.groups]
    for name in board.other_metrics:
        columns[name] = [text.score(mean(group.split("validation", name))) for group in board.groups]
    if any(group.split("test") for group in board.groups):
        tests = [group.split("test") for group in board.groups]
        columns[f"test {board.measure.name}"] = [text.score(mean(test), deviation(test)) for test in tests]
    return {name: [number(value) for value in values] for name, values in columns.items()}


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
    notes = [escape(board.measure.yardsticks), escape(f"{order}{spread}{counted}")]
    return "".join(f'<p class="note">{note}</p>\n' for note in notes if note)


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
