"""Character models to look inside, after Karpathy, Johnson & Fei-Fei (2016), arXiv:1506.02078.

    python -m experiments.launch --config=configs/karpathy2016.py --runs=runs/inside
    python -m experiments.launch --config=configs/karpathy2016.py:war_and_peace --runs=runs/inside
    python -m experiments.look_inside runs/inside/NAME

The models of the gallery in `docs/`, LSTMs of two layers that two cores train in under twenty minutes each. The paper's
were larger and trained longer, on War and Peace and on the source of Linux.

- `python` (the default): Python's own standard library.
- `war_and_peace`: the paper's text, split 80/10/10 as there.

`--sweep=sizes` trains three widths: what does the largest know that the smallest does not?

    python -m experiments.errors runs/inside/SMALL runs/inside/LARGE
"""

from ml_collections import ConfigDict

from seqjax.config import defaults
from seqjax.errors import UserError, did_you_mean


def get_config(variant: str | None = None) -> ConfigDict:
    config = defaults()
    config.task = ConfigDict()
    config.task.name = "char_lm"
    config.task.batch = 32  # lanes: places in the text that are read side by side
    config.task.chunk = 100  # symbols between two updates, and how far gradients travel back
    config.task.reduction = "mean"

    config.data = ConfigDict()
    config.data.source = "python_stdlib"
    config.data.path = ""
    config.data.symbols = "characters"
    config.data.max_vocabulary = 512
    config.data.validation = 0.05
    config.data.test = 0.05

    config.sample = ConfigDict()
    config.sample.length = 400
    config.sample.temperature = 0.6
    config.sample.top_k = 0
    config.sample.prompt = ""

    config.cell.layers = 2
    config.cell.hidden = 192
    config.model.dropout = 0.1
    config.optimiser.learning_rate = 0.004
    config.schedule.name = "cosine"
    config.schedule.final = 0.02
    config.train.steps = 12000
    config.train.eval_every = 500
    config.train.snapshots = 8

    variant = variant or "python"
    if variant not in VARIANTS:
        raise UserError(f"configs/karpathy2016.py has no variant {variant!r}; {did_you_mean(variant, VARIANTS)}")
    VARIANTS[variant](config)
    return config


def python(config: ConfigDict) -> None:
    config.sample.prompt = "def "


def war_and_peace(config: ConfigDict) -> None:
    config.data.source = "war_and_peace"
    config.data.validation = 0.1
    config.data.test = 0.1
    config.sample.prompt = "The "


VARIANTS = {"python": python, "war_and_peace": war_and_peace}


def sweep_sizes():
    """Widths of the two layers."""
    for hidden in (64, 128, 192):
        yield {"cell.hidden": hidden}
