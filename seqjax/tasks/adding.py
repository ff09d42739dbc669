"""The adding problem."""

import jax
import jax.numpy as jnp

from seqjax.config import one_of
from seqjax.tasks.measure import Measure, wrong_answers
from seqjax.tasks.sequences import Example, SequenceTask

TOLERANCE = 0.04  # a sequence counts as right when its squared error is not above this


class Adding(SequenceTask):
    """The sum of the two values that are marked.

    Each step shows a value from U[0, 1] and a mark that is 1 at two steps and 0 elsewhere. Two forms (`task.form`):

    - "arjovsky": `task.length` steps, one mark in each half, the target is the sum. Always answering 1 has the mean
      squared error 1/6. Reference: Arjovsky et al. (2016), arXiv:1511.06464. That paper has no criterion of success;
      here it is a tenth of the baseline.
    - "pascanu": T' steps with T' drawn from [T, 1.1 T], the marks in the first tenth and between there and the half,
      the target is half the sum. A sequence is wrong when its squared error is over .04; success is under 1% wrong.
      Reference: Pascanu, Mikolov & Bengio (2013), arXiv:1211.5063. T' is drawn for each sequence by itself.
    """

    inputs = 2
    outputs = 1
    objective = "mse"

    def __init__(self, config, corpus=None):
        one_of(config, "task.form", ("arjovsky", "pascanu"))
        self.halved = config.task.form == "pascanu"
        self.shortest = 10 if self.halved else 2
        if self.halved:
            # The sum of two values is further than .4 from 1 with probability .6 ** 2.
            unit = "of sequences with a squared error over .04"
            self.measure = wrong_answers(config.task.evaluation, 0.36, "always answering 0.5", unit)
        else:
            tenth = 1 / 60, "a tenth of the baseline"
            self.measure = Measure("mse", "mean squared error", 1 / 6, "always answering 1", *tenth)
        super().__init__(config, corpus)

    @property
    def title(self) -> str:
        return f"adding, {self.config.task.form}'s form, length {self.config.task.length}"

    @property
    def time(self) -> int:
        length = self.config.task.length
        return int(1.1 * length) if self.halved else length

    def example(self, key) -> Example:
        values_key, length_key, first_key, second_key = jax.random.split(key, 4)
        values = jax.random.uniform(values_key, (self.time,))
        if self.halved:
            length = jax.random.randint(length_key, (), self.config.task.length, self.time + 1)
            first = jax.random.randint(first_key, (), 0, length // 10)
            second = jax.random.randint(second_key, (), length // 10, length // 2)
        else:
            length = None
            first = jax.random.randint(first_key, (), 0, self.time // 2)
            second = jax.random.randint(second_key, (), self.time // 2, self.time)
        marks = jnp.zeros(self.time).at[jnp.stack([first, second])].set(1.0)
        target = (values[first] + values[second]) / (2 if self.halved else 1)
        return Example(jnp.stack([values, marks], axis=-1), target, length)

    def scores(self, outputs, target):
        squared = (outputs[0] - target) ** 2
        return {"mse": squared, "error": (squared > TOLERANCE).astype(squared.dtype)}

    def write(self, example, outputs) -> str:
        marked = [f"{value:.3f} at step {step}" for step, (value, mark) in enumerate(example.inputs, 1) if mark]
        length = len(example.inputs) if example.length is None else int(example.length)
        return f"{length} steps; {' and '.join(marked)}\ntarget {example.target:.3f}, answer {outputs[0]:.3f}"
