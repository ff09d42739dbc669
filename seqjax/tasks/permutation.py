"""The random permutation problem."""

import jax

from seqjax.tasks.measure import wrong_answers
from seqjax.tasks.sequences import Example, SequenceTask

SYMBOLS = 100


class Permutation(SequenceTask):
    """Say the first symbol again after `task.length` symbols: it is one of two, all later ones are any of 98 others.

    The answer is one of all 100 symbols, as in next-symbol prediction, of which it is the only step that can be known.

    Reference: Hochreiter & Schmidhuber (1997), experiment 2; in this form Martens & Sutskever (2011), ICML, and
    Pascanu, Mikolov & Bengio (2013), arXiv:1211.5063.
    """

    vocab = SYMBOLS
    outputs = SYMBOLS

    def __init__(self, config, corpus=None):
        super().__init__(config, corpus)
        self.measure = wrong_answers(config.task.evaluation, 0.5, "guessing among the 2 answers")

    @property
    def title(self) -> str:
        return f"random permutation, length {self.time}"

    def example(self, key) -> Example:
        first_key, rest_key = jax.random.split(key)
        target = jax.random.randint(first_key, (), 0, 2)
        symbols = jax.random.randint(rest_key, (self.time,), 2, SYMBOLS)
        return Example(symbols.at[0].set(target), target)

    def write(self, example, outputs) -> str:
        return f"{' '.join(map(str, example.inputs))}\ntarget {example.target}, answer {outputs.argmax()}"
