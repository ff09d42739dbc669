"""Greff, Srivastava, Koutnik, Steunebrink & Schmidhuber (2015), "LSTM: a search space odyssey", arXiv:1503.04069: its
polyphonic music, Bach's chorales.

Question: which part of the LSTM matters, when every variant has settings of its own drawn at random?

Their protocol: one layer; weights start from N(0, 0.1); momentum in Nesterov's form, an update after each piece; a run
ends when 15 passes bring no better validation score, or after 150; 200 settings a variant, with units log-uniform in
[20, 200], a rate log-uniform in [1e-6, 1e-2], which is multiplied by 1 - momentum, momentum 1 less a number log-uniform
in [0.01, 1], and Gaussian noise on the inputs, of deviation uniform in [0, 1].

Here the inputs have no noise (they found it to hurt), and an update follows each 61 steps, the mean length of a piece,
of one lane in which the pieces stand end to end. We take their gradient as that of the sum over a piece; ours is that
of the mean, so our rates are 61 times theirs. `optimiser.dampened` multiplies the rate by 1 - momentum, so that the
rate in the config and its momentum are drawn independently, and each has its own importance.

    python -m experiments.launch --config=configs/greff2015.py
    python -m experiments.launch --config=configs/greff2015.py --sweep=variants --sweep=settings --workers=2
    python -m experiments.search runs --baseline=lstm_peephole

The first of these, the peephole LSTM of 100 units with a rate of .5 (an effective .05) and momentum .9, stopped after
38 passes, 23 seconds of one core, at 8.410 nats a step on the validation pieces.
"""

from ml_collections import ConfigDict

from seqjax import cells
from seqjax.config import defaults
from seqjax.errors import UserError
from seqjax.sweeps.spaces import log_integer, log_uniform, random

PIECE = 61  # time steps of a piece in the mean
PASS = 13_807 // PIECE  # updates in a pass over the training pieces


def get_config(variant: str | None = None) -> ConfigDict:
    if variant not in (None, "jsb"):
        raise UserError(f"configs/greff2015.py has no variant {variant!r}; its one problem is jsb")
    config = defaults()
    config.task = ConfigDict()
    config.task.name = "music"
    config.task.batch = 1
    config.task.chunk = PIECE
    config.data = ConfigDict()
    config.data.source = "jsb"

    config.cell.name = "lstm_peephole"
    config.cell.hidden = 100
    config.init.kernel = "normal"
    config.init.kernel_scale = 0.1
    config.init.recurrent = "normal"
    config.init.recurrent_scale = 0.1
    config.optimiser.name = "nesterov"
    config.optimiser.momentum = 0.9
    config.optimiser.dampened = True
    config.optimiser.learning_rate = 0.5
    config.clip.name = "none"
    config.train.steps = 150 * PASS
    config.train.steps_per_dispatch = PASS
    config.train.eval_every = PASS
    config.train.patience = 15
    return config


def sweep_variants():
    """The peephole LSTM and its eight variants."""
    for cell in ("lstm_peephole", *(name for name in cells.VARIANTS if name.startswith("lstm_peephole_"))):
        yield {"cell.name": cell}


def sweep_settings(count: int = 200):
    """Settings drawn from the paper's ranges, the same for every variant."""
    space = {
        "cell.hidden": log_integer(20, 200),
        "optimiser.learning_rate": log_uniform(1e-6, 1e-2),
        "optimiser.momentum": lambda u: round(1 - log_uniform(0.01, 1.0)(u), 4),
    }
    for setting in random(space, count):
        yield setting | {"optimiser.learning_rate": float(f"{PIECE * setting['optimiser.learning_rate']:.4g}")}


def sweep_few_settings():
    """The first twenty of them."""
    yield from sweep_settings(20)
