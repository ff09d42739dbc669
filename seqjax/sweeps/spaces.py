"""Search spaces: lists of overrides for a config's `sweep_<name>()`.

    from seqjax.sweeps.spaces import choice, log_uniform, product, random

    def sweep_settings():
        space = {"optimiser.learning_rate": log_uniform(1e-4, 1e-1), "cell.layers": choice(1, 2, 3)}
        return random(space, count=40)

A setting is a dictionary of overrides. A *sampler* is any function from a number in [0, 1) to a value: drawn uniformly,
the number makes values of the sampler's distribution. So `lambda u: 1 - log_uniform(0.01, 1)(u)` is one too.
"""

import hashlib
import itertools
import math
from collections.abc import Callable, Iterable

from seqjax.errors import UserError

Value = bool | int | float | str
Setting = dict[str, Value]
Sampler = Callable[[float], Value]

DIGITS = 4  # significant ones of a drawn number: a config that can be read and typed again


def uniform(low: float, high: float) -> Sampler:
    """Numbers from `low` to `high`, all equally likely; rounded to 4 significant digits."""
    _check_range("uniform", low, high)
    return lambda u: _rounded(low + u * (high - low), low, high)


def log_uniform(low: float, high: float) -> Sampler:
    """Numbers from `low` to `high`, all orders of magnitude equally likely; rounded to 4 significant digits."""
    _check_range("log_uniform", low, high, positive=True)
    return lambda u: _rounded(low * (high / low) ** u, low, high)


def integer(low: int, high: int) -> Sampler:
    """Whole numbers from `low` to `high`, both included, all equally likely."""
    _check_range("integer", low, high, whole=True)
    return lambda u: low + int(u * (high - low + 1))


def log_integer(low: int, high: int) -> Sampler:
    """Whole numbers from `low` to `high`, both included, all orders of magnitude equally likely."""
    _check_range("log_integer", low, high, whole=True, positive=True)
    first, last = low - 0.5, high + 0.5  # so that both ends are as likely as their neighbours
    return lambda u: min(max(round(first * (last / first) ** u), low), high)


def choice(*values: Value) -> Sampler:
    """One of the values, all equally likely."""
    if not values:
        raise UserError("choice() chooses among nothing; give it values, such as choice(1, 2, 3)")
    for value in values:
        if not isinstance(value, Value):
            raise UserError(f"choice takes numbers and texts one by one, as in choice(1, 2, 3), not {value!r}")
    return lambda u: values[int(u * len(values))]


def random(space: dict[str, Sampler], count: int, seed: int = 0) -> list[Setting]:
    """`count` settings, each with every key of the space drawn from its sampler.

    A value depends on `seed`, the setting's number and its key alone, on every machine and under every version: a
    larger count adds settings to the same first ones, and another key leaves the values of the others. Draws are
    independent, so a small space repeats settings; a launch trains each once.
    """
    if count < 1:
        raise UserError(f"random draws count = {count} settings; it should be at least 1")
    for key, sampler in space.items():
        if not callable(sampler):
            raise UserError(f"random draws {key!r} from a sampler, such as log_uniform or choice, not from {sampler!r}")
    return [{key: draw(_fraction(seed, n, key)) for key, draw in space.items()} for n in range(count)]


def grid(values: dict[str, Iterable[Value]]) -> list[Setting]:
    """Every combination of the values of each key; those of the last key vary slowest, as among sweeps."""
    for key, of_key in values.items():
        if isinstance(of_key, str) or not isinstance(of_key, Iterable):
            raise UserError(f"grid takes a list of values for {key!r}, such as (1, 2, 3), not {of_key!r}")
    return product(*([{key: value} for value in of_key] for key, of_key in values.items()))


def product(*spaces: Iterable[Setting]) -> list[Setting]:
    """Every combination of a setting of each space, the last varying slowest: of cells and random settings, each
    setting is tried with all cells before the next one is. Raises UserError where two spaces set the same key.
    """
    listed = [list(space) for space in spaces]
    return [_merged(settings[::-1], "product") for settings in itertools.product(*reversed(listed))]


def zipped(*spaces: Iterable[Setting]) -> list[Setting]:
    """The first setting of each space together, then the second of each, and so on. Raises UserError where the spaces
    are not equally long or set the same key.
    """
    listed = [list(space) for space in spaces]
    if len({len(space) for space in listed}) > 1:
        lengths = " and ".join(str(len(space)) for space in listed)
        raise UserError(f"zipped takes spaces of one length, not of {lengths} settings")
    return [_merged(settings, "zipped") for settings in zip(*listed, strict=True)]


def chain(*spaces: Iterable[Setting]) -> list[Setting]:
    """All settings of the first space, then all of the second, and so on."""
    return list(itertools.chain(*spaces))


def _merged(settings: Iterable[Setting], name: str) -> Setting:
    merged = {}
    for setting in settings:
        if both := merged.keys() & setting.keys():
            raise UserError(f"{name} joins spaces that both set {', '.join(sorted(both))}; each key needs one of them")
        merged |= setting
    return merged


def _fraction(seed: int, number: int, key: str) -> float:
    """In [0, 1): a hash, not a generator, so that no library's version changes what is drawn."""
    digest = hashlib.sha256(f"{seed}/{number}/{key}".encode()).digest()
    return int.from_bytes(digest[:4]) / 2**32


def _rounded(value: float, low: float, high: float) -> float:
    return float(min(max(float(f"{value:.{DIGITS}g}"), low), high))


def _check_range(name: str, low: float, high: float, whole: bool = False, positive: bool = False) -> None:
    kind = int if whole else int | float
    if not all(isinstance(end, kind) and not isinstance(end, bool) and math.isfinite(end) for end in (low, high)):
        raise UserError(f"{name}({low!r}, {high!r}): both ends should be {'whole ' if whole else ''}numbers")
    if low >= high:
        raise UserError(f"{name}({low}, {high}): the first number should be the smaller one")
    if positive and low <= 0:
        raise UserError(f"{name}({low}, {high}): both ends should be above 0")
