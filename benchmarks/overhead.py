"""What logging, evaluation bookkeeping and checkpoints cost over the bare jitted loop.

    python -m benchmarks.overhead [--steps=400] [--rounds=3]

Both train the default config on the same device, in turn, several times in one process; the best times are compared.
The loop writes its metrics, timing and samples, keeps the best parameters at every evaluation and saves a checkpoint
every three seconds and at the end; computing the validation loss and the sample's text is left out of both.
"""

import argparse
import itertools
import logging
import pathlib
import tempfile
import time

import jax

from seqjax.config import load_config
from seqjax.datasets import prepare
from seqjax.results import RunDirectory
from seqjax.tasks.char_lm import CharLM
from seqjax.training.loop import Loop
from seqjax.training.step import Trainer


def bare(task, config) -> float:
    """Seconds for the steps alone."""
    trainer = Trainer(task, config)
    state = trainer.initialise()
    trainer.compile(state)
    began = time.perf_counter()
    for _ in range(config.train.steps // config.train.steps_per_dispatch):
        state, _ = trainer.run(state, config.train.steps)
    jax.block_until_ready(state)
    return time.perf_counter() - began


def whole(task, config, folder: pathlib.Path) -> float:
    """Seconds for the loop, from the first step to the finished run directory."""
    run = RunDirectory(folder)
    run.create({"config": config.to_dict()})
    loop = Loop(run, task, config)
    loop.trainer.compile(loop.state)
    loop.trainer.compile = lambda state: None
    began = time.perf_counter()
    loop.train()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    logging.getLogger("absl").setLevel(logging.ERROR)
    config, _ = load_config("configs/char_lm.py")
    config.train.steps, config.train.eval_every = options.steps, 100
    config.train.checkpoint_seconds = 3.0  # twenty times as often as by default
    task = CharLM.from_corpus(config, prepare(config.data.source))
    scores = itertools.count(0, -1)  # always better than before, so that the best parameters are kept anew
    task.evaluate = lambda network, split, mesh: {"nats": float(next(scores)), "bits": 1.0, "perplexity": 1.0}
    task.sample = lambda network, seed: "x" * config.sample.length
    alone, loop = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            alone.append(bare(task, config))
            loop.append(whole(task, config, pathlib.Path(folder) / str(number)))
            print(f"round {number + 1}: bare {alone[-1]:.2f} s, loop {loop[-1]:.2f} s", flush=True)
    print(f"the loop costs {100 * (min(loop) / min(alone) - 1):.1f}% over the bare steps (best of {options.rounds})")


if __name__ == "__main__":
    main()
