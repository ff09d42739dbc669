"""Problems that need a long memory, as small as they come: adding, copy memory, temporal order, latch, parity, random
permutation, and digits read pixel by pixel.

Question: which cell, and which remedy, learns to bridge how long a lag?

    python -m experiments.launch --config=configs/pathological.py:adding --sweep=cells --sweep=seeds --workers=2

Each problem states the score of its trivial answer and when it counts as solved; the leaderboard shows both. Variants
(`--config=configs/pathological.py:NAME`): `adding`, `copy_memory`, `temporal_order`, `temporal_order_3`, `latch`,
`parity`, `permutation`, `digits` (scikit-learn's, 64 pixels), `permuted_digits`, `mnist`, `permuted_mnist` (784 pixels;
from `$SEQJAX_DATA_DIR/mnist` or downloaded). Sweeps: `cells`, `remedies`, `forget_gates`, `lengths`, `seeds`.

A first look, one seed: `latch` (100 steps) is solved by the vanilla network and the LSTM at the first evaluation, after
250 steps, and not in 5,000 by the GRU and MUT1. It is what `make gradients` shows: the orthogonal start lets the
gradient through, and so does a forget gate that starts open, while an update gate that starts half open halves it at
every step.
"""

from ml_collections import ConfigDict

from seqjax.config import defaults
from seqjax.errors import UserError, did_you_mean


def get_config(variant: str | None = None) -> ConfigDict:
    config = defaults()
    config.task = ConfigDict()
    config.task.batch = 50
    config.cell.hidden = 64
    config.optimiser.learning_rate = 0.002
    config.clip.value = 1.0
    config.train.steps = 5000
    config.train.steps_per_dispatch = 50
    config.train.eval_every = 250
    config.train.stop_when_solved = True
    config.probe.every = 250

    variant = variant or "adding"
    if variant not in VARIANTS:
        raise UserError(f"configs/pathological.py has no variant {variant!r}; {did_you_mean(variant, VARIANTS)}")
    VARIANTS[variant](config)
    return config


def generated(name: str, length: int, **settings):
    """A problem whose sequences are made as they are needed."""

    def fill(config: ConfigDict) -> None:
        config.task.name = name
        config.task.length = length
        config.task.evaluation = 10_000  # held-out sequences
        config.task.update(settings)

    return fill


def images(source: str, order: str, **train):
    """A data set of images, read in one order or another."""

    def fill(config: ConfigDict) -> None:
        config.task.name = "sequential_image"
        config.task.order = order
        config.task.pixels = 1  # a step
        config.data = ConfigDict()
        config.data.source = source
        config.data.validation = 1 / 12  # of the training images
        config.train.stop_when_solved = False
        config.train.update(train)

    return fill


VARIANTS = {
    "adding": generated("adding", 100, form="arjovsky"),
    "copy_memory": generated("copy_memory", 50),
    "temporal_order": generated("temporal_order", 50, symbols=2),
    "temporal_order_3": generated("temporal_order", 50, symbols=3),
    "latch": generated("latch", 100),
    "parity": generated("parity", 20),
    "permutation": generated("permutation", 50),
    "digits": images("digits", "rows", steps=3000),
    "permuted_digits": images("digits", "permuted", steps=3000),
    "mnist": images("mnist", "rows", steps=20_000, eval_every=1000),
    "permuted_mnist": images("mnist", "permuted", steps=20_000, eval_every=1000),
}


def sweep_cells():
    """The six cells of the race."""
    for cell in ("rnn", "lstm", "gru", "mut1", "mut2", "mut3"):
        yield {"cell.name": cell}


def sweep_remedies():
    """A vanilla network without help; with each kind of clipping, the regulariser, and the start from the identity."""
    yield {"cell.name": "rnn", "clip.name": "none"}
    yield {"cell.name": "rnn", "clip.name": "norm"}
    yield {"cell.name": "rnn", "clip.name": "element"}
    yield {"cell.name": "rnn", "clip.name": "norm", "regulariser.name": "pascanu"}
    yield {"cell.name": "rnn", "clip.name": "norm", "cell.options.activation": "relu", "init.recurrent": "identity"}


def sweep_forget_gates():
    """What the LSTM's forget gate starts with."""
    for bias in (0.0, 1.0, 2.0):
        yield {"cell.name": "lstm", "cell.options.forget_bias": bias}
    yield {"cell.name": "lstm", "cell.options.chrono": 100}


def sweep_lengths():
    """Of generated problems."""
    for length in (20, 50, 100, 200):
        yield {"task.length": length}


def sweep_seeds():
    """Three seeds."""
    for seed in range(3):
        yield {"seed": seed}
