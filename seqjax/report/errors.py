"""Errors by kind: figures, tables and one page, in one directory."""

import pathlib

from seqjax.interpret.breakdown import Breakdown
from seqjax.report import errors_captions, errors_figures, errors_tables
from seqjax.report.canvas import Drawing, save, style
from seqjax.report.gradients_tables import write as write_csv
from seqjax.report.markup import document, escape, head, number
from seqjax.results import write_atomically

TITLE = "Errors by kind"

# Heading, text, figures and the table of every part.
PARTS = (
    (
        "Which symbols cost most",
        """The loss of a language model is a mean over very different symbols. The end of a word can often be told from
its beginning; the beginning of the next one hardly ever.""",
        ("loss_by_class", "loss_by_place"),
        None,
    ),
    (
        "How far memory reaches",
        """A bracket or quotation mark that closes is a promise kept: something was opened, and only who remembers that
knows what must come. An n-gram model sees n - 1 symbols; beyond that it can only guess. A network whose loss stays low
at distances beyond the reach of the n-gram models remembers.""",
        ("loss_on_closing",),
        None,
    ),
    (
        "What the network knows beyond n-grams",
        """N-gram models count what followed the same few symbols in the training text (interpolated Kneser-Ney with
modified discounts). They are strong where texts repeat themselves word for word, and know nothing else.""",
        ("beside_ngrams", "beyond_ngrams"),
        "beside_ngrams",
    ),
    (
        "What could have helped",
        """An error is a symbol to which the network gave a probability under 1/2. Oracles are asked one after the
other, from top to bottom, and each takes away the errors that it could explain; the next ones see what is left, so that
the shares depend on the order. "n-gram": a model of some order up to 9 gives the symbol more than 1/2. "memory":
inside a word that stood in so many symbols before it. "rare word": in a word that the training text holds at most so
often. "after": the beginning of something new. "punctuation": brackets and quotes too. "given": none of these, and
the network gave the symbol so much.""",
        ("error_categories", "errors_between"),
        "error_categories",
    ),
)

REFERENCES = (
    ("Karpathy, Johnson & Fei-Fei (2016). Visualizing and understanding recurrent networks.", "1506.02078"),
    (
        "Chen & Goodman (1999). An empirical study of smoothing techniques for language modeling. Computer Speech & "
        "Language 13(4).",
        "",
    ),
)

TABLES = {"beside_ngrams": errors_tables.shown_beside, "error_categories": errors_tables.shown_categories}


def write(breakdown: Breakdown, facts: dict[str, str], out: pathlib.Path) -> pathlib.Path:
    """Every figure as PNG, SVG and CSV, and `index.html`, whose path is returned. `out` exists."""
    drawn = {}
    for _, _, names, _ in PARTS:
        for name in names:
            if name == "errors_between" and breakdown.change is None:
                continue
            with style():
                svg = save(getattr(errors_figures, name)(breakdown), out, name)
            drawn[name] = Drawing(svg, getattr(errors_captions, name)(breakdown))
            write_csv(out / f"{name}.csv", *getattr(errors_tables, name)(breakdown))
    page = out / "index.html"
    write_atomically(page, render(breakdown, facts, drawn))
    return page


def render(breakdown: Breakdown, facts: dict[str, str], drawn: dict[str, Drawing]) -> str:
    """The page: it opens from a file, without a network and without scripts."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    title = f"{TITLE}: {' and '.join(breakdown.names)}"
    sections = "".join(_part(*part, breakdown, drawn) for part in PARTS)
    body = f"""<body class="lecture">
<header>
<p class="brand">seqjax</p>
<h1>{escape(title)}</h1>
<dl class="facts">{items}</dl>
</header>
<main>
{sections}{_references()}</main>
<footer>Every figure lies beside this page as PNG and SVG, and its numbers as CSV.</footer>
</body>"""
    return document(title, ("page.css", "gradients.css"), body)


def _part(heading: str, text: str, names: tuple[str, ...], table: str | None, breakdown, drawn) -> str:
    figures = "".join(
        f'<figure id="{name}"><div class="scroll">{drawn[name].svg}</div>'
        f'<figcaption>{escape(drawn[name].caption)} <span class="files">{name}: .png, .svg, .csv</span></figcaption>'
        "</figure>\n"
        for name in names
        if name in drawn
    )
    tables = "".join(map(_table, TABLES[table](breakdown))) if table else ""
    return f"<section>\n<h2>{escape(heading)}</h2>\n<p>{escape(text)}</p>\n{figures}{tables}</section>\n"


def _table(shown: errors_tables.Shown) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(number(escape(value)) for value in values)}</tr>\n'
        for name, *values in shown.rows
    )
    return (
        f"<h3>{escape(shown.title)}</h3>\n"
        f'<div class="scroll"><table class="leaderboard">\n{head(shown.head, shown.head[:1])}\n'
        f"<tbody>\n{rows}</tbody></table></div>\n"
    )


def _references() -> str:
    items = "".join(
        f"<li>{escape(text)}"
        + (f' <a href="https://arxiv.org/abs/{paper}">arXiv:{paper}</a>' if paper else "")
        + "</li>\n"
        for text, paper in REFERENCES
    )
    return f"<section>\n<h2>References</h2>\n<ul>\n{items}</ul>\n</section>\n"
