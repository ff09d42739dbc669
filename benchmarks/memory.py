"""How much memory a gradient through time needs, against the length of the sequence.

    python -m benchmarks.memory [--cell=lstm] [--batch=32] [--hidden=128] [--out=DIR]

The numbers are those of XLA's own plan for one forward and backward pass with all gradients (what it allocates beside
arguments and results), and of passes that were then run; inputs are as wide as the state. With `remat`, only every
`remat`-th state is kept, and the steps between are run a second time.
"""

import argparse
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from seqjax.cells import find_cell
from seqjax.recurrence import unroll

LENGTHS = (100, 1_000, 10_000)
SEGMENTS = (None, 32, 100)


def measure(cell, length: int, batch: int, remat: int | None) -> tuple[float, float]:
    """Megabytes beside arguments and results, and seconds for the pass (the best of three)."""
    width = cell.w.shape[0]
    xs = jnp.asarray(np.random.default_rng(0).normal(size=(length, batch, width)), jnp.float32)
    gradient = jax.grad(lambda cell, xs: jnp.sum(unroll(cell, xs, remat=remat)[1] ** 2), argnums=(0, 1))
    compiled = jax.jit(gradient).lower(cell, xs).compile()
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        jax.block_until_ready(compiled(cell, xs))
        seconds.append(time.perf_counter() - began)
    return compiled.memory_analysis().temp_size_in_bytes / 1e6, min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", default="lstm")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--out", type=pathlib.Path, help="a folder for memory.md")
    options = parser.parse_args()
    cell = find_cell(options.cell)(options.hidden, options.hidden, rngs=nnx.Rngs(0))
    lines = [
        f"Gradient through {options.cell}, batch {options.batch}, {options.hidden} inputs and units, float32.",
        "",
        "| steps | " + " | ".join("all kept" if s is None else f"remat={s}" for s in SEGMENTS) + " |",
        "|---:|" + "---:|" * len(SEGMENTS),
    ]
    for length in LENGTHS:
        row = [measure(cell, length, options.batch, remat) for remat in SEGMENTS]
        lines.append(f"| {length:,} | " + " | ".join(f"{mb:,.0f} MB, {s:.2f} s" for mb, s in row) + " |")
        print(lines[-1], flush=True)
    page = "\n".join(["# Memory against length", "", *lines, "", "Made by `python -m benchmarks.memory`.", ""])
    print(page)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "memory.md").write_text(page)


if __name__ == "__main__":
    main()
