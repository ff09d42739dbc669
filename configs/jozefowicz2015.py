"""Jozefowicz, Zaremba & Sutskever (2015), "An empirical exploration of recurrent network architectures", ICML: two of
its problems, arithmetic and XML.

Question: which cell, of 250,000 parameters, learns to calculate among distractors, and to close tags in order?

Their protocol: batches of 20, chunks of 35 symbols, the state carried from chunk to chunk; weights start from
U[-s, s] / sqrt(units) with s in {.3, .7, 1, 1.4, 2, 2.8}; SGD on the gradient of the loss summed over a chunk and
divided by the batch, with a rate in {.1, .2, .3, .5, 1, 2, 5} and a clip at norm {1, 2.5, 5, 10, 20}; 1 to 4 layers;
the best of 220 such settings in the mean. After 3 epochs without improvement the rate is halved every epoch, 4 times.

    python -m experiments.launch --config=configs/jozefowicz2015.py:arithmetic --sweep=cells --workers=2
    python -m experiments.launch --config=configs/jozefowicz2015.py:xml --sweep=cells --workers=2

`--sweep=cells --sweep=settings` is a small search: 16 settings of one layer for each cell. `--sweep=cells
--sweep=protocol` is theirs, for a cluster; that no run goes on for more than 100 epochs is our addition.

What they reached (accuracy; an error here is 1 less it):

                 tanh   LSTM   LSTM, forget bias 1   GRU    MUT1   MUT2   MUT3
    arithmetic   .295   .892   .902                  .896   .921   .897   .907
    XML          .321   .425   .444                  .460   .475   .473   .465

On arithmetic 1 can be reached. On XML new tags are random: who knows which tags are open and names the likeliest symbol
reaches .65, and who knows that one is to be closed but not its name .30.

Here, best of 16 settings of one layer after 30,000 steps, by successive halving, one seed:

    arithmetic   .258   .544   .657                  .642   .583   .673   .617
    XML          .298   .476   .477                  .505   .468   .494   .505

The exact command, all ten cells and what the paper claims one by one: docs/jozefowicz2015.md. A problem took 120 to 140
minutes of processor time. How long a training text is, the paper does not say: here it is 10 million symbols, the same
for all runs, which take 3 and 6 seconds to be written.
"""

from ml_collections import ConfigDict

from seqjax.config import defaults
from seqjax.errors import UserError, did_you_mean
from seqjax.sweeps.spaces import choice, random

VARIANTS = ("arithmetic", "xml")
CELLS = ("rnn", "lstm_j", "lstm_j_no_forget", "lstm_j_no_input", "lstm_j_no_output", "lstm_j_bias")
SPACE = {
    "init.kernel_scale": choice(0.3, 0.7, 1.0, 1.4, 2.0, 2.8),
    "optimiser.learning_rate": choice(0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0),
    "clip.value": choice(1.0, 2.5, 5.0, 10.0, 20.0),
}
EPOCH = 14_200  # chunks, of the 14,285 in a lane of 500,000 symbols: evaluations come after whole dispatches


def get_config(variant: str | None = None) -> ConfigDict:
    config = defaults()
    variant = variant or "arithmetic"
    if variant not in VARIANTS:
        raise UserError(f"configs/jozefowicz2015.py has no variant {variant!r}; {did_you_mean(variant, VARIANTS)}")
    config.task = ConfigDict()
    config.task.name = variant
    config.task.batch = 20  # lanes: texts that are read side by side
    config.task.chunk = 35  # symbols between two updates, and how far gradients travel back
    config.task.symbols = 10_000_000  # of the training text, all lanes together
    config.task.evaluation = 100_000  # symbols of each held-out text

    config.cell.parameters = 250_000
    config.init.kernel = "uniform_units"
    config.init.recurrent = "uniform_units"
    config.optimiser.name = "sgd"
    config.optimiser.learning_rate = 1.0
    config.clip.name = "norm"
    config.clip.value = 5.0

    config.train.steps = 20_000
    config.train.steps_per_dispatch = 100
    config.train.eval_every = 1000
    return config


def sweep_cells():
    """The ten cells of the paper's tables."""
    for cell in (*CELLS, "gru", "mut1", "mut2", "mut3"):
        yield {"cell.name": cell}


def sweep_settings():
    """Sixteen settings drawn from the paper's values, the same for every cell; one layer.

    They are the first of the sampler's draws (seed 43) in which every value occurs, and none of a key's values more
    than three times oftener than another: one to four times each.
    """
    for setting in random(SPACE, count=16, seed=43):
        yield setting | {"init.recurrent_scale": setting["init.kernel_scale"]}


def sweep_protocol():
    """The paper's search: 220 settings, up to 4 layers, until the rate has fallen 4 times, or for 100 epochs."""
    schedule = {"schedule.name": "fall", "schedule.patience": 3, "schedule.decay": 0.5, "schedule.falls": 4}
    length = {"train.eval_every": EPOCH, "train.steps": 100 * EPOCH}
    for setting in random(SPACE | {"cell.layers": choice(1, 2, 3, 4)}, count=220):
        yield setting | {"init.recurrent_scale": setting["init.kernel_scale"]} | schedule | length


def sweep_seeds():
    """Three seeds."""
    for seed in range(3):
        yield {"seed": seed}
