"""A trained run, ready to use."""

import dataclasses
import logging
import os
import pathlib

import jax
import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from seqjax.config import completed
from seqjax.errors import UserError
from seqjax.models import parameters
from seqjax.results import RunDirectory, complaining
from seqjax.tasks import find_task
from seqjax.training import checkpoints
from seqjax.training.trial import best_weights


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What a run has learned: of a language model, `loaded.model(symbols)` gives `(state, logits)`."""

    model: nnx.Module
    config: ConfigDict
    task: object
    step: int
    """After how many steps of training the parameters were these; 0: before any, the run was never evaluated."""

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


def load(path: str | os.PathLike, step: int | None = None) -> Loaded:
    """The model of a run directory with the parameters that did best, its config and its vocabulary; with `step`, the
    parameters of the snapshot taken after so many steps.

    The training data is not needed. Raises UserError when the run has no checkpoint that verifies, or no such snapshot.
    """
    run = RunDirectory(pathlib.Path(path))
    trial = run.trial()
    with complaining(run.path):
        config = completed(trial["config"])
        task = find_task(config.task.name).from_description(config, trial["task"])
    template = jax.eval_shape(lambda: task.network(nnx.Rngs(0)))
    if step is None:
        step, weights = best_weights(run)
        if not step:
            logging.warning("the run %s was never evaluated: these are the weights it started with", path)
    else:
        weights = _snapshot(run, step)
    model = parameters.unflatten(template, {k: jax.numpy.asarray(v) for k, v in weights.items()})
    return Loaded(model, config, task, step)


def load_evaluated(path: str | os.PathLike) -> Loaded:
    """As `load`, for what makes no sense of a network that learned nothing.

    Raises UserError also where the run has not come to its first evaluation: its best parameters are the first ones.
    """
    loaded = load(path)
    if not loaded.step:
        train = loaded.config.train
        raise UserError(
            f"the run {path} was never evaluated, so that its best weights are those it started with; train it on to "
            f"its first evaluation, at step {min(train.eval_every, train.steps)}"
        )
    return loaded


def snapshots(path: str | os.PathLike) -> list[int]:
    """The steps of a run's snapshots, in order. Damaged ones are named in the log and passed over.

    Raises UserError when the run has none that verifies.
    """
    run = RunDirectory(pathlib.Path(path))
    verified = []
    for step in _kept(run):
        try:
            checkpoints.verify(run.snapshots, step)
            verified.append(step)
        except UserError as error:
            logging.warning("the snapshot of step %d is passed over: %s", step, error)
    if not verified:
        raise UserError(f"the run {run.path} has no snapshot that is not damaged")
    return verified


def _snapshot(run: RunDirectory, step: int) -> dict[str, np.ndarray]:
    kept = _kept(run)
    if step not in kept:
        raise UserError(f"the run {run.path} has no snapshot of step {step}; it has {', '.join(map(str, kept))}")
    return checkpoints.restore(run.snapshots, step)[0]


def _kept(run: RunDirectory) -> list[int]:
    run.trial()
    kept = checkpoints.candidates(run.snapshots)[::-1]
    if not kept:
        raise UserError(
            f"the run {run.path} has no snapshots: train one with --config.train.snapshots=8, in another directory"
        )
    return kept
