"""Penn Treebank: words as in Zaremba, Sutskever & Vinyals (2014), arXiv:1409.2329, and characters.

Question: what test perplexity does an LSTM of two layers reach, with dropout on all but its recurrent connections?

    python -m experiments.launch --config=configs/penn_treebank.py                       # the small LSTM
    python -m experiments.launch --config=configs/penn_treebank.py:zaremba_large         # for a GPU
    python -m experiments.launch --config=configs/penn_treebank.py:characters

Variants: `zaremba_small` (the default; 2 x 200, no dropout), `zaremba_medium` (2 x 650), `zaremba_large` (2 x 1500),
and `characters` (one layer of 256). The authors' program names test perplexities of 115 for the small one and 82 for
the large one.

Sweeps: `cells`, `table` (the cells of Table 3 of Jozefowicz et al., 2015) and `seeds`. Each cell keeps the recipe and
its number of units; the authors' forget bias of 0 is an option of the LSTM, others start as they do elsewhere.

The recipe is that of the authors' program: 20 lanes, loss summed over a chunk, plain SGD with rate 1 that falls after
so many epochs. There all parameters start from one uniform distribution; here weights do, while biases start at 0 and
the embedding from N(0, 1 / width). There the test text is read from its first word to its last; here it is read in 64
places at once, each after 64 words of warm-up.

Found, one seed: the small LSTM's best validation perplexity is 120.2, after 6 epochs; those weights have a test
perplexity of 116.0. By the epoch, on the validation text: 175.0, 140.5, 130.2, 127.1, 126.0, 120.2, 120.3, 121.8,
122.7, 123.1; there the run was stopped, after 54 minutes of one core that was shared with other work (39 to the
best). Alone, a step takes 90 ms on one core of an AVX-512 server and 63 on two, 13 epochs of 2,323 steps 48 minutes
or 34; half of the time goes to the three matrix products of its 10,000 outputs. The characters' 5 epochs should take
12 minutes of one core, at 90 ms a step.
"""

from ml_collections import ConfigDict

from seqjax.config import defaults
from seqjax.errors import UserError, did_you_mean


def get_config(variant: str | None = None) -> ConfigDict:
    config = defaults()
    config.task = ConfigDict()
    config.task.name = "char_lm"
    config.task.batch = 20  # lanes: places in the text that are read side by side
    config.task.chunk = 35  # symbols between two updates, and how far gradients travel back
    config.task.reduction = "sum"  # of the loss over a chunk: its gradient is clipped, and its rate is 1

    config.data = ConfigDict()
    config.data.source = "ptb"  # or ptb_characters
    config.data.path = ""
    config.data.symbols = "words"
    config.data.max_vocabulary = 10_000
    config.data.validation = 0.0  # the source has its own validation and test text
    config.data.test = 0.0

    config.sample = ConfigDict()
    config.sample.length = 60
    config.sample.temperature = 1.0
    config.sample.top_k = 0
    config.sample.prompt = ""

    config.cell.layers = 2

    variant = variant or "zaremba_small"
    if variant not in VARIANTS:
        raise UserError(f"configs/penn_treebank.py has no variant {variant!r}; {did_you_mean(variant, VARIANTS)}")
    VARIANTS[variant](config)
    return config


def zaremba_small(config: ConfigDict) -> None:
    config.task.chunk = 20
    _zaremba(config, hidden=200, start=0.1, dropout=0.0, clip=5.0)
    _falling(config, epochs=13, constant=4, factor=1 / 2)
    config.train.steps_per_dispatch = 23
    config.train.eval_every = 2323  # an epoch


def zaremba_medium(config: ConfigDict) -> None:
    _zaremba(config, hidden=650, start=0.05, dropout=0.5, clip=5.0)
    _falling(config, epochs=39, constant=6, factor=1 / 1.2)


def zaremba_large(config: ConfigDict) -> None:
    _zaremba(config, hidden=1500, start=0.04, dropout=0.65, clip=10.0)
    _falling(config, epochs=55, constant=14, factor=1 / 1.15)


def _zaremba(config: ConfigDict, hidden: int, start: float, dropout: float, clip: float) -> None:
    config.cell.hidden = hidden
    config.cell.options.forget_bias = 0.0
    config.model.embedding = hidden
    config.model.dropout = dropout
    config.model.input_dropout = True
    config.init.kernel = config.init.recurrent = "uniform"
    config.init.kernel_scale = config.init.recurrent_scale = start
    config.optimiser.name = "sgd"
    config.optimiser.learning_rate = 1.0
    config.clip.value = clip


def _falling(config: ConfigDict, epochs: int, constant: int, factor: float) -> None:
    """The rate falls after each epoch but the first `constant`."""
    config.train.epochs = epochs
    config.train.eval_every = 1325  # about an epoch
    config.schedule.name = "exponential"
    config.schedule.unit = "epochs"
    config.schedule.begin = constant
    config.schedule.every = 1
    config.schedule.decay = factor


def characters(config: ConfigDict) -> None:
    config.task.batch = 32
    config.task.chunk = 100
    config.task.reduction = "mean"
    config.data.source = "ptb_characters"
    config.data.symbols = "characters"
    config.sample.length = 300
    config.cell.layers = 1
    config.cell.hidden = 256
    config.model.dropout = 0.2
    config.optimiser.learning_rate = 0.002
    config.clip.value = 1.0
    config.schedule.name = "cosine"
    config.schedule.final = 0.02
    config.train.epochs = 5
    config.train.eval_every = 500


VARIANTS = {
    "zaremba_small": zaremba_small,
    "zaremba_medium": zaremba_medium,
    "zaremba_large": zaremba_large,
    "characters": characters,
}


def sweep_cells():
    """Cells with the same recipe."""
    for cell in ("rnn", "lstm", "gru", "mut1", "mut2", "mut3"):
        yield {"cell.name": cell}


def sweep_table():
    """Our LSTM, and the ten cells of Table 3 of Jozefowicz et al. (2015), with the recipe's number of units each."""
    variants = ("no_forget", "no_input", "no_output", "bias")
    for cell in ("rnn", "lstm", "lstm_j", *(f"lstm_j_{name}" for name in variants), "gru", "mut1", "mut2", "mut3"):
        yield {"cell.name": cell}


def sweep_seeds():
    """Three seeds."""
    for seed in range(3):
        yield {"seed": seed}
