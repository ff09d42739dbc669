"""The training loop: the only part of training that reads and writes files.

Everything that decides what happens next is in the checkpoint, so a run that is stopped at any moment and started again
writes the metrics it would have written.
"""

import dataclasses
import logging
import math
import time
from collections.abc import Callable

import jax
import numpy as np
from ml_collections import ConfigDict

from seqjax.config import at_least
from seqjax.errors import UserError
from seqjax.models.parameters import flatten
from seqjax.results import RunDirectory
from seqjax.training import checkpoints, regulariser
from seqjax.training.optimisers import check as check_optimiser
from seqjax.training.step import CAUSES, Trainer, TrainState

SMOOTHING = 0.999  # of the training loss, per step: min-char-rnn's


def check(config: ConfigDict) -> None:
    """Raise UserError for a value of `train`, `model` or the optimiser's groups that is out of range."""
    check_optimiser(config)
    regulariser.check(config)
    for key, least in (
        ("train.steps", 1),
        ("train.epochs", 0),
        ("train.steps_per_dispatch", 1),
        ("train.eval_every", 1),
        ("train.patience", 0),
        ("train.checkpoint_seconds", 0),
        ("train.snapshots", 0),
        ("model.dropout", 0),
        ("model.remat", 0),
        ("probe.every", 0),
        ("seed", 0),
    ):
        at_least(config, key, least)
    if config.model.dropout >= 1:
        raise UserError(f"config key 'model.dropout' is {config.model.dropout}; it should be under 1")
    if config.train.snapshots == 1:
        raise UserError("config key 'train.snapshots' is 1; it should be 0, or 2 and more: the start's and the end's")
    for key, value in (("train.eval_every", config.train.eval_every), ("probe.every", config.probe.every)):
        if value % config.train.steps_per_dispatch:
            raise UserError(
                f"{key} is {value}; it should be a multiple of train.steps_per_dispatch, "
                f"{config.train.steps_per_dispatch}"
            )


@dataclasses.dataclass
class Record:
    """What the loop knows besides the training state; saved with every checkpoint."""

    smoothed: float  # the measure while training, exponential mean over steps
    best: float | None = None  # lowest validation score
    best_step: int = 0
    without_improvement: int = 0  # evaluations since the best one
    until_plateau: int = 0  # evaluations without improvement that the plateau schedule has counted
    seconds: float = 0.0  # of training, work that a kill undid not counted
    metrics_lines: int = 0
    solved: int | None = None  # the step at which the validation score first met the task's criterion
    finished: bool = False  # stopped early


