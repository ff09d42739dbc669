"""One HTML page that holds the whole report: it opens from a file, without a network.

Without scripts it is tables and pictures; its own script sorts the tables, hides cells and makes curves answer.
"""

from seqjax.report import text
from seqjax.report.canvas import Drawing
from seqjax.report.lengths import Family
from seqjax.report.markup import document, escape
from seqjax.report.page_curves import charts, chooser, data, figures, filter_by
from seqjax.report.page_leaderboard import leaderboard, verdict
from seqjax.report.page_lengths import lengths
from seqjax.report.page_runs import runs, troubles
from seqjax.report.page_samples import samples
from seqjax.report.rows import Board, Comparison
from seqjax.report.runs import SPLITS


def render(comparison: Comparison, drawn: list[list[Drawing]], by_length: list[tuple[Family, Drawing]]) -> str:
    """The page. `drawn` holds the figures of each board, `by_length` the problems learned at several lengths."""
    title, by = _title(comparison), filter_by(comparison)
    several = len(comparison.boards) > 1
    charted = [charts(board) for board in comparison.boards]
    boards = "".join(
        _board(board, figures(drawings, of_board), n, several, by)
        for n, (board, drawings, of_board) in enumerate(zip(comparison.boards, drawn, charted, strict=True), 1)
    )
    body = f"""<body>
<header>
<p class="brand">seqjax report</p>
<h1>{escape(title)}</h1>
{_contents(comparison) if several else ""}</header>
<main>
{chooser(comparison)}{lengths(by_length, by)}{boards}{troubles(comparison)}{runs(comparison, by)}</main>
<footer>The same numbers: <code>leaderboard.csv</code>, <code>runs.csv</code> and both as Parquet, beside this page,
with every figure as PNG and SVG.</footer>
<script type="application/json" id="data">{data(comparison, charted)}</script>
</body>"""
    return document(title, ("page.css",), body, "page.js")


def _title(comparison: Comparison) -> str:
    models = text.counted(len({group.label for board in comparison.boards for group in board.groups}), "model")
    titles = list(dict.fromkeys(board.title for board in comparison.boards))
    of_text = all(board.measure.of_text for board in comparison.boards)
    several = text.counted(len(titles), "text" if of_text else "task")
    return f"{models} on {' and '.join(titles) if len(titles) < 3 else several}"


def _heading(board: Board) -> str:
    return board.title + ("" if board.scored_on == "validation" else f", without validation {board.noun}")


def _contents(comparison: Comparison) -> str:
    links = (f'<a href="#board{n}">{escape(_heading(board))}</a>' for n, board in enumerate(comparison.boards, 1))
    why = "Scores on different data, or on other parts of it, cannot be compared: each has its own table."
    return f"<nav>{' '.join(links)} <span>{why}</span></nav>\n"


def _board(board: Board, drawn: str, number: int, several: bool, by: str) -> str:
    heading = f"<h2>{escape(_heading(board))}</h2>\n" if several else ""
    return f"""<section class="board" id="board{number}" data-board="{number - 1}">
{heading}{_facts(board)}{verdict(board)}{leaderboard(board, by)}{drawn}{samples(board, number, by)}</section>
"""


def _facts(board: Board) -> str:
    counts, vocabulary = board.first.counts, board.first.task.get("vocabulary", {})
    facts = [("trials", f"{len(board.runs):,}"), ("models", f"{len(board.groups):,}")]
    if board.corpus:
        facts.append((board.noun, f"{board.corpus.get('size', 0):,} bytes"))
        facts.append(("SHA-256", str(board.corpus.get("sha256", ""))[:16]))
    counted = "symbols" if board.measure.of_text else "images"
    facts += [(split, f"{counts[split]:,} {counted}") for split in SPLITS if counts.get(split)]
    if vocabulary.get("symbols"):
        facts.append(("vocabulary", f"{len(vocabulary['symbols']):,} {vocabulary.get('kind', 'symbols')}"))
    plain = {name: value for name, value in board.first.task.items() if isinstance(value, (str, int, float))}
    facts += [(name.replace("_", " "), _fact(value)) for name, value in plain.items()]
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{items}</dl>\n'


def _fact(value) -> str:
    return text.one_line(value) if isinstance(value, str) else f"{value:,.6g}"
