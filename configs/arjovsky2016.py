"""Arjovsky, Shah & Bengio (2016), "Unitary evolution recurrent neural networks", arXiv:1511.06464: the baselines.

Question: over how long a lag do the vanilla network and the LSTM beat an answer that needs no memory?

Their protocol: RMSProp with rate .001 and decay .9, gradients clipped at norm 1 for the LSTM and the vanilla network.
80 hidden units for all here; the paper's networks differ in size.

    python -m experiments.launch --config=configs/arjovsky2016.py --sweep=cells --sweep=seeds --workers=2

Variants (`--config=configs/arjovsky2016.py:NAME`): `adding` (the default), `copy_memory`, and `gradients`: 100 steps of
the adding problem with a probe before and after, the paper's picture of |dL/dh_t| (`python -m
experiments.vanishing_gradients` draws it for every cell at once).

Adding, T = 100, 5,000 steps, three seeds (validation MSE; the trivial answer has .167; solved is under .0167): GRU
.0012, solved 3 of 3 at step 1,400 in the median; ReLU from the identity .0039, 3 of 3 at 1,100, after an explosion at
the start; LSTM .0127, 2 of 3 at 4,650; vanilla network .1455, 0 of 3. The dozen runs take some 18 minutes of one core.

Copy memory, T = 100, 2,000 steps, three seeds (validation nats per step; without memory .1733): GRU .1595, ReLU from
the identity .1649, LSTM .1701, vanilla network .1735. None is solved: as in the paper the LSTM is barely under the
baseline.
"""

from ml_collections import ConfigDict

from seqjax.config import defaults
from seqjax.errors import UserError, did_you_mean


def get_config(variant: str | None = None) -> ConfigDict:
    config = defaults()
    config.task = ConfigDict()
    config.task.name = "adding"
    config.task.batch = 20
    config.task.length = 100
    config.task.evaluation = 2000  # held-out sequences

    config.cell.hidden = 80
    config.optimiser.name = "rmsprop"
    config.optimiser.learning_rate = 0.001
    config.optimiser.decay = 0.9
    config.clip.name = "norm"
    config.clip.value = 1.0
    config.train.steps = 5000
    config.train.steps_per_dispatch = 50
    config.train.eval_every = 100

    variant = variant or "adding"
    if variant not in VARIANTS:
        raise UserError(f"configs/arjovsky2016.py has no variant {variant!r}; {did_you_mean(variant, VARIANTS)}")
    VARIANTS[variant](config)
    return config


def adding(config: ConfigDict) -> None:
    config.task.form = "arjovsky"


def copy_memory(config: ConfigDict) -> None:
    config.task.name = "copy_memory"
    config.train.steps = 2000


def gradients(config: ConfigDict) -> None:
    adding(config)
    config.train.steps = 100
    config.probe.every = 100


VARIANTS = {"adding": adding, "copy_memory": copy_memory, "gradients": gradients}


def sweep_cells():
    """The two of the paper, the GRU, and the remedy of Le et al. (2015): ReLU from the identity."""
    yield {"cell.name": "rnn"}
    yield {"cell.name": "rnn", "cell.options.activation": "relu", "init.recurrent": "identity"}
    yield {"cell.name": "lstm"}
    yield {"cell.name": "gru"}


def sweep_lengths():
    """T of the problem."""
    for length in (100, 200, 400):
        yield {"task.length": length}


def sweep_seeds():
    """Three seeds."""
    for seed in range(3):
        yield {"seed": seed}
