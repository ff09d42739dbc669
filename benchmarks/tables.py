"""What was measured as tables of text, for the terminal and the page."""

from typing import NamedTuple

from benchmarks import summary
from benchmarks.summary import OURS, PEERS, PLAIN, PRODUCTS

SIZES = "batch, time, inputs, hidden"


class Table(NamedTuple):
    """Cells of text; the first `labels` columns are words, the others numbers."""

    title: str
    note: str
    header: list[str]
    rows: list[list[str]]
    labels: int = 2


def build(results: dict) -> list[Table]:
    """Every table that has rows."""
    tables = [_peers(results), _keras_gru(results), _plain(results), _products(results), _training(results)]
    tables.append(_settings(results))
    return [table for table in tables if table.rows]


def _peers(results: dict) -> Table:
    rows = []
    for row in summary.compared(results):
        best = summary.best_peer(row)
        last = ["", ""] if best is None else [best, f"{summary.ratio(row, best):.2f}"]
        best = summary.best_peer(row, by_hand=False)
        last.append("" if best is None else f"{summary.ratio(row, best, by_hand=False):.2f}")
        rows.append([*_labels(row), _ours(row), *(_against(results, row, peer) for peer in PEERS), *last])
    return Table(
        "Against other libraries",
        "Milliseconds of one forward and backward pass; in brackets the peer's time over ours. Each peer with the "
        "fastest of its settings. The last column is the best peer's time over ours without `jax.shard_map`.",
        ["cell", SIZES, "seqjax", *PEERS, "best peer", "its time / ours", "by jit alone"],
        rows,
    )


def _keras_gru(results: dict) -> Table:
    rows = [row for row in results["rows"] if row["cell"] == "gru"]
    return Table(
        "The GRU that resets before the product",
        "Of these libraries only Keras has it (`reset_after=False`). Milliseconds; in brackets Keras's time over ours.",
        ["cell", SIZES, "seqjax", "Keras"],
        [[*_labels(row), _ours(row), _against(results, row, "Keras")] for row in rows],
    )


def _plain(results: dict) -> Table:
    rows = [row for row in results["rows"] if any(entry["peer"] == PLAIN for entry in row["entries"])]
    return Table(
        "Against our own plain scan",
        'Cells that no library has: `unroll` beside `method="scan"`, both with the batch divided among the devices. '
        "Milliseconds; in brackets the scan's time over that of `unroll`.",
        ["cell", SIZES, "unroll", "lax.scan"],
        [[*_labels(row), _ours(row), _against(results, row, PLAIN)] for row in rows],
    )


def _products(results: dict) -> Table:
    rows = []
    peak = summary.peaks(results)[-1]["gflops"]
    for row in results["rows"]:
        alone, ours = summary.fastest(row, PRODUCTS), summary.fastest(row, OURS)
        if alone is None or ours is None:
            continue
        speed = 1e3 * row["gflop"] / ours["best_ms"]
        efficiency = f"{alone['best_ms'] / ours['best_ms']:.2f}"
        times = [_milliseconds(ours["best_ms"]), _milliseconds(alone["best_ms"])]
        rows.append([*_labels(row), *times, efficiency, f"{speed:.0f}", f"{100 * speed / peak:.0f}%"])
    return Table(
        "Against the matrix products alone",
        "The same products at the same shapes, in the order the recurrence forces on them, and nothing else. "
        "Efficiency is their time over ours; GFLOP/s counts the products of our pass, beside the peak with all cores.",
        ["cell", SIZES, "seqjax", "products", "efficiency", "GFLOP/s", "of peak"],
        rows,
    )


def _training(results: dict) -> Table:
    rows = []
    for measured in results["training_steps"]:
        times = [_milliseconds(measured["step_ms"]), _milliseconds(measured["recurrence_ms"])]
        rows.append([*_labels(measured), *times, f"{measured['step_ms'] / measured['recurrence_ms']:.2f}"])
    return Table(
        "A whole training step",
        "One step of the character language model of `configs/char_lm.py`, beside the forward and backward pass of its "
        "recurrence alone, with the gradients of the weights. Milliseconds.",
        ["cell", SIZES, "step", "recurrence", "step / recurrence"],
        rows,
    )


def _settings(results: dict) -> Table:
    rows = []
    for row in results["rows"]:
        peers = [peer for peer in PEERS if summary.fastest(row, peer)]
        if peers:
            settings = {peer: summary.fastest(row, peer)["setting"] for peer in peers}
            rows.append([*_labels(row), *(settings.get(peer, "") for peer in PEERS)])
    return Table(
        "The settings that were fastest",
        "",
        ["cell", SIZES, *PEERS],
        rows,
        labels=5,
    )


def _labels(row: dict) -> list[str]:
    return [row["cell"], summary.sizes(row)]


def _ours(row: dict) -> str:
    ours = summary.fastest(row, OURS)
    return _milliseconds(ours["best_ms"]) if ours else "DISAGREES"


def _against(results: dict, row: dict, peer: str) -> str:
    """A peer's time and ratio, or why there is none."""
    entry = summary.fastest(row, peer)
    if any(refused["peer"] == peer for refused in summary.refusals(row)):
        return "DISAGREES"
    if entry is None:
        return "not installed" if peer in results["not_installed"] else "not timed"
    ratio = summary.ratio(row, peer)
    return _milliseconds(entry["best_ms"]) + (f" ({ratio:.2f})" if ratio else "")


def _milliseconds(value: float) -> str:
    """Three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
