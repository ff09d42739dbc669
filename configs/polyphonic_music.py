"""Polyphonic music, the collections of Boulanger-Lewandowski et al. (2012), arXiv:1206.6392: which notes come next?

Question: which cell gives music the highest likelihood, as in Table 2 of Jozefowicz, Zaremba & Sutskever (2015)?

    python -m experiments.launch --config=configs/polyphonic_music.py --sweep=table --workers=2 --runs=runs/nottingham
    python -m experiments.launch --config=configs/polyphonic_music.py:jsb --sweep=cells --sweep=seeds --workers=2

Variants: `nottingham` (the default; folk tunes with chords), `jsb` (Bach's chorales), `musedata`, `piano_midi`. What is
compared are the nats of a time step, for its 88 notes together; `seqjax/tasks/music.py` says how they are counted.

The rate of Adam is halved after two evaluations, about two passes over the pieces, without improvement, and the run
ends after six. Many of the layer's outputs are dropped, as the networks soon know the pieces by heart.

Found with one seed and few settings tried, nats of the test pieces: Nottingham LSTM 3.308 and GRU 3.346; the chorales
LSTM 8.306 and GRU 8.495. A run of Nottingham takes two to four minutes of one core, one of the chorales twenty seconds.
With other settings: MuseData, LSTM 6.975 with dropout .3 (three minutes); Piano-midi, LSTM 7.533 with 128 units and
dropout .3 (half a minute).

To compare with, Jozefowicz et al.: Nottingham 3.419 and 3.410, Piano-midi 6.820 and 6.876, of LSTM-b and GRU. LSTM-b is
the nearest of their rows to our LSTM, as both start with a forget bias of 1; its output gate is a tanh, ours a sigmoid.
Theirs are without dropout, ours with .4 on Nottingham. And Pascanu et al. (2013), at best: Nottingham 3.36, MuseData
6.97, Piano-midi 7.46.
"""

from ml_collections import ConfigDict

from seqjax.config import defaults
from seqjax.errors import UserError, did_you_mean


def get_config(variant: str | None = None) -> ConfigDict:
    config = defaults()
    config.task = ConfigDict()
    config.task.name = "music"
    config.task.batch = 16  # lanes: places in the music that are read side by side
    config.task.chunk = 64  # time steps between two updates, and how far gradients travel back

    config.data = ConfigDict()
    config.data.source = "nottingham"  # jsb, nottingham, musedata, piano_midi

    config.cell.hidden = 256
    config.model.dropout = 0.4
    config.optimiser.learning_rate = 0.003
    config.clip.value = 1.0
    config.schedule.name = "plateau"
    config.schedule.decay = 0.5
    config.schedule.patience = 2
    config.train.steps = 10_000
    config.train.steps_per_dispatch = 20
    config.train.patience = 6

    variant = variant or "nottingham"
    if variant not in VARIANTS:
        raise UserError(f"configs/polyphonic_music.py has no variant {variant!r}; {did_you_mean(variant, VARIANTS)}")
    VARIANTS[variant](config)
    return config


def nottingham(config: ConfigDict) -> None:
    config.train.eval_every = 180


def jsb(config: ConfigDict) -> None:
    config.data.source = "jsb"
    config.model.dropout = 0.5
    config.task.batch = 8
    config.task.chunk = 32
    config.train.eval_every = 60


def musedata(config: ConfigDict) -> None:
    config.data.source = "musedata"
    config.train.eval_every = 240


def piano_midi(config: ConfigDict) -> None:
    config.data.source = "piano_midi"
    config.model.dropout = 0.5
    config.train.eval_every = 80


VARIANTS = {"nottingham": nottingham, "jsb": jsb, "musedata": musedata, "piano_midi": piano_midi}


def sweep_cells():
    """The six cells of the race."""
    for cell in ("rnn", "lstm", "gru", "mut1", "mut2", "mut3"):
        yield {"cell.name": cell}


def sweep_table():
    """Our LSTM, and the ten cells of the paper's table, with as many parameters as our LSTM of 256 units each."""
    variants = ("no_forget", "no_input", "no_output", "bias")
    for cell in ("rnn", "lstm", "lstm_j", *(f"lstm_j_{name}" for name in variants), "gru", "mut1", "mut2", "mut3"):
        yield {"cell.name": cell, "cell.parameters": 376_000}


def sweep_seeds():
    """Three seeds of weights and dropout; the order of the pieces is the same for all."""
    for seed in range(3):
        yield {"seed": seed}


def sweep_learning_rates():
    """Half-decades around the optimum of most cells."""
    for rate in (0.0005, 0.001, 0.002, 0.005):
        yield {"optimiser.learning_rate": rate}


def sweep_sizes():
    """The budgets of parameters of Jozefowicz et al.: the hidden size is found by bisection."""
    for parameters in (100_000, 1_000_000):
        yield {"cell.parameters": parameters}
