"""How long a forward and backward pass of a recurrent layer takes, here and in PyTorch, Flax and Keras.

    python -m benchmarks.recurrence [--cells=lstm,gru] [--shapes=0,char_rnn] [--peers=torch,scan] [--seconds=2]

The shapes are min_char_rnn, char_rnn, char_rnn_large, penn_treebank and sequential_mnist, or 0 to 4. Prints tables,
and writes `recurrence.json` with all numbers and `recurrence.md` to the folder `--out`. Exits with 1 if anybody's
outputs or gradients are not those of the cell's definition. Everything together takes about a quarter of an hour.
"""

import argparse
import json
import os
import pathlib
import re
import sys
import time

from seqjax.allocation import available_cores, everything
from seqjax.datasets import cache_directory

RESULTS = pathlib.Path("benchmarks/results")
STARTED = "SEQJAX_BENCHMARK_STARTED"


def main() -> int:
    if STARTED not in os.environ:
        _start_again()
    options = _options()
    results = _measure(options)
    from benchmarks import page, summary, terminal

    terminal.show(results)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "recurrence.json").write_text(_json(results), encoding="utf-8")
    (options.out / "recurrence.md").write_text(page.markdown(results), encoding="utf-8")
    print(f"written: {options.out / 'recurrence.md'}")
    return int(bool(summary.complaints(results)))


def _start_again() -> None:
    """Become a process with the environment that a training process gets: libraries read it when they are imported."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    cache = cache_directory()
    environment = {
        **os.environ,
        **everything(len(available_cores())).environment(),
        "JAX_COMPILATION_CACHE_DIR": str(cache / "compiled"),
        "KERAS_BACKEND": "jax",
        "KERAS_HOME": str(cache / "keras"),  # it writes its settings, in the home directory if not told otherwise
        STARTED: "1",
    }
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606 (no shell is wanted)


def _options():
    from benchmarks.rows import CELLS, PEERS
    from benchmarks.work import SHAPES

    names = [shape.name for shape in SHAPES]
    parser = argparse.ArgumentParser(
        prog="benchmarks.recurrence", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=_list_of(CELLS), default=list(CELLS), help=", ".join(CELLS))
    parser.add_argument("--shapes", type=_list_of(names), default=names, help="names, or numbers from 0")
    peers = f"{', '.join(PEERS)}; scan is for mut1, mut2 and mut3, which have no other peer"
    parser.add_argument("--peers", type=_list_of(PEERS), default=list(PEERS), help=peers)
    parser.add_argument("--steps", type=_numbers, default=[128, 256], help="hidden sizes of the training step, or none")
    parser.add_argument("--seconds", type=float, default=2.0, help="that each contestant is timed for in a row")
    parser.add_argument("--out", type=pathlib.Path, help=f"folder for the results (default: {RESULTS})")
    options = parser.parse_args()
    whole = [options.cells, options.shapes, options.peers] == [list(CELLS), names, list(PEERS)]
    options.complete = whole and bool(options.steps)
    # A part must not take the place of the whole.
    options.out = options.out or (RESULTS if options.complete else RESULTS / "partial")
    return options


def _list_of(names):
    """A parser of a comma-separated list of these names, or of their numbers."""
    names = list(names)

    def parse(text: str) -> list[str]:
        chosen = [names[int(part)] if part.isdigit() and int(part) < len(names) else part for part in text.split(",")]
        for part in chosen:
            if part not in names:
                raise argparse.ArgumentTypeError(f"{part!r} is none of {', '.join(names)}")
        return chosen

    return parse


def _numbers(text: str) -> list[int]:
    return [] if text == "none" else [int(part) for part in text.split(",")]


def _measure(options) -> dict:
    import jax

    from benchmarks import machine, peak, rows, training_step
    from benchmarks.work import SHAPES

    began = time.time()
    results = {
        "command": " ".join(["python -m benchmarks.recurrence", *_shown_arguments()]),
        "complete": options.complete,
        "seconds": options.seconds,
        "not_installed": rows.not_installed(options.peers),
        "machine": machine.describe(),
        "versions": machine.versions(),
        "host_devices": len(jax.devices()),
        "peak": peak.measure(),
        "rows": [],
        "training_steps": [],
    }
    shapes = [shape for shape in SHAPES if shape.name in options.shapes]
    todo = [(cell, shape) for cell in options.cells for shape in shapes]
    for number, (cell, shape) in enumerate(todo):
        _say(f"[{number + 1}/{len(todo)}] {cell} {shape.name} {shape.sizes}, {time.time() - began:.0f} s so far")
        results["rows"].append(rows.measure(cell, shape, options.peers, options.seconds))
        jax.clear_caches()  # compiled programs of rows that are done
    for hidden in options.steps:
        _say(f"training step with {hidden} hidden units, {time.time() - began:.0f} s so far")
        results["training_steps"].append(training_step.measure(hidden, options.seconds))
    results["took_seconds"] = round(time.time() - began)
    return results


def _shown_arguments() -> list[str]:
    """The command's arguments but for the folder, which is nobody's business."""
    arguments = sys.argv[1:]
    return [
        a
        for a, before in zip(arguments, ["", *arguments], strict=False)
        if not a.startswith("--out") and before != "--out"
    ]


def _json(results: dict) -> str:
    """Indented, but a list of numbers is one line."""
    text = json.dumps(results, indent=1) + "\n"
    return re.sub(r"\[[-\d.e,\s]+\]", lambda found: " ".join(found[0].split()), text)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
