"""What a study of vanishing gradients is asked to do, and the problem it is measured on."""

import dataclasses

from ml_collections import ConfigDict

from seqjax.config import defaults
from seqjax.errors import UserError

SHORTEST = 10  # the adding problem's


@dataclasses.dataclass(frozen=True)
class Settings:
    """`length` is in steps, `training_steps` the steps of training between "before" and "after"."""

    length: int = 100
    hidden: int = 32
    seeds: int = 5
    batch: int = 50
    training_steps: int = 100
    clipping_steps: int = 600
    clipping_length: int = 30

    def __post_init__(self):
        for name, least, most, why in (
            ("length", SHORTEST, 10_000, " (steps of the adding problem)"),
            ("hidden", 1, 1024, ""),
            ("seeds", 1, 100, ""),
            ("training_steps", 1, 1_000_000, ""),
        ):
            value, option = getattr(self, name), f"--{name.replace('_', '-')}"
            if value < least:
                raise UserError(f"{option} is {value}; it should be at least {least}{why}")
            if value > most:
                raise UserError(f"{option} is {value}; it should be at most {most}{why}")


def adding(settings: Settings, cell: str, **options) -> ConfigDict:
    """The adding problem for one cell, with the optimiser and the clipping of configs/pathological.py."""
    config = defaults()
    config.task = ConfigDict(
        {"name": "adding", "form": "arjovsky", "length": settings.length, "batch": settings.batch, "evaluation": 1000}
    )
    config.cell.name = cell
    config.cell.hidden = settings.hidden
    config.cell.options = ConfigDict(options)
    config.optimiser.learning_rate = 0.002
    config.clip.value = 1.0
    config.train.steps = settings.training_steps
    config.train.steps_per_dispatch = settings.training_steps
    return config
