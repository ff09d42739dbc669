"""The training loop: the only part of training that reads and writes files.

Everything that decides what happens next is in the checkpoint, so a run that is stopped at any moment and started again
writes the metrics it would have written.
"""

import contextlib
import dataclasses
import logging
import math
import time
from collections.abc import Callable

import jax
import numpy as np
from ml_collections import ConfigDict

from seqjax.config import at_least, check_whole_numbers
from seqjax.errors import UserError
from seqjax.models.parameters import flatten
from seqjax.results import RunDirectory
from seqjax.training import checkpoints, processes, regulariser
from seqjax.training.optimisers import check as check_optimiser
from seqjax.training.stack import Stack
from seqjax.training.step import CAUSES, Trainer, TrainState

SMOOTHING = 0.999  # of the training loss, per step: min-char-rnn's


def check(config: ConfigDict) -> None:
    """Raise UserError for a value of `train`, `model` or the optimiser's groups that is out of range."""
    check_whole_numbers(config)
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
    until_plateau: int = 0  # evaluations without improvement that the schedule has counted
    falls: int = 0  # how often the schedule "fall" has lowered the rate
    seconds: float = 0.0  # of training, work that a kill undid not counted
    metrics_lines: int = 0
    solved: int | None = None  # the step at which the validation score first met the task's criterion
    finished: bool = False  # stopped early


