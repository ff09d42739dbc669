"""Measuring one row: everybody's pass of one cell at one shape."""

import importlib
import importlib.util

from benchmarks import agreement, contestants_seqjax, products, timing, work
from benchmarks.summary import COMPARED, PLAIN
from benchmarks.work import GATES, Shape

# A peer by the name of its option: the name in tables, the package it needs, and where its contestants are made.
PEERS = {
    "torch": ("PyTorch", "torch", "benchmarks.contestants_torch"),
    "flax": ("Flax", "flax", "benchmarks.contestants_flax"),
    "keras": ("Keras", "keras", "benchmarks.contestants_keras"),
    "scan": (PLAIN, "jax", ""),
}
CELLS = {
    **dict.fromkeys(COMPARED, ("torch", "flax", "keras")),
    "gru": ("keras",),
    **dict.fromkeys(("mut1", "mut2", "mut3"), ("scan",)),
}


def not_installed(peers: list[str]) -> list[str]:
    """The names of the peers whose package is not here."""
    return [PEERS[peer][0] for peer in peers if importlib.util.find_spec(PEERS[peer][1]) is None]


def measure(cell: str, shape: Shape, peers: list[str], seconds: float) -> dict:
    """The row, as `summary` describes it. Who does not agree with the definition of the cell is not timed."""
    todo = work.make(cell, shape)
    contestants = [contestants_seqjax.contestant(todo)]
    for peer in peers:
        contestants += _contestants(peer, todo) if peer in CELLS[cell] else []
    expected = work.right_answer(todo)
    verdicts = {contestant: agreement.check(contestant, expected) for contestant in contestants}
    gflop = None
    if cell in GATES:
        verdicts[products.contestant(todo)] = agreement.Verdict(None, "")
        gflop = products.flops(todo) / 1e9
    timed = [contestant for contestant, verdict in verdicts.items() if verdict.agrees]
    timings = dict(zip(timed, timing.time_all(timed, seconds), strict=True))
    entries = [_entry(contestant, verdict, timings.get(contestant)) for contestant, verdict in verdicts.items()]
    return {"cell": cell, "shape": shape._asdict(), "gflop": gflop, "entries": entries}


def _contestants(peer: str, todo: work.Work) -> list:
    name, package, module = PEERS[peer]
    if importlib.util.find_spec(package) is None:
        return []
    return contestants_seqjax.plain(todo) if name == PLAIN else importlib.import_module(module).contestants(todo)


def _entry(contestant, verdict, timed) -> dict:
    entry = {
        "peer": contestant.peer,
        "setting": contestant.setting,
        "difference": verdict.difference,
        "reason": verdict.reason,
        "lacks": list(contestant.lacks),
        "best_ms": None,
    }
    if timed is not None:
        entry |= {"best_ms": 1e3 * timed.best, "median_ms": 1e3 * timed.median, "calls": timed.calls}
        entry["turns_ms"] = [round(1e3 * seconds, 5) for seconds in timed.turns]
    return entry
