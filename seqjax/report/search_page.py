"""The page of a search: it opens from a file, without a network and without scripts."""

from seqjax.report import text
from seqjax.report.canvas import Drawing
from seqjax.report.markup import document, escape, figures, head, number, swatch
from seqjax.report.palette import cell_styles
from seqjax.report.search import TRUSTED, Search, ranks
from seqjax.report.search_tables import LEFT, between, columns, differences

FILES = """The same numbers: <code>search.csv</code>, <code>expected_best.csv</code> and, where there are enough
settings, <code>importance.csv</code>, beside this page, with every figure as PNG and SVG."""


def render(
    found: list[Search], drawn: list[list[Drawing]], notes: list[list[str]], troubles: list[str], baseline
) -> str:
    """The page. `drawn` and `notes` are those of each search, `troubles` sentences about runs that cannot be used."""
    several = len(found) > 1
    sections = "".join(
        _section(search, drawings, said, baseline, n)
        for n, (search, drawings, said) in enumerate(zip(found, drawn, notes, strict=True), 1)
    )
    body = f"""<body>
<header>
<p class="brand">seqjax search</p>
<h1>{escape(_title(found))}</h1>
{_contents(found) if several else ""}</header>
<main>
{_ranks(found) if several else ""}{sections}{_troubles(troubles)}</main>
<footer>{FILES}</footer>
</body>"""
    return document(_title(found), ("page.css",), body)


def _title(found: list[Search]) -> str:
    cells = text.counted(len({cell.name for search in found for cell in search.cells}), "cell")
    settings = text.counted(sum(len(cell.settings) for search in found for cell in search.cells), "setting")
    titles = list(dict.fromkeys(search.board.title for search in found))
    return f"{cells}, {settings}: {' and '.join(titles) if len(titles) < 3 else text.counted(len(titles), 'task')}"


def _contents(found: list[Search]) -> str:
    links = (f'<a href="#search{n}">{escape(search.board.title)}</a>' for n, search in enumerate(found, 1))
    return f"<nav>{' '.join(links)}</nav>\n"


def _ranks(found: list[Search]) -> str:
    """The mean rank of the cells that were searched on every task."""
    of_names = ranks(found)
    if not of_names:
        return ""
    places = [{cell.name: n for n, cell in enumerate(search.ended, 1)} for search in found]
    styles = cell_styles(of_names)
    rows = "".join(
        f'<tr><th scope="row">{swatch(styles[name][0])}{escape(name)}</th>{number(f"{rank:.2f}")}'
        f"{''.join(number(str(place[name])) for place in places)}</tr>\n"
        for name, rank in of_names.items()
    )
    heading = ["cell", "mean rank", *(search.board.title for search in found)]
    tasks = text.counted(len(found), "task")
    return f"""<section class="board">
<h2>Rank over tasks</h2>
<div class="scroll"><table class="leaderboard">
{head(heading, LEFT)}
<tbody>
{rows}</tbody></table></div>
<p class="note">Ranks of the score to expect of the best of N settings, among the cells of each task; the mean rank is
over {tasks}, among the cells that all of them have. Few tasks say little: no interval is given.</p>
</section>
"""


def _section(search: Search, drawings: list[Drawing], notes: list[str], baseline: str | None, n: int) -> str:
    said = "".join(f'<p class="note">{escape(note)}</p>\n' for note in [*how_to_read(search, baseline), *notes])
    scores, compared = columns(search), differences(search, baseline)
    beside = f"<h3>Differences</h3>\n{_table({'cell': scores['cell']} | compared)}" if compared else ""
    narrow = " lengths" if len(drawings) == 1 else ""  # else a figure alone would fill the page
    return f"""<section class="board{narrow}" id="search{n}">
<h2>{escape(search.board.title)}</h2>
<p class="verdict">{escape(verdict(search))}</p>
{_table(scores)}{beside}{said}{figures(drawings) if drawings else ""}</section>
"""


