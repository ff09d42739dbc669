"""Small pieces of a page, and what every page begins with."""

import html
import importlib.resources

from seqjax.report import text

# The page asks the browser to hold it to its promise: nothing is loaded from anywhere, nothing is executed.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


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


def document(title: str, sheets: tuple[str, ...], body: str) -> str:
    """A page that opens from a file, with its style sheets inside; `body` is its whole body element."""
    folder = importlib.resources.files("seqjax.report")
    style = "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in sheets)
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
{body}
</html>
"""
