"""Small pieces of the page."""

import html

from seqjax.report import text


def escape(value) -> str:
    """Any text as text, never as markup; control characters become visible."""
    return html.escape(text.visible(str(value)))


def number(value: str) -> str:
    """A cell of a table."""
    return f'<td class="number">{value}</td>'


def head(names: list[str], left: tuple[str, ...]) -> str:
    """The head of a table of numbers, but for the columns at the left side."""
    cells = (f'<th scope="col"{"" if name in left else " class=number"}>{escape(name)}</th>' for name in names)
    return f"<thead><tr>{''.join(cells)}</tr></thead>"


def swatch(colour: str) -> str:
    return f'<i class="swatch" style="background:{colour}"></i>'


def state(name: str, count: int | None = None) -> str:
    """A badge, `3 done` or `done`."""
    return f'<span class="state {escape(name)}">{"" if count is None else f"{count} "}{escape(name)}</span>'


def figures(drawings) -> str:
    """Drawings side by side, each with its caption."""
    drawn = "".join(
        f'<figure><div class="scroll">{drawing.svg}</div><figcaption>{escape(drawing.caption)}</figcaption></figure>\n'
        for drawing in drawings
    )
    return f'<div class="figures">\n{drawn}</div>\n'
