"""The temporal order problem."""

import string

import jax
import jax.numpy as jnp

from seqjax.config import one_of
from seqjax.tasks.measure import wrong_answers
from seqjax.tasks.sequences import Example, SequenceTask

PLACES = {2: ((1, 2), (4, 5)), 3: ((1, 2), (3, 4), (6, 7))}  # from and to, in tenths of the length
DISTRACTORS = 4


class TemporalOrder(SequenceTask):
    """In which order did A and B come?

    Symbols of {A, B} stand at two (or three) places among distractors {c, d, e, f}; the answer names them in order, one
    of 4 (or 8) classes. The first place is in [.1T, .2T), the second in [.4T, .5T); of three, in [.1T, .2T), [.3T, .4T)
    and [.6T, .7T).

    Reference: Hochreiter & Schmidhuber (1997); places as in the supplement of Pascanu, Mikolov & Bengio (2013),
    arXiv:1211.5063 (the authors' program has the second in [.5T, .6T)).
    """

    shortest = 10
    vocab = 2 + DISTRACTORS

    def __init__(self, config, corpus=None):
        one_of(config, "task.symbols", tuple(PLACES))
        self.places = PLACES[config.task.symbols]
        self.outputs = 2**config.task.symbols
        guessing = f"guessing among {self.outputs} classes"
        self.measure = wrong_answers(config.task.evaluation, 1 - 1 / self.outputs, guessing)
        super().__init__(config, corpus)

    @property
    def title(self) -> str:
        return f"temporal order, {self.config.task.symbols} symbols, length {self.time}"

    def example(self, key) -> Example:
        distractors_key, places_key, symbols_key = jax.random.split(key, 3)
        inputs = jax.random.randint(distractors_key, (self.time,), 2, self.vocab)
        begins = jnp.array([self.time * begin // 10 for begin, _ in self.places])
        ends = jnp.array([self.time * end // 10 for _, end in self.places])
        places = jax.random.randint(places_key, begins.shape, begins, ends)
        symbols = jax.random.randint(symbols_key, begins.shape, 0, 2)
        return Example(inputs.at[places].set(symbols), (symbols * 2 ** jnp.arange(len(self.places))).sum())

    def write(self, example, outputs) -> str:
        letters = "AB" + string.ascii_lowercase[2 : self.vocab]

        def name(number):
            return "".join("AB"[int(number) >> place & 1] for place in range(len(self.places)))

        sequence = "".join(letters[symbol] for symbol in example.inputs)
        return f"{sequence}\ntarget {name(example.target)}, answer {name(outputs.argmax())}"