def _table(shown: dict[str, list[str]]) -> str:
    styles = cell_styles(shown["cell"])
    rows = "".join(
        f'<tr><th scope="row">{swatch(styles[name][0])}{escape(name)}</th>'
        f"{''.join(number(escape(value)) for value in values)}</tr>\n"
        for name, *values in zip(*shown.values(), strict=True)
    )
    return f"""<div class="scroll"><table class="leaderboard">
{head([*shown], LEFT)}
<tbody>
{rows}</tbody></table></div>
"""


def verdict(search: Search) -> str:
    """Which cell to expect the best score of, no louder than the intervals allow."""
    ended = search.ended
    if not ended:
        return "No run has ended yet, so there is nothing to compare."
    draws, best = search.draws, ended[0]
    among = "a random setting" if draws == 1 else f"the best of {draws} random settings"
    interval = best.interval_at(draws)
    sure = f" (95% interval {between(interval)})" if interval else ""
    reaches = f"a {search.reported} {search.board.measure.noun} of {text.score(best.expected_at(draws))}"
    said = f"With {among}, {best.name} is to be expected to reach {reaches}{sure}"
    if len(ended) == 1:
        return f"{said}."
    second = ended[1]
    said = f"{said}; {second.name} follows with {text.score(second.expected_at(draws))}."
    other = second.interval_at(draws)
    if interval is None or other is None or other[0] <= interval[1]:
        said += " Their intervals overlap, so that more settings may turn the order round."
    return said


def how_to_read(search: Search, baseline: str | None) -> list[str]:
    """What the columns mean and what was counted, in sentences."""
    measure, draws = search.board.measure, search.draws
    if search.trivial is None:
        return []
    answer = f"the trivial answer ({text.score(search.trivial)}: {measure.baseline_is})"
    if measure.baseline is None:
        answer = f"the worst score of all ({text.score(search.trivial)})"
    drawn = "one setting" if draws == 1 else f"the best of {draws} settings"
    notes = [
        f"Settings are chosen by their {search.board.scored_on} score; {search.reported} scores are reported. Lower is "
        "better. A setting is all runs that differ only in the seed, and scores their mean.",
        f"Best of {draws}: what to expect of {drawn} drawn at random from those tried, so that a cell with more "
        "settings does not win by luck. Its interval is bootstrapped over settings; in simulations it held the true "
        f"value 82 times in 100 or more, for one in {TRUSTED} of the settings, and less beyond: there none is given.",
        f"Runs that diverged, failed or did no better than {answer} count as that. Lost: how many of those that ended "
        "diverged or failed.",
    ]
    if unfinished := sum(cell.unfinished for cell in search.cells):
        notes.append(f"Not counted: {text.counted(unfinished, 'run')} not ended yet.")
    seeds = [len(cell.best.runs) for cell in search.ended if len(cell.best.runs) > 1]
    if seeds:
        most = 1 - 2.0 ** (1 - min(seeds))
        notes.append(
            "Over seeds: a bootstrapped 95% interval of the mean, and how many seeds. It cannot leave the range of "
            f"their scores: of {min(seeds)} seeds it holds the true mean at most {most:.0%} of the time."
        )
    if baseline is not None:
        notes.append(
            f"Against {baseline}: the mean difference over settings that both cells tried, with the same seed; below 0 "
            "is better. Settings in which one of the two was lost move the mean most; in the number of those that were "
            "better they count like any other. p: Wilcoxon's signed-rank test."
        )
    sources = dict.fromkeys(cell.published.source for cell in search.cells if cell.published)
    if sources:
        notes.append(
            f"Published: {'; '.join(sources)}. Difference: the {search.reported} score of the best, less that."
        )
    return notes


def _troubles(troubles: list[str]) -> str:
    if not troubles:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>\n" for sentence in troubles)
    return f'<section>\n<h2>Not as it should be</h2>\n<ul class="troubles">\n{items}</ul>\n</section>\n'
