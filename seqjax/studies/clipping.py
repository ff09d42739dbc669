"""What clipping does: to the training of a vanilla network, and at the cliff of the smallest one.

Reference: Pascanu, Mikolov & Bengio (2013), arXiv:1211.5063.
"""

import dataclasses

import jax
import numpy as np
from jaxtyping import Float64
from ml_collections import ConfigDict

from seqjax.analysis import cliff
from seqjax.config import defaults
from seqjax.studies.settings import Settings
from seqjax.tasks import TemporalOrder
from seqjax.training.step import Trainer

THRESHOLD = 3.0
RECURRENT_SCALE = 1.2  # above the critical value of tanh: gradients may explode
LEARNING_RATE = 0.03


@dataclasses.dataclass(frozen=True)
class TrainingStudy:
    """One training run, step by step, up to where it stops or diverges."""

    clip: bool
    gradient_norm: Float64[np.ndarray, "steps"]  # before clipping
    clipped: Float64[np.ndarray, "steps"]  # 1 where the step was clipped
    loss: Float64[np.ndarray, "steps"]  # nats
    diverged: bool
    threshold: float
    title: str


@dataclasses.dataclass(frozen=True)
class CliffStudy:
    """The loss surface of `analysis.cliff` around the clipped descent and further, and two descents from one place."""

    near: dict[str, np.ndarray]  # w [ws], b [bs], loss [ws, bs]
    far: dict[str, np.ndarray]
    free: dict[str, np.ndarray]  # w, b, loss, gradient_norm, clipped: [steps + 1]
    clipped: dict[str, np.ndarray]
    settings: dict[str, float]


def measure_training(settings: Settings) -> list[TrainingStudy]:
    """A tanh network on temporal order by plain gradient descent, from one start with and without clipping."""
    return [_train(_config(settings, clip)) for clip in ("none", "norm")]


def _config(settings: Settings, clip: str) -> ConfigDict:
    config = defaults()
    config.task = ConfigDict(
        {"name": "temporal_order", "symbols": 2, "length": settings.clipping_length, "batch": 20, "evaluation": 1000}
    )
    config.cell.name = "rnn"
    config.cell.hidden = settings.hidden
    config.init.recurrent_scale = RECURRENT_SCALE
    config.optimiser.name = "sgd"
    config.optimiser.learning_rate = LEARNING_RATE
    config.clip.name = clip
    config.clip.value = THRESHOLD
    config.train.steps = config.train.steps_per_dispatch = settings.clipping_steps
    return config


def _train(config: ConfigDict) -> TrainingStudy:
    task = TemporalOrder(config)
    trainer = Trainer(task, config, jax.devices()[:1])
    state, metrics = trainer.run(trainer.initialise(), config.train.steps)
    taken = int(state.step)
    return TrainingStudy(
        clip=config.clip.name != "none",
        diverged=bool(state.diverged),
        threshold=config.clip.value,
        title=f"{task.title}; tanh, an orthogonal matrix times {config.init.recurrent_scale:g} at the start, plain "
        f"gradient descent with learning rate {config.optimiser.learning_rate:g}",
        **{name: np.asarray(metrics[name], np.float64)[:taken] for name in ("gradient_norm", "clipped", "loss")},
    )


def measure_cliff(settings: Settings) -> CliffStudy:
    """The surface, in which nothing of the settings enters."""
    descents = [cliff.descend(**{**cliff.START, "clip": clip}) for clip in (None, cliff.START["clip"])]
    points = {axis: np.concatenate([descent[axis] for descent in descents]) for axis in ("w", "b")}
    near = {axis: _range(descents[1][axis], 0.35) for axis in points}
    far = {axis: _range(np.concatenate([points[axis], cliff.WINDOW[axis]]), 0.1) for axis in points}
    return CliffStudy(_surface(near), _surface(far), *descents, dict(cliff.START))


def _range(values: np.ndarray, margin: float) -> tuple[float, float]:
    low, high = values.min(), values.max()
    return low - margin * (high - low), high + margin * (high - low)


def _surface(window, places: int = 301):
    w, b = (np.linspace(*window[axis], places) for axis in ("w", "b"))
    return {"w": w, "b": b, "loss": cliff.surface(w, b)}
