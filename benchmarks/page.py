"""The measured numbers as a page of Markdown. Every number on it comes from the results it is given."""

from benchmarks import summary, tables, timing
from benchmarks.agreement import TOLERANCE
from benchmarks.summary import PEERS
from benchmarks.tables import Table


def markdown(results: dict) -> str:
    """The page."""
    parts = [
        "# Speed of recurrent layers",
        "The time of one forward and backward pass of a recurrent layer, with the gradients of its inputs and of all "
        "its weights, in seqjax and in other libraries. This page is written by the command below; the raw numbers are "
        "in `recurrence.json` beside it.",
        f"    {results['command']}",
        *_warnings(results),
        "## In short",
        "\n".join(f"- {sentence}" for sentence in sentences(results)),
        *(part for table in tables.build(results) for part in _table(table)),
        "## The machine",
        _machine(results),
        "## How it was measured",
        _method(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def sentences(results: dict) -> list[str]:
    """What the numbers say."""
    said = []
    rows = summary.compared(results)
    for by_hand, who in (
        (True, "The fastest of the other libraries"),
        (False, "With the batch divided by `jax.jit` alone, never by `jax.shard_map`, the fastest of them"),
    ):
        if ratios := summary.best_ratios(results, by_hand=by_hand):
            said.append(
                f"{who} takes {_mean(ratios, 'as seqjax')}. In {sum(ratio >= 1 for ratio in ratios)} of "
                f"{len(ratios)} rows that ratio is 1.0 or more; the smallest is {min(ratios):.2f}."
            )
    for peer in PEERS:
        if found := summary.ratios_of(rows, peer):
            said.append(f"{peer} takes {_mean(found, 'as seqjax')}, from {min(found):.2f} to {max(found):.2f}.")
    for peer, words in (
        ("Keras", "For the GRU that resets before the product, Keras"),
        (summary.PLAIN, "For MUT1 to MUT3, a plain scan"),
    ):
        others = [row for row in results["rows"] if row not in rows]
        if found := summary.ratios_of(others, peer):
            said.append(f"{words} takes {_mean(found, 'as `unroll`')}; the smallest is {min(found):.2f}.")
    for measured in results["training_steps"]:
        said.append(
            f"A whole training step with {measured['shape']['hidden']} hidden units takes "
            f"{measured['step_ms'] / measured['recurrence_ms']:.2f} times as long as its recurrence alone."
        )
    return said


def _mean(ratios: list[float], compared: str) -> str:
    rows = "1 row" if len(ratios) == 1 else f"geometric mean of {len(ratios)} rows"
    return f"{summary.geometric_mean(ratios):.2f} times as long {compared} ({rows})"


def _warnings(results: dict) -> list[str]:
    found = [f"**{sentence}**" for sentence in summary.complaints(results)]
    if results["not_installed"]:
        found.append(f"Not installed, and so not compared: {', '.join(results['not_installed'])}.")
    if not results["complete"]:
        found.append("This is a part of the comparison only: some cells, shapes or peers were left out.")
    return found


def _table(table: Table) -> list[str]:
    rule = ["---"] * table.labels + ["---:"] * (len(table.header) - table.labels)
    lines = [f"| {' | '.join(cells)} |" for cells in (table.header, rule, *table.rows)]
    return [f"## {table.title}", table.note, "\n".join(lines)]


def _machine(results: dict) -> str:
    machine = results["machine"]
    rows = {
        "CPU": f"{machine['cpu']}, {machine['architecture']}" + (", virtual machine" if machine.get("virtual") else ""),
        "cores used": machine["cores"],
        "caches": ", ".join(machine.get("caches", [])),
        "memory": f"{machine['memory_gib']} GiB" if "memory_gib" in machine else "",
        "instructions": " ".join(machine.get("instructions", [])),
        "system": machine.get("system", ""),
        "load when it began": f"{machine['load']:.1f}" if "load" in machine else "",
        "versions": ", ".join(f"{name} {version}" for name, version in results["versions"].items()),
    }
    for peak in summary.peaks(results):
        name = "one core" if peak["cores"] == 1 else f"{peak['cores']} cores"
        size = f"{peak['size']} x {peak['size']}"
        rows[f"matrix product, {name}"] = f"{peak['gflops']:.0f} GFLOP/s ({peak['library']}, float32, {size})"
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items() if value)])


def _method(results: dict) -> str:
    return f"""\
- All run in one process, in the environment that training uses, with {results["host_devices"]} host devices for JAX.
- All have the same weights and inputs, float32, and their outputs and gradients agree with the cell's definition to
  {TOLERANCE:g} of the largest element before they are timed. Who does not agree is not timed, and the command fails.
- They take turns. Each is timed for about {results["seconds"]:g} s in turns of {timing.TURN:g} s, with calls before
  each turn that are not timed; the best call counts. A setting that takes {timing.BEHIND:g} times as long as its
  library's best stops after {timing.SETTLED} turns.
- seqjax divides the batch among the host devices where it divides evenly, as training does, and has no other setting.
- PyTorch: every number of threads, with and without oneDNN. Flax (`nnx.RNN` under `jax.jit`, time first) and Keras
  (with JAX under `jax.jit`, batch first): on one device, whose products may use all cores; and with the batch divided
  among the host devices, by `jax.jit` or by `jax.shard_map`. The last is our own way around their layers: it sums the
  gradients of the weights once, where the compiler, dividing the scan by itself, may sum them at every step.
- Inputs are on the devices before. A call ends when all its results are there.
- PyTorch has a second bias, and so has Keras's GRU that resets after the product; they compute its gradient too.
  Flax's GRU lacks the bias inside the reset gate's product, and so computes one gradient less."""
