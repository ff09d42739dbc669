"""The page of a search: it opens from a file, without a network and without scripts."""

from seqjax.report import text
from seqjax.report.canvas import Drawing
from seqjax.report.markup import document, escape, figures, head, number, swatch
from seqjax.report.rows import mean
from seqjax.report.search import Search, ranking
from seqjax.report.search_tables import LEFT, columns, differences
from seqjax.report.search_words import cautions, how_to_read, how_to_read_ranks, verdict

FILES = """The same numbers: <code>search.csv</code>, <code>expected_best.csv</code> and, where there are enough
settings, <code>importance.csv</code>, beside this page, with every figure as PNG and SVG."""


def render(
    found: list[Search], drawn: list[list[Drawing]], notes: list[list[str]], troubles: list[str], baseline, styles
) -> str:
    """The page. `drawn` and `notes` are those of each search, `troubles` sentences about runs that cannot be used,
    `styles` the colour and marker of every cell.
    """
    several = len(found) > 1
    sections = "".join(
        _section(search, drawings, said, baseline, styles, n)
        for n, (search, drawings, said) in enumerate(zip(found, drawn, notes, strict=True), 1)
    )
    body = f"""<body>
<header>
<p class="brand">seqjax search</p>
<h1>{escape(_title(found))}</h1>
{_contents(found) if several else ""}</header>
<main>
{_ranks(found, styles) if several else ""}{sections}{_troubles(troubles)}</main>
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


def _ranks(found: list[Search], styles) -> str:
    """The ranks of the cells that were searched on every task."""
    ranked = ranking(found)
    if ranked is None:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{swatch(styles[name][0])}{escape(name)}</th>{number(f"{mean(ranks):.2f}")}'
        f"{''.join(number(f'{rank:g}') for rank in ranks)}</tr>\n"
        for name, ranks in ranked.ranks.items()
    )
    heading = ["cell", "mean rank", *(search.board.title for search in ranked.tasks)]
    table = f"""<div class="scroll"><table class="leaderboard">
{head(heading, LEFT)}
<tbody>
{rows}</tbody></table></div>
"""
    return f"""<section class="board">
<h2>Rank over tasks</h2>
{table if rows else ""}{_notes(how_to_read_ranks(ranked))}</section>
"""


def _notes(sentences: list[str]) -> str:
    return "".join(f'<p class="note">{escape(sentence)}</p>\n' for sentence in sentences)


def _section(search: Search, drawings: list[Drawing], notes: list[str], baseline: str | None, styles, n: int) -> str:
    said = _notes([*cautions(search), *how_to_read(search, baseline), *notes])
    scores, compared = columns(search), differences(search, baseline)
    beside = f"<h3>Differences</h3>\n{_table({'cell': scores['cell']} | compared, styles)}" if compared else ""
    narrow = " lengths" if len(drawings) == 1 else ""  # else a figure alone would fill the page
    return f"""<section class="board{narrow}" id="search{n}">
<h2>{escape(search.board.title)}</h2>
<p class="verdict">{escape(verdict(search))}</p>
{_table(scores, styles)}{beside}{said}{figures(drawings) if drawings else ""}</section>
"""


def _table(shown: dict[str, list[str]], styles) -> str:
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


def _troubles(troubles: list[str]) -> str:
    if not troubles:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>\n" for sentence in troubles)
    return f'<section>\n<h2>Not as it should be</h2>\n<ul class="troubles">\n{items}</ul>\n</section>\n'
