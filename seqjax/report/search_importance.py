"""How much of the spread of a cell's scores each hyperparameter explains: functional analysis of variance by optuna.

Hutter, Hoos & Leyton-Brown (2014), ICML: a random forest is fitted to the scores, and its variance divided among the
hyperparameters. Values enter as their ranks among those tried, so that shares are of the distribution that settings
were drawn from, a logarithmic one as well as a uniform one. It takes them to be independent: of two that always change
together a forest could not tell which one matters, so they enter as one.
"""

import collections
import json

import numpy as np

from seqjax.errors import UserError
from seqjax.report.rows import varying_settings
from seqjax.report.search import Search

LEAST = 20  # settings
TREES = 32


def importance(settings: list[dict], scores) -> dict[str, float]:
    """`{name: share}`, the largest first: which part of the variance of the scores each name explains alone, in [0, 1].

    `settings` hold the same names; those whose values are one-to-one share an entry, "kernel_scale = recurrent_scale".
    What is missing to 1 needs several of them together, or chance. The forest knows shares to some hundredths, fewer
    settings less well. Raises UserError when optuna is missing.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError("the importance of hyperparameters needs optuna: pip install 'seqjax[search]'") from error
    named = _one_to_one(settings)
    columns = {label: _column([setting[name] for setting in settings]) for label, name in named.items()}
    distributions = {name: _distribution(values) for name, values in columns.items()}
    trials = [
        optuna.create_trial(
            params={name: values[n] for name, values in columns.items()},
            distributions=distributions,
            value=float(score),
        )
        for n, score in enumerate(scores)
    ]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    study.add_trials(trials)
    shares = optuna.importance.FanovaImportanceEvaluator(n_trees=TREES, seed=0).evaluate(study)
    return {name: float(share) for name, share in shares.items()}


def _one_to_one(settings: list[dict]) -> dict[str, str]:
    """`{label: name}`: of names whose values determine each other the first, under a label that names them all."""
    alike = collections.defaultdict(list)
    for name in settings[0]:
        alike[_pattern([setting[name] for setting in settings])].append(name)
    ends = collections.Counter(_end(name) for name in settings[0])
    return {
        names[0] if len(names) == 1 else " = ".join(_end(n) if ends[_end(n)] == 1 else n for n in names): names[0]
        for names in alike.values()
    }


def _end(name: str) -> str:
    return name.rpartition(".")[2]


def _pattern(values: list) -> tuple:
    """Equal for columns that are one-to-one. Where hardly a value is met twice any two columns are, so that their order
    must be the same too.
    """
    met = {}
    pattern = tuple(met.setdefault(json.dumps(value), len(met)) for value in values)
    return pattern if 2 * len(met) <= len(values) else tuple(_column(values))


def _column(values: list) -> list:
    """Numbers as the share of values below them, half of those equal to them counted; anything else as text."""
    if not all(isinstance(value, int | float) for value in values):
        return [json.dumps(value) for value in values]
    ordered = np.sort(values)
    places = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return (places / (2 * len(values))).tolist()


def _distribution(column: list):
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(column[0], str):
        return CategoricalDistribution(sorted(set(column)))
    return FloatDistribution(0.0, 1.0)


def importances(search: Search) -> tuple[dict[str, dict[str, float]], list[str]]:
    """`{cell: {key: share}}` of the cells with enough settings, and a sentence about the others."""
    found, few = {}, []
    for cell in search.cells:
        keys = varying_settings([setting.first for setting in cell.settings])
        if not keys or np.ptp(cell.scores) == 0:
            continue
        if len(cell.settings) < LEAST:
            few.append(f"{cell.name} has {len(cell.settings)}")
            continue
        settings = [{key: setting.first.settings.get(key) for key in keys} for setting in cell.settings]
        try:
            found[cell.name] = importance(settings, cell.scores)
        except UserError as error:
            return {}, [f"Not shown: {error}."]
    return found, [f"Which hyperparameters matter takes {LEAST} settings to tell: {', '.join(few)}."] if few else []
