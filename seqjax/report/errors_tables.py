"""The tables of errors by kind: as CSV files, on the page and on the terminal."""

import dataclasses

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from seqjax.interpret.breakdown import Breakdown, beside
from seqjax.interpret.kinds import CLASSES, DOUBLING_NAMES
from seqjax.interpret.oracles import CATEGORIES
from seqjax.report import text
from seqjax.report.terminal import WIDTH_ELSEWHERE

OF_MEANS = ("model", "symbols", "nats", "standard_error", "share_of_loss")


@dataclasses.dataclass(frozen=True)
class Shown:
    """A table for people; its first column names the rows."""

    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]


def models(breakdown: Breakdown) -> tuple[str, ...]:
    """The networks, then the n-gram model with the least loss."""
    return (*breakdown.names, breakdown.best_name)


def reaching(breakdown: Breakdown) -> tuple[str, ...]:
    """The networks, then the n-gram models whose reach is shown."""
    return (*breakdown.names, *(f"{order}-gram" for order in breakdown.reach))


def loss_by_class(breakdown: Breakdown):
    """Names and rows."""
    return ("class", *OF_MEANS), _means(models(breakdown), CLASSES, breakdown.by_class)


def loss_by_place(breakdown: Breakdown):
    """Names and rows: the place after each structural character, 0 for the symbol right after it."""
    rows = [
        (mark, *row)
        for mark, means in breakdown.by_place.items()
        for row in _means(models(breakdown), range(len(means.count)), means)
    ]
    return ("after", "place", *OF_MEANS), rows


def loss_on_closing(breakdown: Breakdown):
    """Names and rows: what closes, and how many symbols before it that was opened."""
    rows = [
        (mark, *row)
        for mark, means in breakdown.closing.items()
        for row in _means(reaching(breakdown), DOUBLING_NAMES, means)
    ]
    return ("closing", "distance", *OF_MEANS), rows


def _means(names, labels, means):
    return [
        (label, name, means.count[place], means.mean[row, place], means.error[row, place], means.share[row, place])
        for place, label in enumerate(labels)
        for row, name in enumerate(names)
        if means.count[place]
    ]


def beside_ngrams(breakdown: Breakdown):
    """Names and rows; the network itself has a row without comparison."""
    names = ("network", "model", "nats", "errors", "network_gives_more", "correlation", "only_network", "only_ngram")
    rows = []
    for number, network in enumerate(breakdown.names):
        nats = breakdown.nats[number]
        wrong = float((nats > np.log(2)).mean())
        rows.append((network, "network", float(nats.mean()), wrong, *[float("nan")] * 4))
        rows += [
            (network, row.name, row.nats, row.errors, row.better, row.correlation, row.only_network, row.only_ngram)
            for row in beside(breakdown, number)
        ]
    return names, rows


def beyond_ngrams(breakdown: Breakdown):
    """Names and rows: by class, what each network gains on the best n-gram model, in nats per symbol of the text."""
    rows = [
        (label, name, breakdown.by_class.count[place], breakdown.beyond(number)[place])
        for place, label in enumerate(CLASSES)
        for number, name in enumerate(breakdown.names)
        if breakdown.by_class.count[place]
    ]
    return ("class", "network", "symbols", "nats_gained"), rows


def error_categories(breakdown: Breakdown):
    """Names and rows."""
    rows = []
    for number, network in enumerate(breakdown.names):
        errors, of, nats = breakdown.errors(number), breakdown.categories[number], breakdown.nats[number]
        rows += [
            (name, network, errors[place], errors[place] / max(1, errors.sum()), nats[of == place].sum() / nats.sum())
            for place, name in enumerate(CATEGORIES)
        ]
    return ("category", "network", "errors", "share_of_errors", "share_of_loss"), rows


def errors_between(breakdown: Breakdown):
    """Names and rows, of two networks: what became of the first's errors."""
    change = breakdown.change
    names = ("category", "kept", "removed", "added", "net_removed", "net_low", "net_high")
    columns = (change.kept, change.removed, change.added, change.removed - change.added, *change.interval)
    return names, list(zip(CATEGORIES, *columns, strict=True))


def shown_orders(breakdown: Breakdown) -> list[str]:
    """The models that fit into a table: the network, some orders, the best of all."""
    wanted = {1, 2, 3, 5, 7, 10, 15, breakdown.orders[-1], breakdown.orders[breakdown.best]}
    chosen = [f"{order}-gram" for order in breakdown.orders if order in wanted]
    return ["network", *chosen, "best of all for each symbol"]


def percent(value: float) -> str:
    return "" if np.isnan(value) else f"{100 * value:.1f}%"


def shown_beside(breakdown: Breakdown) -> list[Shown]:
    """The comparison with n-gram models, one table a network."""
    head = (
        "model",
        "nats",
        "errors",
        "network gives more",
        "correlation",
        "only network right",
        "only n-gram right",
    )
    rows = {network: [] for network in breakdown.names}
    for network, name, nats, wrong, more, correlation, *alone in beside_ngrams(breakdown)[1]:
        if name in shown_orders(breakdown):
            shown = "" if np.isnan(correlation) else f"{correlation:.2f}"
            rows[network].append((name, f"{nats:.4f}", percent(wrong), percent(more), shown, *map(percent, alone)))
    return [Shown(f"{network} beside n-gram models", head, of) for network, of in rows.items()]


def shown_categories(breakdown: Breakdown) -> list[Shown]:
    """How many errors and what share of them falls to each oracle, and what changed between two networks."""
    counts = [breakdown.errors(number) for number in range(len(breakdown.names))]
    rows = [
        (name, *(f"{of[place]:,}  {percent(of[place] / max(1, of.sum()))}" for of in counts))
        for place, name in enumerate(CATEGORIES)
    ]
    rows.append(("all errors", *(f"{of.sum():,}  100.0%" for of in counts)))
    tables = [Shown("Errors by oracle", ("oracle", *breakdown.names), rows)]
    if breakdown.change is not None:
        first, second = breakdown.names
        changed = [
            (name, f"{removed:,}", f"{added:,}", f"{net:,}", f"{low:,.0f} to {high:,.0f}")
            for name, _, removed, added, net, low, high in errors_between(breakdown)[1]
        ]
        head = ("oracle", "removed", "added", "removed less added", "95% interval")
        tables.append(Shown(f"Errors of {first} that {second} removed, and those it added", head, changed))
    return tables


def print_all(breakdown: Breakdown, console: Console) -> None:
    """The comparison with n-gram models and the categories of errors."""
    if not console.is_terminal:
        console = Console(file=console.file, width=WIDTH_ELSEWHERE)
    for shown in shown_beside(breakdown) + shown_categories(breakdown):
        console.print("\n" + text.one_line(shown.title), highlight=False, markup=False, soft_wrap=True)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, name in enumerate(shown.head):
            heading = Text(text.one_line(name))
            table.add_column(heading, justify="left" if number == 0 else "right", overflow="fold")
        for row in shown.rows:
            table.add_row(*map(Text, row))
        console.print(table)
