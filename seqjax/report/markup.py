"""Small pieces of a page, and what every page begins with."""

import base64
import hashlib
import html
import importlib.resources

from seqjax.report import text

# The page asks the browser to hold it to its promise: nothing is loaded from anywhere, and nothing is executed but the
# script that a page may bring, known by its SHA-256.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def escape(value) -> str:
    """Any text as text, never as markup; control characters become visible."""
    return html.escape(text.visible(str(value)))


def number(said: str, value: float | None = None) -> str:
    """A cell of a table; in a page that can sort it, `value` is what it is sorted by."""
    return f'<td class="number"{sort_value(value)}>{said}</td>'


def sort_value(value: float | None) -> str:
    """An attribute of a cell; none where there is no value."""
    return "" if value is None else f' data-value="{value:.12g}"'


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
    return f'<div class="figures">\n{"".join(map(figure, drawings))}</div>\n'


def figure(drawing, attributes: str = "") -> str:
    """A drawing and its caption."""
    return (
        f'<figure{attributes}><div class="scroll">{drawing.svg}</div>'
        f"<figcaption>{escape(drawing.caption)}</figcaption></figure>\n"
    )


def document(title: str, sheets: tuple[str, ...], body: str, script: str = "") -> str:
    """A page that opens from a file, with its style sheets inside; `body` is its whole body element.

    `script` names a file of JavaScript that the page holds and runs as a module, when all of the body is there.
    """
    folder = importlib.resources.files("seqjax.report")
    style = "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in sheets)
    code = folder.joinpath(script).read_text(encoding="utf-8") if script else ""
    policy = f"{POLICY}; script-src 'sha256-{_sha256(code)}'" if script else POLICY
    element = f'<script type="module">{code}</script>\n' if script else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>
{style}</style>
{element}</head>
{body}
</html>
"""


def _sha256(code: str) -> str:
    return base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
