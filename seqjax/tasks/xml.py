"""Tags that are opened and must be closed in order."""

import string

import jax
import jax.numpy as jnp

from seqjax.tasks.measure import Measure
from seqjax.tasks.streams import FAIR, Problem, StreamTask

SHORTEST, LONGEST = 2, 10  # letters of a tag
ITERATIONS = 50
OPEN, SLASH, CLOSE = 26, 27, 28


class XML(StreamTask):
    """Documents of nothing but nested tags: `<etdomp><pegshmnaj></pegshmnaj></etdomp>`.

    A tag is 2 to 10 random lower-case letters; here all lengths are equally likely. At every iteration, with
    probability 1/2 or after 50 of them, the tag opened last is closed, or the document ends if none is open; otherwise
    a new tag is opened. The symbols are letters, `<`, `/` and `>`, and all count. None ends a document: the next one
    follows, and those without a tag leave no trace.

    No answer is always right, as new tags are random. One that knows which tags are open and always names the likeliest
    symbol is wrong at .35 of the symbols: a tag of L letters and its end have 2L + 5, 17 in the mean, and about as many
    errors as the tag has letters, 6 (one for `/`, which is more likely than any letter; nearly one for the second
    letter; then one for every `>` that came too early). One that cannot recall names is wrong at .7.

    Reference: Jozefowicz, Zaremba & Sutskever (2015), ICML.
    """

    alphabet = string.ascii_lowercase + "</>"
    title = "XML"
    measure = Measure("error", "of symbols wrong", 1 - 2 / 17, "always <, the commonest symbol")

    def problem(self, key) -> Problem:
        opens_key, sizes_key, letters_key = jax.random.split(key, 3)
        names = jax.random.randint(letters_key, (ITERATIONS, LONGEST), 0, OPEN, jnp.int32)
        sizes = jax.random.randint(sizes_key, (ITERATIONS,), SHORTEST, LONGEST + 1, jnp.int32)
        tags, closes, exists = _iterations(jax.random.bernoulli(opens_key, FAIR, (ITERATIONS,)))

        def column(symbol, written):
            return jnp.full((len(tags), 1), symbol), jnp.broadcast_to(written, len(tags))[:, None]

        letters = names[tags], jnp.arange(LONGEST) < sizes[tags][:, None]
        columns = [column(OPEN, True), column(SLASH, closes), letters, column(CLOSE, True)]
        symbols, written = (jnp.concatenate(parts, axis=1) for parts in zip(*columns, strict=True))
        written = (written & exists[:, None]).ravel()
        return Problem(symbols.ravel(), written, written)


def _iterations(opens):
    """The tag of each iteration, whether it is closed there, and whether the document still goes on."""
    opens = jnp.concatenate([opens, jnp.zeros(len(opens), bool)])  # enough to close what 50 iterations can open
    depth = jnp.cumsum(jnp.where(opens, 1, -1))
    exists = jax.lax.cummin(depth) >= 0
    numbers = jnp.arange(len(opens))
    openers = opens & (numbers < numbers[:, None]) & (depth == depth[:, None] + 1)
    return jnp.where(opens, numbers, jnp.where(openers, numbers, 0).max(axis=1)), ~opens, exists
