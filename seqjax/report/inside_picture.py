"""A passage of text in the colours of one unit as an SVG file: a picture for a document, where the page is too much."""

import numpy as np
from jaxtyping import Float

from seqjax.report.inside_data import glyph
from seqjax.report.markup import escape

CELL, LINE, BASELINE = 8, 19, 14  # of a symbol: width, height, and where letters stand; pixels
COLUMNS = 88  # symbols before a line is broken
LINES = 16
MARGIN = 8
HEAD = 44
SHADES = 20
RED, BLUE, WHITE = np.array([245, 106, 96]), np.array([92, 155, 246]), np.array([255, 255, 255])  # as on the page
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, Liberation Mono, DejaVu Sans Mono, monospace"


def picture(title: str, caption: str, shown: list[str], placed: Float[np.ndarray, "time"]) -> str:
    """The passage as an SVG of its own, on white. `shown` are its symbols, a line ends after "\\n"; `placed` is where
    each one's value lies between full blue, -1, and full red, 1.
    """
    colours = np.rint(SHADES * np.clip(placed, -1, 1)).astype(int).tolist()
    rows, body = _rows(shown), []
    for number, row in enumerate(rows):
        top = HEAD + number * LINE
        body += [_rectangle(first, last, top, colours[row[first]]) for first, last in _stretches(row, colours)]
        letters = [(column, glyph(shown[at])) for column, at in enumerate(row) if shown[at] != " "]
        if letters:
            places = " ".join(str(MARGIN + CELL * column) for column, _ in letters)
            line = "".join(letter for _, letter in letters)
            body.append(f'<text x="{places}" y="{top + BASELINE}">{escape(line)}</text>')
    width, height = 2 * MARGIN + CELL * COLUMNS, HEAD + LINE * len(rows) + MARGIN
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">
<rect width="100%" height="100%" fill="#fff"/>
<g font-family="sans-serif" fill="#24292f"><text x="{MARGIN}" y="18" font-size="14" font-weight="bold">{escape(title)}
</text><text x="{MARGIN}" y="35" font-size="12" fill="#59636e">{escape(caption)}</text></g>
<g font-family="{FONT}" font-size="13" fill="#24292f">
{chr(10).join(body)}
</g></svg>
"""


def passage(values: Float[np.ndarray, "time"], shown: list[str]) -> slice:
    """The lines, as many as a picture holds, in which a feature changes the most; the first of several such.

    Where it changes is what a unit that follows it must show. NaN counts as no change.
    """
    starts = np.flatnonzero(np.array([True, *(label == "\n" for label in shown[:-1])]))
    changes = np.abs(np.nan_to_num(np.diff(values, prepend=values[:1])))
    total = np.concatenate([[0.0], np.cumsum(changes)])
    best, most = slice(0, len(shown)), -1.0
    for place, start in enumerate(starts):
        lines, stop = 0, int(start)
        for first, last in zip(starts[place:], [*starts[place + 1 :], len(shown)], strict=False):
            lines += -(-int(last - first) // COLUMNS)
            if lines > LINES:
                break
            stop = int(last)
        if total[stop] - total[start] > most:
            best, most = slice(int(start), stop), total[stop] - total[start]
    return best


def _rows(shown: list[str]) -> list[list[int]]:
    """The places of the symbols in each row."""
    rows = [[]]
    for at, label in enumerate(shown):
        if len(rows[-1]) == COLUMNS:
            rows.append([])
        rows[-1].append(at)
        if label == "\n" and at < len(shown) - 1:
            rows.append([])
    return rows


def _stretches(row: list[int], colours: list[int]):
    """First and last column of each stretch of one colour."""
    first = 0
    for column in range(1, len(row) + 1):
        if column == len(row) or colours[row[column]] != colours[row[first]]:
            yield first, column - 1
            first = column


def _rectangle(first: int, last: int, top: int, shade: int) -> str:
    part = abs(shade) / SHADES
    red, green, blue = np.rint(WHITE + part * ((RED if shade > 0 else BLUE) - WHITE)).astype(int)
    x, width = MARGIN + CELL * first, CELL * (last - first + 1)
    return f'<rect x="{x}" y="{top}" width="{width}" height="{LINE}" fill="#{red:02x}{green:02x}{blue:02x}"/>'
