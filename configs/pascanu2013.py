"""Pascanu, Mikolov & Bengio (2013), "On the difficulty of training recurrent neural networks", arXiv:1211.5063.

Question: on the temporal order problem, how far apart may two symbols be before a vanilla network fails to learn their
order, and how much do clipping (C) and clipping with the regulariser (CR) help?

Their protocol: 50 hidden units, batches of 20, SGD with rate .01, clip at norm 1, weight 4 of the regulariser; success
is an error under 1% on 10,000 sequences. Three ways to start: sigmoid N(0, .01), basic tanh N(0, .1), smart tanh (15
non-zero recurrent weights a unit, spectral radius .95).

    python -m experiments.launch --config=configs/pascanu2013.py --sweep=remedies --sweep=seeds --sweep=lengths \\
        --workers=2 --runs=runs/temporal_order

Here: the basic tanh start, the paper's rate, clip and weight for all, five seeds, at most 50,000 updates, looked at
every 500. Solved trials, and the median update at which they were:

    length     SGD              C                CR
    20         5 of 5 (2,500)   5 of 5 (4,000)   5 of 5 (1,500)
    50         0 of 5           0 of 5           5 of 5 (13,500)
    100        0 of 5           0 of 5           2 of 5 (36,750)

Of the three that CR left unsolved at 100, two were under 3% error. In the paper SGD fails first as the length grows, C
later, and CR solves all lengths up to 200; the authors' program allows five million updates. A run of 50,000 updates
takes 45 s of one core at length 50 (CR 95 s) and 90 s (CR 175 s) at 100.
`three_symbols` is the variant with three symbols and 8 classes.
"""

from ml_collections import ConfigDict

from seqjax.config import defaults
from seqjax.errors import UserError, did_you_mean

VARIANTS = ("default", "three_symbols")
LENGTHS = (20, 50, 100, 150, 200)


def get_config(variant: str | None = None) -> ConfigDict:
    config = defaults()
    config.task = ConfigDict()
    config.task.name = "temporal_order"
    config.task.batch = 20
    config.task.length = 50
    config.task.symbols = 2
    config.task.evaluation = 10_000  # held-out sequences

    config.cell.name = "rnn"
    config.cell.hidden = 50
    config.init.kernel = "normal"
    config.init.kernel_scale = 0.1
    config.init.recurrent = "normal"
    config.init.recurrent_scale = 0.1

    config.optimiser.name = "sgd"
    config.optimiser.learning_rate = 0.01
    config.clip.name = "norm"
    config.clip.value = 1.0
    config.regulariser.name = "pascanu"
    config.regulariser.weight = 4.0

    config.train.steps = 50_000
    config.train.steps_per_dispatch = 100
    config.train.eval_every = 500
    config.train.stop_when_solved = True

    variant = variant or "default"
    if variant not in VARIANTS:
        raise UserError(f"configs/pascanu2013.py has no variant {variant!r}; {did_you_mean(variant, VARIANTS)}")
    if variant == "three_symbols":
        config.task.symbols = 3
    return config


def sweep_remedies():
    """SGD, SGD with clipping (C), SGD with clipping and regulariser (CR)."""
    yield {"clip.name": "none", "regulariser.name": "none"}
    yield {"clip.name": "norm", "regulariser.name": "none"}
    yield {"clip.name": "norm", "regulariser.name": "pascanu"}


def sweep_starts():
    """The three initialisations."""
    yield {"init.recurrent": "normal", "init.recurrent_scale": 0.1}
    yield {
        "cell.options.activation": "sigmoid",
        "init.kernel_scale": 0.01,
        "init.recurrent": "normal",
        "init.recurrent_scale": 0.01,
    }
    yield {"init.kernel_scale": 0.01, "init.recurrent": "sparse", "init.recurrent_scale": 0.95}


def sweep_lengths():
    """Steps in a sequence."""
    for length in LENGTHS:
        yield {"task.length": length}


def sweep_seeds():
    """Five seeds, as in the paper."""
    for seed in range(5):
        yield {"seed": seed}
