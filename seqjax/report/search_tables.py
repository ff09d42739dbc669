"""The tables of a search: for people, on the page and on the terminal, and as CSV files."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from seqjax.report import text
from seqjax.report.search import Cell, Search, Setting
from seqjax.report.terminal import WIDTH_ELSEWHERE

DROPPED_FIRST = ("ms/step", "over seeds", "parameters", "lost", "stopped")  # where the terminal is narrow
LEFT = ("cell",)


def columns(search: Search) -> dict[str, list[str]]:
    """The scores of each cell: the cells of each column, by its name. A column without content is left out."""
    found = {"cell": [cell.name for cell in search.cells]}
    found |= {"settings": [str(len(cell.settings)) for cell in search.cells]}
    chosen_by = search.board.scored_on
    found |= {f"best {chosen_by}": _of_best(search, lambda best: text.score(best.score))}
    if search.reported != chosen_by:
        found |= {f"its {search.reported}": _of_best(search, lambda best: text.score(best.reported))}
    found |= {"over seeds": _of_best(search, _over_seeds)}
    found |= _expected(search)
    found |= {"stopped": [str(_stopped(cell) or "") for cell in search.cells]}
    found |= {"lost": [f"{cell.lost:.0%}" if cell.settings and cell.lost else "" for cell in search.cells]}
    found |= {"parameters": _of_best(search, lambda best: f"{best.first.parameters:,}")}
    found |= {"ms/step": _of_best(search, lambda best: text.number(best.ms_per_step, 1))}
    return {name: cells for name, cells in found.items() if any(cells)}


def differences(search: Search, baseline: str | None) -> dict[str, list[str]]:
    """Likewise: from the baseline and from what was published. Empty where there is neither."""
    found = _paired(search, baseline) if baseline is not None else {}
    found |= {
        "published": [text.score(cell.published.score) if cell.published else "" for cell in search.cells],
        "difference": [text.signed(_difference(cell)) for cell in search.cells],
    }
    return {name: cells for name, cells in found.items() if any(cells)}


def between(interval: tuple[float, float] | None) -> str:
    """`0.12 to 0.34`, or nothing for None."""
    return "" if interval is None else f"{text.score(interval[0])} to {text.score(interval[1])}"


def _of_best(search: Search, say) -> list[str]:
    return [say(cell.best) if cell.best else "" for cell in search.cells]


def _over_seeds(best: Setting) -> str:
    return "" if best.interval is None else f"{between(best.interval)} ({len(best.runs)})"


def _stopped(cell: Cell) -> int:
    return sum(setting.stopped for setting in cell.settings)


def _expected(search: Search) -> dict[str, list[str]]:
    draws, most = search.draws, search.all_draws

    def at(size: int) -> list[str]:
        scores = [cell.expected_at(size) if cell.settings else None for cell in search.cells]
        return ["" if score is None else text.score(score) for score in scores]

    found = {f"best of {draws}": at(draws)}
    found |= {"95% interval": [between(cell.interval_at(draws)) if cell.settings else "" for cell in search.cells]}
    uneven = any(len(cell.settings) > most for cell in search.ended)  # else the best of them all says as much
    return found | ({f"best of {most}": at(most)} if uneven and most > draws else {})


def _paired(search: Search, baseline: str) -> dict[str, list[str]]:
    pairs = [search.paired(cell, baseline) for cell in search.cells]
    return {
        f"against {baseline}": [text.signed(pair and pair.mean) for pair in pairs],
        "95% interval of it": [" to ".join(map(text.signed, (pair and pair.interval) or ())) for pair in pairs],
        "better in": [f"{pair.better} of {pair.pairs}" if pair else "" for pair in pairs],
        "p": [f"{pair.p:.2g}" if pair and pair.p is not None else "" for pair in pairs],
    }


def _difference(cell: Cell) -> float | None:
    return cell.best.reported - cell.published.score if cell.published else None


def rows(found: list[Search], baseline: str | None) -> list[dict]:
    """One row for each task and cell; differences are the cell's score less the other."""
    return [
        {"task": search.board.title, "data": search.board.corpus.get("source"), **_row(search, cell, baseline)}
        for search in found
        for cell in search.cells
    ]


def _row(search: Search, cell: Cell, baseline: str | None) -> dict:
    best, pair = cell.best, search.paired(cell, baseline) if baseline else None
    row = {
        "metric": search.board.measure.name,
        "chosen_on": search.board.scored_on,
        "reported_on": search.reported,
        "cell": cell.name,
        "settings": len(cell.settings),
        "unfinished_runs": cell.unfinished,
    }
    row |= {"stopped_settings": _stopped(cell), "diverged": cell.lost if best else None}
    row |= {"best_chosen": best and best.score, "best_reported": best and best.reported}
    row |= {"best_run": best and best.first.name, "best_seeds": best and len(best.runs)}
    row |= _ends("best_reported", best and best.interval)
    for name, draws in (("trusted", search.draws), ("all", search.all_draws)):
        row |= {f"draws_{name}": draws, f"expected_{name}": cell.expected_at(draws) if best else None}
    row |= _ends("expected_trusted", best and cell.interval_at(search.draws))
    row |= {"parameters": best and best.first.parameters, "ms_per_step": best and best.ms_per_step}
    row |= {"baseline": baseline, "pairs": pair and pair.pairs, "mean_difference": pair and pair.mean}
    row |= _ends("mean_difference", pair and pair.interval)
    row |= {"pairs_better": pair and pair.better, "pairs_worse": pair and pair.worse, "wilcoxon_p": pair and pair.p}
    known = cell.published
    return row | {
        "published": known and known.score,
        "difference_to_published": _difference(cell),
        "published_in": known and known.source,
    }


def _ends(name: str, interval: tuple[float, float] | None) -> dict:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def curve_rows(found: list[Search]) -> list[dict]:
    """The score to expect of the best of N, with its interval, for each task, cell and N for which it is known."""
    made = []
    for search in found:
        for cell in search.ended:
            draws = cell.sizes(search.draws, search.all_draws)
            low, high = cell.interval(draws)
            of_curve = zip(draws.tolist(), *(a.tolist() for a in (cell.expected(draws), low, high)), strict=True)
            made += [
                {"task": search.board.title, "cell": cell.name, "draws": n, "expected": score, "low": a, "high": b}
                for n, score, a, b in of_curve
            ]
    return made


def print_search(search: Search, baseline: str | None, console: Console) -> None:
    """A table of scores and, where there is something to compare with, one of differences."""
    if not console.is_terminal:
        console = Console(file=console.file, width=WIDTH_ELSEWHERE)
    title = f"\n{search.board.title}: {search.board.measure.axis} on the {search.reported} {search.board.noun}"
    console.print(title, highlight=False, markup=False, soft_wrap=True)
    scores = columns(search)
    for name in DROPPED_FIRST:
        if sum(max(map(len, [heading, *cells])) + 3 for heading, cells in scores.items()) > console.width:
            scores.pop(name, None)
    _print(scores, console)
    if compared := differences(search, baseline):
        _print({"cell": scores["cell"]} | compared, console)


def _print(shown: dict[str, list[str]], console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in shown:
        left = name in LEFT
        table.add_column(Text(name), justify="left" if left else "right", no_wrap=not left, overflow="fold")
    for n, cells in enumerate(zip(*shown.values(), strict=True)):
        table.add_row(*map(Text, cells), style="" if n else "bold")
    console.print(table)
