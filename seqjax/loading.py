"""A trained run, ready to use."""

import dataclasses
import os
import pathlib

import jax
import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from seqjax.errors import UserError
from seqjax.models import parameters
from seqjax.results import RunDirectory
from seqjax.tasks import find_task
from seqjax.training.trial import load_weights


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What a run has learned: of a language model, `loaded.model(symbols)` gives `(state, logits)`."""

    model: nnx.Module
    config: ConfigDict
    task: object

    @property
    def is_language_model(self) -> bool:
        return hasattr(self.task, "vocabulary")

    @property
    def vocabulary(self):
        """The symbols of a language model. Raises UserError where the run is none."""
        if not self.is_language_model:
            raise UserError(f"a run of the task {self.config.task.name} has no vocabulary: it is no language model")
        return self.task.vocabulary

    def sample(self, prompt: str | None = None, *, seed: int = 0, **settings) -> str:
        """A text that starts with the prompt; `settings` are length, temperature and top_k.

        Raises UserError where the run is no language model.
        """
        if not self.is_language_model:
            raise UserError(f"a run of the task {self.config.task.name} writes no text: it is no language model")
        return self.task.sample(self.model, seed, prompt=prompt, **settings)

    def weights(self) -> dict[str, np.ndarray]:
        """The parameters by name."""
        return {name: np.asarray(value) for name, value in parameters.flatten(self.model).items()}


def load(path: str | os.PathLike) -> Loaded:
    """The model of a run directory with the parameters that did best, its config and its vocabulary.

    The training data is not needed. Raises UserError when the run has no checkpoint that verifies.
    """
    run = RunDirectory(pathlib.Path(path))
    trial = run.trial()
    config = ConfigDict(trial["config"])
    task = find_task(config.task.name).from_description(config, trial["task"])
    template = jax.eval_shape(lambda: task.network(nnx.Rngs(0)))
    weights = load_weights(run)
    return Loaded(parameters.unflatten(template, {k: jax.numpy.asarray(v) for k, v in weights.items()}), config, task)
