"""From a config and the names of sweeps to a list of configs."""

import itertools

from ml_collections import ConfigDict

from seqjax.config import override
from seqjax.errors import UserError, did_you_mean


def expand(config: ConfigDict, sweeps: dict, names: list[str]) -> list[ConfigDict]:
    """The product of the named sweeps over `config`.

    The last sweep varies slowest: with `cells` and then `seeds`, every cell is trained once before any is trained
    again, so that an unfinished sweep compares all cells, and the second trial of a shape finds it compiled. A point's
    `cell.name` is set before all else, as another cell empties `cell.options`.

    Raises UserError for an unknown sweep, one named twice, one that yields nothing or no overrides, and two sweeps that
    set the same key.
    """
    axes = []
    for name in names:
        if name not in sweeps:
            raise UserError(f"this config has no sweep {name!r}; {did_you_mean(name, sweeps)}")
        if names.count(name) > 1:
            raise UserError(f"the sweep {name!r} is asked for twice")
        axes.append(_points(name, sweeps[name]))
    for (a, first), (b, second) in itertools.combinations(zip(names, axes, strict=True), 2):
        both = {key for point in first for key in point} & {key for point in second for key in point}
        if both:
            raise UserError(f"the sweeps {a!r} and {b!r} both set {', '.join(sorted(both))}")
    configs = []
    for points in itertools.product(*reversed(axes)):
        trial = config.copy_and_resolve_references()
        pairs = [pair for point in reversed(points) for pair in point.items()]
        for key, value in sorted(pairs, key=lambda pair: pair[0] != "cell.name"):
            override(trial, key, value)
        configs.append(trial)
    return configs


def _points(name: str, sweep) -> list[dict]:
    try:
        points = list(sweep())
    except UserError:
        raise
    except Exception as error:  # whatever the user's function raises
        told = str(error).partition("\n")[0]
        raise UserError(f"the sweep {name!r} cannot be run: {type(error).__name__}: {told}") from error
    if not points:
        raise UserError(f"the sweep {name!r} yields nothing")
    for point in points:
        if not isinstance(point, dict):
            raise UserError(f"the sweep {name!r} yields {point!r}; it should yield overrides such as {{'seed': 1}}")
    return points
