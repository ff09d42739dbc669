"""The whole training step of the character language model, against its recurrence alone.

The step is that of `configs/char_lm.py`: reading a chunk of text, embedding, recurrence, readout, loss, gradients,
clipping, optimiser. The recurrence alone is the forward and backward pass of the same cell over inputs of the same
shape, one-hot symbols as dense vectors, with the gradients of the weights; symbols have none.
"""

import jax
import numpy as np

from benchmarks import passes, timing
from benchmarks.contestant import Contestant
from seqjax.config import load_config
from seqjax.datasets import prepare
from seqjax.recurrence import unroll
from seqjax.tasks.char_lm import CharLM
from seqjax.training.step import Trainer

CONFIG = "configs/char_lm.py"


def measure(hidden: int, seconds: float) -> dict:
    """Milliseconds of one step and of its recurrence, with so many hidden units in one layer."""
    config, _ = load_config(CONFIG)
    config.cell.hidden, config.cell.layers = hidden, 1
    trainer = Trainer(CharLM.from_corpus(config, prepare(config.data.source)), config)
    steps = config.train.steps_per_dispatch
    whole, alone = timing.time_all([_steps(trainer), _recurrence(trainer)], seconds)
    inputs = len(trainer.task.vocabulary)
    shape = {"batch": config.task.batch, "time": config.task.chunk, "inputs": inputs, "hidden": hidden}
    return {
        "cell": config.cell.name,
        "shape": shape,
        "devices": trainer.mesh.size,
        "steps_per_dispatch": steps,
        "step_ms": 1e3 * whole.best / steps,
        "recurrence_ms": 1e3 * alone.best,
        "step_turns_ms": [1e3 * seconds / steps for seconds in whole.turns],
        "recurrence_turns_ms": [1e3 * seconds for seconds in alone.turns],
    }


def _steps(trainer: Trainer) -> Contestant:
    """One dispatch of several steps: the state goes from call to call, as in training."""
    held = [trainer.initialise()]
    never = np.iinfo(np.int32).max

    def call():
        held[0], metrics = trainer.run(held[0], never)
        return jax.block_until_ready((held[0].step, metrics))

    return Contestant("training step", "", call, read=lambda result: {})


def _recurrence(trainer: Trainer) -> Contestant:
    task, config = trainer.task, trainer.config
    (cell,) = trainer.network(trainer.initialise().parameters).stack.layers
    vocabulary = len(task.vocabulary)
    random = np.random.default_rng(0)
    symbols = random.integers(vocabulary, size=(config.task.chunk, config.task.batch))
    xs = np.eye(vocabulary, dtype=np.float32)[symbols]
    dys = random.standard_normal((*symbols.shape, config.cell.hidden), np.float32)
    call = passes.divided_by_shard_map(
        lambda cell, xs: unroll(cell, xs)[1], cell, xs, dys, batch_axis=1, of_inputs=False
    )
    return Contestant("recurrence", "", call, read=lambda result: {})