class Loop:
    """Trains one run to its end, or until asked to stop."""

    def __init__(self, run: RunDirectory, task, config: ConfigDict, start: dict | None = None):
        self.run, self.task, self.config = run, task, config
        self.trainer = Trainer(task, config)
        self.measure = task.measure
        self.record = Record(smoothed=self.measure.baseline)
        self.snapshots_due = checkpoints.snapshot_steps(config)
        self.state = self._restored() or self._fresh(start)
        if int(self.state.step) > config.train.steps:
            raise UserError(
                f"{run.path} is trained for {int(self.state.step)} steps already; train.steps = {config.train.steps} "
                "cannot take any back"
            )

    def _fresh(self, start) -> TrainState:
        for journal in (self.run.metrics, self.run.timing):
            journal.cut(0)
        self.run.cut_samples(-1)
        for folder in (self.run.checkpoints, self.run.snapshots):
            checkpoints.discard_after(folder, -1)
        state = self.trainer.initialise(start)
        self.best = jax.device_get(state.parameters)
        return state

    def _restored(self) -> TrainState | None:
        """The state of the newest checkpoint that verifies and whose metrics are all there."""
        intact = len(self.run.metrics.read())
        if damage := self.run.metrics.damage():
            logging.warning("%s; what was measured after it is measured again", damage)
        steps = checkpoints.candidates(self.run.checkpoints)
        for step in steps:
            try:
                arrays, loop = checkpoints.restore(self.run.checkpoints, step)
            except UserError as error:
                logging.warning("the checkpoint of step %d is passed over: %s", step, error)
                continue
            if loop["metrics_lines"] > intact:
                logging.warning("the checkpoint of step %d is passed over: metrics before it are lost", step)
                continue
            return self._continue(step, arrays, loop)
        if steps:
            logging.warning("no checkpoint of %s can be used; the run starts over", self.run.path)
        return None

    def _continue(self, step, arrays, loop) -> TrainState:
        self.record = Record(**loop)
        template = jax.eval_shape(self.trainer.initialise)
        trees = checkpoints.from_arrays({"state": template, "best": template.parameters}, arrays)
        self.best = trees["best"]
        self.run.metrics.cut(self.record.metrics_lines)
        self.run.timing.cut(sum(line["step"] <= step for line in self.run.timing.read()))
        self.run.cut_samples(step)
        for folder in (self.run.checkpoints, self.run.snapshots):
            checkpoints.discard_after(folder, step)
        logging.info("going on from step %d", step)
        return self.trainer.place(trees["state"])

    def train(self, stop_requested: Callable[[], bool] = lambda: False) -> str:
        """Train until the end; returns the run's new state. The reason, where there is one, is in its status file."""
        if int(self.state.diverged):  # stopped between the checkpoint and the status that tell of it
            return self._end("diverged", self._why_diverged())
        self.run.set_status("running")
        if not self._over():
            began = time.perf_counter()
            self.trainer.compile(self.state)
            logging.info("the training step compiled in %.1f s", time.perf_counter() - began)
        with self.run.metrics.appending() as self.metrics, self.run.timing.appending() as self.timing:
            self._saved_at = time.monotonic()
            if not self.record.metrics_lines:
                self._probe(0)
                self._snapshot(0)
            while not self._over():
                if stop_requested():
                    self._save()
                    return self._end("interrupted", f"stopped at step {int(self.state.step)}; it can go on from there")
                self._dispatch()
                if int(self.state.diverged):
                    return self._diverged()
                self._snapshot(int(self.state.step))
                if time.monotonic() - self._saved_at > self.config.train.checkpoint_seconds:
                    self._save()
            self._save()
            self._measure_best()
            self.metrics.sync()
        return self._end("done", self._why_done())

    def _why_done(self) -> str:
        solved, step = self.record.solved, int(self.state.step)
        reasons = [f"solved at step {solved}"] if solved is not None else []
        if self.record.finished and not (solved == step and self.config.train.stop_when_solved):
            reasons.append(f"stopped early: no better since step {self.record.best_step}")
        return "; ".join(reasons)

    def _over(self) -> bool:
        return self.record.finished or int(self.state.step) >= self.config.train.steps

    def _end(self, state: str, why: str = "") -> str:
        self.run.set_status(state, why)
        logging.info("%s%s", state, f": {why}" if why else "")
        return state

    def _dispatch(self) -> None:
        before, began = int(self.state.step), time.perf_counter()
        # Up to the next multiple, also where the run once ended between two: evaluations are due at multiples.
        size = self.config.train.steps_per_dispatch
        stop = min(self.config.train.steps, (before // size + 1) * size)
        self.state, measured = self.trainer.run(self.state, stop)
        step = int(self.state.step)
        taken = step - before
        measured = {name: np.asarray(values, np.float64)[:taken] for name, values in measured.items()}
        seconds = time.perf_counter() - began
        self.record.seconds += seconds
        if taken:
            for score in measured[self.measure.name]:
                self.record.smoothed = SMOOTHING * self.record.smoothed + (1 - SMOOTHING) * float(score)
            means = {name: float(values.mean()) for name, values in measured.items()}
            self._log({"kind": "train", "step": step, **means, f"smoothed_{self.measure.name}": self.record.smoothed})
            if not int(self.state.diverged):
                self._probe(step)
        if not int(self.state.diverged) and (
            step % self.config.train.eval_every == 0 or step == self.config.train.steps
        ):
            self._evaluate(step)
        self.timing.add(
            {
                "step": step,
                "seconds": round(self.record.seconds, 4),
                "dispatch": round(seconds, 4),
                "steps": taken,
                "total": round(time.perf_counter() - began, 4),
            }
        )

    def _probe(self, step: int) -> None:
        if self.config.probe.every and step % self.config.probe.every == 0:
            self._log({"kind": "probe", "step": step, **self.trainer.probe(self.state)})

    def _log(self, record: dict) -> None:
        self.metrics.add(record)
        self.record.metrics_lines += 1

    def _evaluate(self, step: int) -> None:
        network = self.trainer.network(self.state.parameters)
        scores = self.task.evaluate(network, "validation", self.trainer.mesh)
        if scores:
            self._log({"kind": "validation", "step": step, **scores})
            self._judge(step, scores[self.measure.name])
        else:
            self.record.best_step = step
            self.best = jax.device_get(self.state.parameters)
        text = self.task.sample(self.trainer.network(jax.device_get(self.state.parameters)), self.config.seed)
        self.run.write_sample(step, text)

    def _judge(self, step: int, score: float) -> None:
        """Best so far, success, early stopping, and the plateau schedule."""
        record, schedule = self.record, self.config.schedule
        criterion = self.measure.solved_below
        if criterion is not None and record.solved is None and score < criterion:
            record.solved = step
            self._log({"kind": "solved", "step": step})
            record.finished = self.config.train.stop_when_solved
        if math.isfinite(score) and (record.best is None or score < record.best):
            record.best, record.best_step = score, step
            record.without_improvement = record.until_plateau = 0
            self.best = jax.device_get(self.state.parameters)
            return
        if step % self.config.train.eval_every:  # the end of a run that may go on as if it had not ended here
            return
        record.without_improvement += 1
        record.until_plateau += 1
        record.finished |= 0 < self.config.train.patience <= record.without_improvement
        if schedule.name == "plateau" and record.until_plateau >= schedule.patience:
            record.until_plateau = 0
            self.state = dataclasses.replace(self.state, plateau=self.state.plateau * schedule.decay)

    def _snapshot(self, step: int) -> None:
        """Keep the weights where it is due, and at the end of a run that stops early."""
        if step in self.snapshots_due or (self.snapshots_due and self._over()):
            checkpoints.save(self.run.snapshots, step, checkpoints.to_arrays(self.state.parameters))

    def _save(self) -> None:
        self.metrics.sync()
        arrays = checkpoints.to_arrays({"state": self.state, "best": self.best})
        loop = dataclasses.asdict(self.record)
        checkpoints.save(self.run.checkpoints, int(self.state.step), arrays, loop, checkpoints.KEPT)
        self._saved_at = time.monotonic()

    def _diverged(self) -> str:
        self._log({"kind": "diverged", "step": int(self.state.step) + 1, "cause": CAUSES[int(self.state.diverged)]})
        self._save()
        return self._end("diverged", self._why_diverged())

    def _why_diverged(self) -> str:
        cause = CAUSES[int(self.state.diverged)]
        return f"{cause} of step {int(self.state.step) + 1} is not finite; the state before it is kept"

    def _measure_best(self) -> None:
        """The scores by which runs are compared: of the parameters that did best on the validation data."""
        network = self.trainer.network(self.best)
        for split in ("train", "validation", "test"):
            if scores := self.task.evaluate(network, split, self.trainer.mesh):
                self.metrics.add({"kind": "final", "split": split, "step": self.record.best_step, **scores})


def start_from(weights: dict[str, np.ndarray], network) -> dict[str, np.ndarray]:
    """Another run's weights, checked to fit `network`. Raises UserError where they do not."""
    wanted = flatten(network)
    if wanted.keys() != weights.keys() or any(wanted[name].shape != weights[name].shape for name in wanted):
        raise UserError("init_from names a run whose network has another shape than this one's")
    return weights
