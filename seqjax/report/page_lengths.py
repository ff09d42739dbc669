"""The page's comparison over lengths: one figure and one table for each problem."""

from seqjax.report import text
from seqjax.report.canvas import Drawing
from seqjax.report.lengths import Family, heading, summary
from seqjax.report.markup import escape, figures, head, number, swatch
from seqjax.report.palette import group_styles
from seqjax.report.rows import Group


def lengths(by_length: list[tuple[Family, Drawing]], by: str) -> str:
    """A section for each problem that was learned at several lengths. Rows say the attribute `by` of their runs."""
    return "".join(_section(family, drawing, by) for family, drawing in by_length)


def _section(family: Family, drawing: Drawing, by: str) -> str:
    verdict = f'<p class="verdict">{escape(summary(family))}</p>\n' if summary(family) else ""
    title = f"{heading(family)}: {family.title}"
    return f"""<section class="board lengths">
<h2>{escape(title)}</h2>
{verdict}{_table(family, by)}{figures([drawing])}</section>
"""


def _table(family: Family, by: str) -> str:
    rows = "".join(
        f'<tr data-filter="{escape(getattr(line.first, by))}"><th scope="row">{swatch(colour)}{escape(line.label)}</th>'
        f"{''.join(_cell(line.groups.get(length)) for length in family.lengths)}</tr>\n"
        for line, (colour, _, _) in zip(family.lines, group_styles(family.lines), strict=True)
    )
    said = "Mean ± sample standard deviation over seeds."
    if family.by_success:
        said = "Solved out of all that ended and, below, the median step at which they were solved."
    return f"""<div class="scroll"><table class="leaderboard">
{head(["length", *(f"{length:,}" for length in family.lengths)], ("length",))}
<tbody>
{rows}</tbody></table></div>
<p class="note">{said}</p>
"""


def _cell(group: Group | None) -> str:
    if group is None:
        return number("")
    if group.first.measure.solved_below is None:
        return number(text.score(group.mean, group.deviation), group.mean)
    step = text.step(group.median_step_solved)
    return number(f"<b>{group.solved}/{group.judged}</b><br><small>{step or '&nbsp;'}</small>", group.fraction)
