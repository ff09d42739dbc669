"""Numbers drawn from what was measured: the fastest of each peer, ratios, means. Of plain data, without JAX.

A row is `{"cell", "shape", "entries", "gflop"}`, an entry of it one contestant: `{"peer", "setting", "best_ms", ...}`,
where `best_ms` is None for one that was not timed because it does not do the same work, for the `reason` given.
"""

import math

OURS = "seqjax"
PLAIN = "lax.scan"
PRODUCTS = "products alone"
PEERS = ("PyTorch", "Flax", "Keras")
COMPARED = ("rnn", "lstm", "gru_reset_after")  # the cells that all peers have


def fastest(row: dict, peer: str, *, by_hand: bool = True) -> dict | None:
    """The peer's entry with the best time in this row; without `by_hand`, of those that a library divides itself."""
    timed = [
        entry
        for entry in row["entries"]
        if entry["peer"] == peer and entry["best_ms"] is not None and (by_hand or not divided_by_hand(entry))
    ]
    return min(timed, key=lambda entry: entry["best_ms"], default=None)


def divided_by_hand(entry: dict) -> bool:
    """Whether the batch is divided among devices as our training does it, around somebody else's layer."""
    return entry["peer"] in PEERS and entry["setting"].endswith("shard_map")


def ratio(row: dict, peer: str, *, by_hand: bool = True) -> float | None:
    """The peer's time over ours: above 1, ours is faster."""
    ours, theirs = fastest(row, OURS), fastest(row, peer, by_hand=by_hand)
    return theirs["best_ms"] / ours["best_ms"] if ours and theirs else None


def best_peer(row: dict, *, by_hand: bool = True) -> str | None:
    """The fastest of the other libraries in this row."""
    timed = [peer for peer in PEERS if ratio(row, peer, by_hand=by_hand) is not None]
    return min(timed, key=lambda peer: ratio(row, peer, by_hand=by_hand), default=None)


def refusals(row: dict) -> list[dict]:
    """The entries that were not timed because they do not do the same work."""
    return [entry for entry in row["entries"] if entry["reason"]]


def complaints(results: dict) -> list[str]:
    """A sentence for each contestant that does not do the same work."""
    return [
        f"{entry['peer']} ({entry['setting']}) DISAGREES in {row['cell']} ({sizes(row)}): {entry['reason']}"
        for row in results["rows"]
        for entry in refusals(row)
    ]


def sizes(row: dict) -> str:
    """Batch, time, inputs and hidden units."""
    return ", ".join(str(row["shape"][key]) for key in ("batch", "time", "inputs", "hidden"))


def compared(results: dict) -> list[dict]:
    """The rows of the cells that all peers have."""
    return [row for row in results["rows"] if row["cell"] in COMPARED]


def best_ratios(results: dict, *, by_hand: bool = True) -> list[float]:
    """Of each compared row in which anybody was timed: the fastest peer's time over ours."""
    best = [(row, best_peer(row, by_hand=by_hand)) for row in compared(results)]
    return [ratio(row, peer, by_hand=by_hand) for row, peer in best if peer]


def ratios_of(rows: list[dict], peer: str) -> list[float]:
    """The peer's time over ours, in those rows where both were timed."""
    return [found for row in rows if (found := ratio(row, peer)) is not None]


def peaks(results: dict) -> list[dict]:
    """The fastest matrix product with one core, and with all: `{"library", "cores", "size", "gflops"}`."""
    counts = sorted({measured["cores"] for measured in results["peak"]})
    return [max((m for m in results["peak"] if m["cores"] == n), key=lambda m: m["gflops"]) for n in counts]


def geometric_mean(values: list[float]) -> float:
    """Of at least one value."""
    return math.exp(sum(map(math.log, values)) / len(values))
