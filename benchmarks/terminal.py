"""The tables and sentences on the terminal."""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from benchmarks import page, summary, tables


def show(results: dict) -> None:
    """Everything the page says of the numbers."""
    console = Console()
    if not console.is_terminal:  # into a file: as wide as the tables are
        console = Console(width=160)
    for table in tables.build(results):
        _print(console, table)
    for sentence in page.sentences(results):
        console.print(escape(sentence), highlight=False)
    for sentence in summary.complaints(results):
        console.print(escape(sentence), style="bold red", highlight=False)


def _print(console: Console, table: tables.Table) -> None:
    shown = RichTable(title=table.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for number, name in enumerate(table.header):
        shown.add_column(name, justify="left" if number < table.labels else "right")
    for cells in table.rows:
        styles = ["bold red" if cell == "DISAGREES" else "" for cell in cells]
        shown.add_row(*(f"[{s}]{escape(c)}[/]" if s else escape(c) for c, s in zip(cells, styles, strict=True)))
    console.print(shown)
    console.print()
