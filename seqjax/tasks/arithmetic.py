"""Sums and differences among distractors."""

import string

import jax
import jax.numpy as jnp

from seqjax.tasks.measure import Measure
from seqjax.tasks.streams import FAIR, Problem, StreamTask

DIGITS = 8  # of an operand, at most
MOST_DISTRACTORS = 8
PLUS, MINUS, EQUALS, STOP = 10, 11, 12, 13


class Arithmetic(StreamTask):
    """Read a sum or a difference, write the result: `3e36d9-h1h39f94eeh43keg3c=-13991064.` is 3369 - 13994433.

    Two numbers of up to 8 digits, each of which may be negative, are added or subtracted. Lower-case letters stand
    between successive input characters and mean nothing. The symbols are 26 letters, 10 digits and `+ - = .`; a point
    ends the answer. Only the answer's symbols count, its sign and its point among them, as what is asked cannot be
    foreseen; each is predicted from the true ones before it.

    What the paper leaves open is chosen here. The loss, too, is that of the counted symbols. An operand has 1 to 8
    digits, all equally likely, and any of the numbers of so many digits (0 is one of one digit); its sign and the
    operation are fair coins. A negative number is written with its sign, behind the operator too: `12--34=46.`,
    `-5+-6=-11.`; there is no `-0`. A letter follows every input character but `=` with probability 1/2, another one
    that letter with probability 1/2, and so on, up to 8: one in the mean (the example has 12 in 13 gaps). Of the text
    24% are answers.

    Reference: Jozefowicz, Zaremba & Sutskever (2015), ICML.
    """

    alphabet = string.digits + "+-=." + string.ascii_lowercase
    title = "arithmetic"
    measure = Measure("error", "of the answers' symbols wrong", 0.864, "always a point, their commonest symbol")

    def problem(self, key) -> Problem:
        numbers_key, operator_key, letters_key = jax.random.split(key, 3)
        first, second = jax.vmap(_number)(jax.random.split(numbers_key))
        adds = jax.random.bernoulli(operator_key, FAIR)
        operator = _always(jnp.where(adds, PLUS, MINUS))
        answer = [_decimal(jnp.where(adds, first + second, first - second)), _always(STOP)]
        asked = _among_letters(letters_key, _joined([_decimal(first), operator, _decimal(second)]))
        symbols, written = _joined([asked, _always(EQUALS), *answer])
        counted = jnp.arange(len(symbols)) > len(asked[0])
        return Problem(symbols, written, counted)


def _number(key):
    """An operand."""
    digits_key, size_key, sign_key = jax.random.split(key, 3)
    powers = 10 ** jnp.arange(DIGITS + 1)
    digits = jax.random.randint(digits_key, (), 1, DIGITS + 1, jnp.int32)
    least = jnp.where(digits == 1, 0, powers[digits - 1])
    size = jax.random.randint(size_key, (), least, powers[digits], jnp.int32)
    return jnp.where(jax.random.bernoulli(sign_key, FAIR), size, -size)


def _decimal(number):
    """A number in columns: its sign, and as many digits as the largest result has; which of them are written."""
    powers = 10 ** jnp.arange(DIGITS, -1, -1)
    size = jnp.abs(number)
    symbols = jnp.concatenate([jnp.array([MINUS]), size // powers % 10])
    return symbols, jnp.concatenate([number[None] < 0, (size >= powers) | (powers == 1)])


def _always(symbol):
    return jnp.asarray(symbol)[None], jnp.ones(1, bool)


def _joined(parts):
    return tuple(map(jnp.concatenate, zip(*parts, strict=True)))


def _among_letters(key, characters):
    """Distractors after each character."""
    symbols, written = characters
    coins_key, letters_key = jax.random.split(key)
    shape = len(symbols), MOST_DISTRACTORS
    letters = jax.random.randint(letters_key, shape, STOP + 1, len(Arithmetic.alphabet), jnp.int32)
    drawn = jnp.cumprod(jax.random.bernoulli(coins_key, FAIR, shape), axis=1).astype(bool)
    symbols = jnp.concatenate([symbols[:, None], letters], axis=1)
    written = jnp.concatenate([written[:, None], drawn & written[:, None]], axis=1)
    return symbols.ravel(), written.ravel()
