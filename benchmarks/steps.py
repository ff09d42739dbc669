"""Microseconds that one step of a recurrent layer takes, forward and backward, by width, type of number and unrolling.

    python -m benchmarks.steps [--cells=lstm,gru] [--hidden=128,256,512,1024] [--dtypes=float32,bfloat16]

It runs on JAX's default device. On a GPU, waiting for the launch of each small kernel is what a scan's time is made of,
so there this table comes before any tuning: our `unroll`, `jax.lax.scan` with 1, 8 and 16 steps in its body, Flax,
PyTorch on the same kind of device (cuDNN on a GPU) and, on a GPU and in float32, cuDNN's LSTM through
`jax.experimental.rnn`. To measure command buffers for loops, run it once more with
XLA_FLAGS=--xla_gpu_enable_command_buffer=FUSION,CUBLAS,WHILE. On a CPU bfloat16 is emulated, and
slow: leave it out with --dtypes=float32.
"""

import argparse
import importlib.util
import pathlib
import sys

import jax
import jax.numpy as jnp
from flax import nnx

from benchmarks import passes, timing
from benchmarks.contestant import Contestant
from seqjax.cells import find_cell
from seqjax.recurrence import unroll

UNROLLED = (1, 8, 16)
FLAX = {"lstm": nnx.OptimizedLSTMCell, "gru": nnx.GRUCell}
TORCH = {"lstm": "LSTM", "gru": "GRU"}  # its GRU is our gru_reset_after, a product more than our gru


def contestants(cell: str, hidden: int, dtype: str, batch: int, time: int) -> dict[str, Contestant]:
    """All ways there are here, by name. Weights and inputs are of the type `dtype`, inputs as wide as the state."""
    xs = jax.random.normal(jax.random.key(0), (time, batch, hidden), dtype)
    ours = _typed(find_cell(cell)(hidden, hidden, rngs=nnx.Rngs(0)), dtype)
    flax = _typed(nnx.RNN(FLAX[cell](hidden, hidden, rngs=nnx.Rngs(0)), time_major=True, rngs=False), dtype)
    graph, flax_weights = nnx.split(flax)

    def run_flax(weights, xs):
        layer = nnx.merge(graph, weights)
        carry = jax.tree.map(lambda c: c.astype(dtype), layer.cell.initialize_carry(xs.shape[1:], rngs=nnx.Rngs(0)))
        return layer(xs, initial_carry=carry)

    found = {"seqjax": _pass(lambda cell, xs: unroll(cell, xs)[1], ours, xs)}
    for steps in UNROLLED:
        found[f"lax.scan, unroll={steps}"] = _pass(lambda cell, xs, steps=steps: _scan(cell, xs, steps), ours, xs)
    found["Flax"] = _pass(run_flax, flax_weights, xs)
    if jax.default_backend() == "gpu" and cell == "lstm" and dtype == "float32":
        found["cuDNN from JAX"] = _cudnn(xs)
    if importlib.util.find_spec("torch") is not None:
        found |= _torch(cell, hidden, dtype, batch, time)
    return found


def _typed(module, dtype):
    return jax.tree.map(lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, module)


def _pass(forward, weights, xs) -> Contestant:
    call = passes.on_one_device(forward, weights, xs, jnp.ones_like(jax.eval_shape(forward, weights, xs)))
    return Contestant("", "", call, lambda result: {})


def _scan(cell, xs, steps):
    def step(state, z):
        return jax.vmap(cell.step)(state, z)

    start = jax.tree.map(lambda s: jnp.broadcast_to(s, (xs.shape[1], *s.shape)), cell.initial_state())
    return jax.lax.scan(step, start, cell.project(xs), unroll=steps)[1]


def _cudnn(xs):
    from jax.experimental import rnn

    time, batch, hidden = xs.shape
    weights = rnn.init_lstm_weight(jax.random.key(0), hidden, hidden, 1, False)
    zeros, lengths = jnp.zeros((1, batch, hidden)), jnp.full(batch, time, jnp.int32)

    def run(weights, xs):
        return rnn.lstm(xs.swapaxes(0, 1), zeros, zeros, weights, lengths, hidden, hidden, 1, 0.0, False)[0]

    return _pass(run, weights, xs)


def _torch(cell, hidden, dtype, batch, time) -> dict[str, Contestant]:
    import torch

    on_gpu = jax.default_backend() == "gpu"
    if on_gpu and not torch.cuda.is_available():
        return {}
    device, kind = ("cuda" if on_gpu else "cpu"), getattr(torch, dtype)
    layer = getattr(torch.nn, TORCH[cell])(hidden, hidden, device=device, dtype=kind)
    xs = torch.randn(time, batch, hidden, device=device, dtype=kind, requires_grad=True)
    dys = torch.ones_like(xs)

    def call():
        result = torch.autograd.grad(layer(xs)[0], [xs, *layer.parameters()], dys)
        if on_gpu:
            torch.cuda.synchronize()
        return result

    return {f"PyTorch {TORCH[cell]}": Contestant("", "", call, lambda result: {})}


def main() -> None:
    options = _options()
    device = jax.devices()[0]
    lines = [f"Microseconds a step, forward and backward, batch {options.batch}, {options.time} steps, {device}."]
    for cell in options.cells:
        names, rows = [], []
        for hidden in options.hidden:
            for dtype in options.dtypes:
                print(f"{cell} {hidden} {dtype}", file=sys.stderr, flush=True)
                found = contestants(cell, hidden, dtype, options.batch, options.time)
                times = timing.time_all(list(found.values()), options.seconds)
                names = list(dict.fromkeys([*names, *found]))
                taken = {name: f"{1e6 * t.best / options.time:.2f}" for name, t in zip(found, times, strict=True)}
                rows.append((f"{hidden}, {dtype}", taken))
                jax.clear_caches()
        lines += ["", f"| {cell} | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
        lines += [f"| {title} | " + " | ".join(taken.get(name, "") for name in names) + " |" for title, taken in rows]
    page = "\n".join([*lines, ""])
    print(page)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"steps_{jax.default_backend()}.md").write_text(page, encoding="utf-8")


def _options():
    parser = argparse.ArgumentParser(
        prog="benchmarks.steps", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=lambda text: text.split(","), default=list(FLAX))
    parser.add_argument("--hidden", type=_numbers, default=[128, 256, 512, 1024])
    parser.add_argument("--dtypes", type=lambda text: text.split(","), default=["float32", "bfloat16"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--time", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=1.0, help="that each contestant is timed for in a row")
    parser.add_argument("--out", type=pathlib.Path, help="a folder for the table")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
