"""The parity problem."""

import jax

from seqjax.tasks.measure import wrong_answers
from seqjax.tasks.sequences import Example, SequenceTask


class Parity(SequenceTask):
    """Is the number of ones odd? Every bit counts, and changing any one changes the answer.

    Reference: Bengio, Simard & Frasconi (1994), IEEE Transactions on Neural Networks 5(2).
    """

    vocab = 2
    outputs = 2

    def __init__(self, config, corpus=None):
        super().__init__(config, corpus)
        self.measure = wrong_answers(config.task.evaluation, 0.5, "guessing among 2 classes")

    @property
    def title(self) -> str:
        return f"parity, length {self.time}"

    def example(self, key) -> Example:
        bits = jax.random.randint(key, (self.time,), 0, 2)
        return Example(bits, bits.sum() % 2)

    def write(self, example, outputs) -> str:
        names = ("even", "odd")
        bits = "".join(map(str, example.inputs))
        return f"{bits}\ntarget {names[int(example.target)]}, answer {names[int(outputs.argmax())]}"
