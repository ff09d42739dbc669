"""The copy memory problem."""

import math
import string

import jax
import jax.numpy as jnp

from seqjax.tasks.cross_entropy import cross_entropy
from seqjax.tasks.measure import Measure
from seqjax.tasks.sequences import Example, SequenceTask

COPIED, LETTERS = 10, 8
BLANK, DELIMITER = LETTERS, LETTERS + 1


class CopyMemory(SequenceTask):
    """Ten symbols, to be said again after a long silence.

    Ten symbols out of eight, T - 1 blanks, a delimiter, and ten blanks in which to answer: T + 20 steps with
    T = `task.length`. The target is a blank at every step but the last ten. The score is the mean cross-entropy over
    all T + 20 steps; without a memory the best answer guesses among the eight symbols: 10 ln 8 / (T + 20). `wrong` is
    the fraction of the ten symbols that are wrong. The paper has no criterion of success; here it is a tenth of the
    baseline.

    Reference: Arjovsky et al. (2016), arXiv:1511.06464; Hochreiter & Schmidhuber (1997).
    """

    shortest = 1
    vocab = LETTERS + 2
    outputs = LETTERS + 1
    aligned = True

    def __init__(self, config, corpus=None):
        super().__init__(config, corpus)
        baseline = COPIED * math.log(LETTERS) / self.time
        self.measure = Measure(
            name="nats",
            unit="nats per step",
            baseline=baseline,
            baseline_is="blanks, and guessing among the 8 symbols",
            solved_below=baseline / 10,
            solved_is="a tenth of the baseline",
        )

    @property
    def title(self) -> str:
        return f"copy memory, length {self.config.task.length}"

    @property
    def time(self) -> int:
        return self.config.task.length + 2 * COPIED

    def example(self, key) -> Example:
        symbols = jax.random.randint(key, (COPIED,), 0, LETTERS)
        blanks = jnp.full(self.time, BLANK)
        inputs = blanks.at[:COPIED].set(symbols).at[-COPIED - 1].set(DELIMITER)
        return Example(inputs, blanks.at[-COPIED:].set(symbols))

    def scores(self, outputs, target):
        wrong = outputs[-COPIED:].argmax(-1) != target[-COPIED:]
        return {"nats": cross_entropy(outputs, target).mean(), "wrong": wrong.astype(outputs.dtype).mean()}

    def write(self, example, outputs) -> str:
        letters = string.ascii_uppercase[:LETTERS] + "_|"

        def name(symbols):
            return "".join(letters[symbol] for symbol in symbols[-COPIED:])

        sequence = "".join(letters[symbol] for symbol in example.inputs)
        return f"{sequence}\ntarget {name(example.target)}, answer {name(outputs.argmax(-1))}"
