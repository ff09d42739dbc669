"""The latch problem."""

import jax

from seqjax.tasks.measure import wrong_answers
from seqjax.tasks.sequences import Example, SequenceTask

VARIANCE = 0.2  # of the noise


class Latch(SequenceTask):
    """Which of two classes did the sequence begin with?

    The first value is +1 or -1, for the class; all later ones are noise, N(0, .2). Bengio et al. made the values of
    the beginning free parameters, learned with the weights; here they are given, as in later work.

    Reference: Bengio, Simard & Frasconi (1994), IEEE Transactions on Neural Networks 5(2); with given inputs:
    Hochreiter & Schmidhuber (1996), Bridging long time lags by weight guessing and "long short-term memory".
    """

    inputs = 1
    outputs = 2

    def __init__(self, config, corpus=None):
        super().__init__(config, corpus)
        self.measure = wrong_answers(config.task.evaluation, 0.5, "guessing among 2 classes")

    @property
    def title(self) -> str:
        return f"latch, length {self.time}"

    def example(self, key) -> Example:
        class_key, noise_key = jax.random.split(key)
        target = jax.random.randint(class_key, (), 0, 2)
        values = VARIANCE**0.5 * jax.random.normal(noise_key, (self.time, 1))
        return Example(values.at[0].set(2.0 * target - 1.0), target)

    def write(self, example, outputs) -> str:
        values = " ".join(f"{value:+.1f}" for value in example.inputs[:8, 0])
        return f"{values} ... ({self.time} steps)\ntarget {example.target}, answer {outputs.argmax()}"
