"""Character language models: which recurrent cell learns a text fastest?

The main job, six cells twice on Python's own standard library, one layer each:

    python -m experiments.launch --config=configs/char_lm.py --sweep=cells --sweep=seeds --workers=2

It takes three minutes on two cores. At one rate and after little more than one pass, the MUTs and the GRU are ahead of
the LSTM, which is slower to start: validation nats 1.62 (mut2), 1.64 (mut1), 1.72 (mut3), 1.73 (gru), 1.95 (lstm),
1.98 (rnn), with deviations over two seeds of 0.003 to 0.025.

Variants (`--config=configs/char_lm.py:NAME`):

- `default`: Python source.
- `tiny_shakespeare`: LSTM, 2 layers of 128, on 1.1 MB of Shakespeare, split 90/10. nanoGPT's small CPU setting
  reaches 1.88 nats per character in about three minutes; this was at 1.87 after 36 seconds of training, at 1.54 after
  274, and best, 1.518, after 807, on two cores.
- `text`: any file, in any encoding: add `--config.data.path=FILE`.
- `char_rnn`: the defaults of Karpathy's char-rnn: LSTM, 2 x 128, RMSProp, split 95/5.
- `min_char_rnn`: Karpathy's 112-line program step by step: one lane, 25 symbols a chunk, summed loss, Adagrad,
  elements clipped to [-5, 5]. Its smoothed loss is 25 times the `smoothed_nats` logged here. It starts the text
  over when fewer than 26 symbols are left; so does this preset, except where exactly 26 are, which it still reads.
"""

from ml_collections import ConfigDict

from seqjax.config import defaults
from seqjax.errors import UserError, did_you_mean

CELLS = ("rnn", "lstm", "gru", "mut1", "mut2", "mut3")


def get_config(variant: str | None = None) -> ConfigDict:
    config = defaults()
    config.task = ConfigDict()
    config.task.name = "char_lm"
    config.task.batch = 32  # lanes: places in the text that are read side by side
    config.task.chunk = 64  # symbols between two updates, and how far gradients travel back
    config.task.reduction = "mean"  # of the loss over a chunk: mean or sum

    config.data = ConfigDict()
    config.data.source = "python_stdlib"  # text_file, tiny_shakespeare, war_and_peace, python_stdlib
    config.data.path = ""  # of a text_file
    config.data.symbols = "characters"  # or bytes
    config.data.max_vocabulary = 512  # more distinct characters than this, and the text is read as bytes
    config.data.validation = 0.05  # fractions, cut from the end of the text
    config.data.test = 0.05

    config.sample = ConfigDict()
    config.sample.length = 300
    config.sample.temperature = 0.8
    config.sample.top_k = 0  # choose among so many likeliest symbols; 0 is all
    config.sample.prompt = ""

    variant = variant or "default"
    if variant not in VARIANTS:
        raise UserError(f"configs/char_lm.py has no variant {variant!r}; {did_you_mean(variant, VARIANTS)}")
    VARIANTS[variant](config)
    return config


def default(config: ConfigDict) -> None:
    config.optimiser.learning_rate = 0.005
    config.schedule.name = "cosine"
    config.schedule.final = 0.05
    config.train.steps = 1000
    config.train.eval_every = 200
    config.sample.prompt = "def "


def tiny_shakespeare(config: ConfigDict) -> None:
    config.data.source = "tiny_shakespeare"
    config.data.validation = 0.1
    config.data.test = 0.0
    config.cell.layers = 2
    config.task.batch = 64
    config.task.chunk = 64
    config.optimiser.learning_rate = 0.004
    config.schedule.name = "cosine"
    config.schedule.final = 0.02
    config.model.dropout = 0.1
    config.train.steps = 15000
    config.train.eval_every = 250
    config.sample.prompt = "\n"


def text(config: ConfigDict) -> None:
    config.data.source = "text_file"
    config.train.steps = 2000


def char_rnn(config: ConfigDict) -> None:
    config.data.source = "tiny_shakespeare"
    config.data.validation = 0.05
    config.data.test = 0.0
    config.cell.layers = 2
    config.init.kernel = "uniform"
    config.init.kernel_scale = 0.08
    config.init.recurrent = "uniform"
    config.init.recurrent_scale = 0.08
    config.task.batch = 50
    config.task.chunk = 50
    config.task.reduction = "sum"  # over the chunk, as its gradient is when it is clipped
    config.optimiser.name = "rmsprop"
    config.optimiser.learning_rate = 0.002
    config.optimiser.decay = 0.95
    config.clip.name = "element"
    config.clip.value = 5.0
    config.schedule.name = "exponential"
    config.schedule.unit = "epochs"
    config.schedule.begin = 9  # the eleventh epoch is the first with a lower rate
    config.schedule.every = 1
    config.schedule.decay = 0.97
    config.train.epochs = 50
    config.train.eval_every = 500


def min_char_rnn(config: ConfigDict) -> None:
    config.data.source = "tiny_shakespeare"
    config.data.validation = 0.0
    config.data.test = 0.0
    config.cell.name = "rnn"
    config.cell.hidden = 100
    config.init.kernel = "normal"
    config.init.kernel_scale = 0.01
    config.init.recurrent = "normal"
    config.init.recurrent_scale = 0.01
    config.task.batch = 1
    config.task.chunk = 25
    config.task.reduction = "sum"
    config.optimiser.name = "adagrad"
    config.optimiser.learning_rate = 0.1
    config.clip.name = "element"
    config.clip.value = 5.0
    config.train.steps = 100000
    config.train.steps_per_dispatch = 100
    config.train.eval_every = 1000
    config.sample.length = 200
    config.sample.temperature = 1.0


VARIANTS = {
    "default": default,
    "tiny_shakespeare": tiny_shakespeare,
    "text": text,
    "char_rnn": char_rnn,
    "min_char_rnn": min_char_rnn,
}


def sweep_cells():
    """The six cells of the race."""
    for cell in CELLS:
        yield {"cell.name": cell}


def sweep_seeds():
    """Two seeds: enough for a first error bar."""
    for seed in range(2):
        yield {"seed": seed}


def sweep_learning_rates():
    """Half-decades around the optimum of most cells."""
    for rate in (0.001, 0.002, 0.005, 0.01, 0.02):
        yield {"optimiser.learning_rate": rate}


def sweep_sizes():
    """Budgets of parameters, the same for every cell: the hidden size is found by bisection."""
    for parameters in (25_000, 50_000, 100_000, 200_000):
        yield {"cell.parameters": parameters}