class Loop:
    """One run: what is measured, judged, written and saved while it is trained."""

    def __init__(
        self,
        run: RunDirectory,
        task,
        config: ConfigDict,
        start: dict | None = None,
        trainer: Trainer | None = None,
        until: int | None = None,
    ):
        """`start` are weights to start from; at step `until` the run pauses, measured and saved."""
        self.run, self.task, self.config = run, task, config
        self.until = until or config.train.steps
        self.trainer = trainer or Trainer(task, config)
        self.measure = task.measure
        self.outcome = ""  # the run's state once it has ended here
        self.metrics = self.timing = None  # open from begin() on
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
        timed = sum(line["step"] <= step for line in self.run.timing.read())
        self.run.timing.cut(timed)
        if timed < sum(record["kind"] == "train" for record in self.run.metrics.read()):
            logging.warning(
                "%s has lost lines; how long the steps before %d took is not known", self.run.timing.path, step
            )
        self.run.cut_samples(step)
        for folder in (self.run.checkpoints, self.run.snapshots):
            checkpoints.discard_after(folder, step)
        kept = checkpoints.candidates(self.run.snapshots)
        for due in self.snapshots_due:
            if due <= step and due not in kept:
                logging.warning("the snapshot %s is missing", self.run.snapshots / f"{due:08d}")
        logging.info("going on from step %d", step)
        return self.trainer.place(trees["state"])

    def train(self, stop_requested: Callable[[], bool] = lambda: False) -> str:
        """Train until the end; returns the run's new state. The reason, where there is one, is in its status file."""
        return train([self], self.trainer, stop_requested)[0]

    def begin(self, files: contextlib.ExitStack) -> None:
        """Open the journals; what is over already is measured and ended."""
        self.metrics = files.enter_context(self.run.metrics.appending())
        self.timing = files.enter_context(self.run.timing.appending())
        if int(self.state.diverged):  # stopped between the checkpoint and the status that tell of it
            self._end("diverged", self._why_diverged())
            return
        self.run.set_status("running")
        self._saved_at = time.monotonic()
        if not self.record.metrics_lines:
            self._probe(0)
            self._snapshot(0)
        if self._over() or int(self.state.step) >= self.until:
            self._finish()

    @property
    def stop(self) -> int:
        """The step up to which the next dispatch goes.

        It is the next multiple of the dispatch's size, also where the run once ended between two: evaluations are due
        at multiples.
        """
        size, step = self.config.train.steps_per_dispatch, int(self.state.step)
        return step if self.outcome else min(self.config.train.steps, self.until, (step // size + 1) * size)

    def interrupt(self) -> None:
        """Save, to go on another time."""
        self._save()
        self._end("interrupted", f"stopped at step {int(self.state.step)}; it can go on from there")

    def fail(self, why: str) -> None:
        """Give up, and leave the reason where that can still be written."""
        self.outcome = "failed"
        with contextlib.suppress(UserError):
            self._end("failed", why)

    def take(self, before: int, measured: dict[str, np.ndarray], seconds: float) -> None:
        """What follows a dispatch that began at step `before`: write, evaluate, judge, save, and end what is over."""
        began = time.perf_counter()
        step, diverged = int(self.state.step), int(self.state.diverged)
        taken = step - before
        measured = {name: np.asarray(values, np.float64)[:taken] for name, values in measured.items()}
        self.record.seconds += seconds
        if taken:
            for score in measured[self.measure.name]:
                self.record.smoothed = SMOOTHING * self.record.smoothed + (1 - SMOOTHING) * float(score)
            means = {name: float(values.mean()) for name, values in measured.items()}
            self._log({"kind": "train", "step": step, **means, f"smoothed_{self.measure.name}": self.record.smoothed})
            if not diverged:
                self._probe(step)
        if not diverged and (step % self.config.train.eval_every == 0 or step == self.config.train.steps):
            self._evaluate(step)
        self.timing.add(
            {
                "step": step,
                "seconds": round(self.record.seconds, 4),
                "dispatch": round(seconds, 4),
                "steps": taken,
                "total": round(seconds + time.perf_counter() - began, 4),
            }
        )
        if diverged:
            self._diverged()
            return
        self._snapshot(step)
        if self._over() or step >= self.until:
            self._finish()
        elif processes.any_of(time.monotonic() - self._saved_at > self.config.train.checkpoint_seconds):
            self._save()

    def _finish(self) -> None:
        self._save()
        self._measure_best()
        self.metrics.sync()
        self.timing.sync()
        if self._over():
            self._end("done", self._why_done())
        else:  # going on cuts off what was measured at the pause
            self._end("interrupted", f"paused at step {int(self.state.step)}; it can go on from there")

    def _why_done(self) -> str:
        solved, step = self.record.solved, int(self.state.step)
        reasons = [f"solved at step {solved}"] if solved is not None else []
        if self.record.finished and not (solved == step and self.config.train.stop_when_solved):
            fallen = self.record.falls > self.config.schedule.falls
            why = "its rate has fallen to the last" if fallen else f"no better since step {self.record.best_step}"
            reasons.append(f"stopped early: {why}")
        return "; ".join(reasons)

    def _over(self) -> bool:
        return self.record.finished or int(self.state.step) >= self.config.train.steps

    def _end(self, state: str, why: str = "") -> None:
        self.outcome = state
        self.run.set_status(state, why, self._lines)
        logging.info("%s %s%s", self.run.name, state, f": {why}" if why else "")

    @property
    def _lines(self) -> dict[str, int] | None:
        """Of the journals, by their files' names; None before they are open."""
        journals = ((self.run.metrics, self.metrics), (self.run.timing, self.timing))
        return {journal.path.name: appender.lines for journal, appender in journals} if self.timing else None

    def _probe(self, step: int) -> None:
        if self.config.probe.every and step % self.config.probe.every == 0:
            self._log({"kind": "probe", "step": step, **self.trainer.probe(self.state)})

    def _log(self, record: dict) -> None:
        self.metrics.add(record)
        self.record.metrics_lines += 1

    def _evaluate(self, step: int) -> None:
        network = self.trainer.network(processes.here(self.state.parameters, self.trainer.mesh))
        scores = processes.of_first(self.task.evaluate(network, "validation", self.trainer.mesh.local_mesh))
        if scores:
            self._log({"kind": "validation", "step": step, **scores})
            self._judge(step, scores[self.measure.name])
        else:
            self.record.best_step = step
            self.best = jax.device_get(self.state.parameters)
        text = self.task.sample(self.trainer.network(jax.device_get(self.state.parameters)), self.config.seed)
        self._log(self.run.write_sample(step, text))

    def _judge(self, step: int, score: float) -> None:
        """Best so far, success, early stopping, and the plateau schedule."""
        record = self.record
        criterion = self.measure.solved_below
        if criterion is not None and record.solved is None and score < criterion:
            record.solved = step
            self._log({"kind": "solved", "step": step})
            record.finished = self.config.train.stop_when_solved
        if math.isfinite(score) and (record.best is None or score < record.best):
            record.best, record.best_step = score, step
            record.without_improvement = record.until_plateau = 0
            self.best = jax.device_get(self.state.parameters)
        elif step % self.config.train.eval_every == 0:  # or the end of a run that may go on as if it had not ended here
            record.without_improvement += 1
            record.until_plateau += 1
            record.finished |= 0 < self.config.train.patience <= record.without_improvement
        if step % self.config.train.eval_every == 0:
            self._follow_schedule()

    def _follow_schedule(self) -> None:
        record, schedule = self.record, self.config.schedule
        due = record.until_plateau >= schedule.patience
        if schedule.name == "plateau" and due:
            record.until_plateau = 0
        elif schedule.name == "fall" and (due or record.falls):
            record.falls += 1
            record.finished |= record.falls > schedule.falls
        else:
            return
        self.state = dataclasses.replace(self.state, plateau=self.state.plateau * schedule.decay)

    def _snapshot(self, step: int) -> None:
        """Keep the weights where it is due, and at the end of a run that stops early."""
        if step in self.snapshots_due or (self.snapshots_due and self._over()):
            checkpoints.save(self.run.snapshots, step, checkpoints.to_arrays(self.state.parameters))

    def _save(self) -> None:
        self.metrics.sync()
        arrays = checkpoints.to_arrays({"state": processes.gathered(self.state), "best": self.best})
        loop = dataclasses.asdict(self.record)
        checkpoints.save(self.run.checkpoints, int(self.state.step), arrays, loop, checkpoints.KEPT)
        self._saved_at = time.monotonic()

    def _diverged(self) -> None:
        self._log({"kind": "diverged", "step": int(self.state.step) + 1, "cause": CAUSES[int(self.state.diverged)]})
        self._save()
        self._end("diverged", self._why_diverged())

    def _why_diverged(self) -> str:
        cause = CAUSES[int(self.state.diverged)]
        return f"{cause} of step {int(self.state.step) + 1} is not finite; the state before it is kept"

    def _measure_best(self) -> None:
        """The scores by which runs are compared: of the parameters that did best on the validation data."""
        network = self.trainer.network(self.best)
        for split in ("train", "validation", "test"):
            if scores := self.task.evaluate(network, split, self.trainer.mesh.local_mesh):
                self.metrics.add({"kind": "final", "split": split, "step": self.record.best_step, **scores})


def train(loops: list[Loop], trainer: Trainer | Stack, stop_requested: Callable[[], bool]) -> list[str]:
    """Train a run, or the members of a stack, each until its own end or until asked to stop; returns their new states.

    `trainer` is that of a run alone, or the stack. A member that cannot be written ends as failed while the others go
    on; a run alone raises what it met.
    """
    with contextlib.ExitStack() as files:
        for loop in loops:
            with _alone_or_failing(loop, loops):
                loop.begin(files)
        if any(not loop.outcome for loop in loops):
            began = time.perf_counter()
            trainer.compile(*[loop.state for loop in loops])
            logging.info("the training step compiled in %.1f s", time.perf_counter() - began)
        while running := [loop for loop in loops if not loop.outcome]:
            if not processes.any_of(stop_requested()):
                _dispatch(loops, trainer)
                continue
            for loop in running:
                with _alone_or_failing(loop, loops):
                    loop.interrupt()
    return [loop.outcome for loop in loops]


def _dispatch(loops: list[Loop], trainer: Trainer | Stack) -> None:
    before, began = [int(loop.state.step) for loop in loops], time.perf_counter()
    results = trainer.advance([loop.state for loop in loops], [loop.stop for loop in loops])
    results = [(state, jax.device_get(measured)) for state, measured in results]
    seconds = (time.perf_counter() - began) / trainer.size
    for loop, step, (state, measured) in zip(loops, before, results, strict=True):
        loop.state = state
        if not loop.outcome:
            with _alone_or_failing(loop, loops):
                loop.take(step, measured, seconds)


@contextlib.contextmanager
def _alone_or_failing(loop: Loop, loops: list[Loop]):
    """Of several runs, one that cannot go on is given up; a single one raises."""
    try:
        yield
    except Exception as error:
        if len(loops) == 1:
            raise
        logging.exception("%s failed", loop.run.name)
        loop.fail(str(error).splitlines()[0] if isinstance(error, UserError) else f"{type(error).__name__}: {error}")


def start_from(weights: dict[str, np.ndarray], network) -> dict[str, np.ndarray]:
    """Another run's weights, checked to fit `network`. Raises UserError where they do not."""
    wanted = flatten(network)
    if wanted.keys() != weights.keys() or any(wanted[name].shape != weights[name].shape for name in wanted):
        raise UserError("init_from names a run whose network has another shape than this one's")
    return weights
