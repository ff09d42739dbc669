"""Which unit follows which feature of the text, and how much better than chance.

Of some thousand units one follows anything well enough, by chance, to look like a find. So the text is cut in two
halves: the unit is chosen on the first, and its score is what it reaches on the second, which had no part in the
choice.

Beside it stands what chance gives. Symbols near each other are alike, in states and in features, so a text holds fewer
independent observations than symbols. Shifting the feature along the text, around its end, keeps all of that and takes
away the relation. The best of all units is looked for on the second half under 100 shifts; what it stays below in 95 of
them is the level of chance, and holds for all units together.

A network that learned nothing is above that level for some features: it holds what it has just read for a while, which
is enough to be high at the start of a line or after many blanks. So the network before its training may be scored
beside, in the same way: its best unit is chosen on the first half and scored on the second.

Reference: Westfall & Young (1993), Resampling-Based Multiple Testing, for the maximum over all tests; Hanley & McNeil
(1982), Radiology 143(1), for the AUC as a sum of ranks.
"""

import dataclasses
from collections.abc import Iterator
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, Int

from seqjax.errors import UserError
from seqjax.interpret.activity import Activity
from seqjax.interpret.features import NO_MEMORY, Feature

SHIFTS = 100
NEAREST_SHIFT = 100  # symbols, a line or so
PERCENTILE = 95
SHORTEST = 8 * NEAREST_SHIFT  # so that the shifts of a half have places to go
RUNNERS_UP = 3
BLOCK = 128  # units ranked at a time
DECIMALS = 9  # that count where scores are put in order: those after them differ between machines


@dataclasses.dataclass(frozen=True)
class Found:
    """The unit that follows a feature best, and how well on text that had no part in choosing it.

    A score is an AUC for a binary feature, .5 being no relation and 1 a unit that is always higher where the feature
    holds; for a numeric one it is Pearson's correlation. Both are taken in the unit's direction, `sign`.
    """

    feature: str
    """Its title."""
    kind: Literal["binary", "numeric"]
    layer: int
    """From 0."""
    part: str
    """Of the state: "h", "c"."""
    unit: int
    sign: int
    """+1 where the unit is high inside the feature or rises with it, -1 where it is low or falls."""
    chosen: float
    """Its score on the first half of the text, on which it was chosen: the best of all units."""
    score: float
    """Its score on the second half."""
    chance: float
    """What the best of all units reaches on the second half without a relation: the 95% point."""
    others: list[tuple[int, str, int, float]]
    """The runners-up on the first half, as (layer, part, unit, score on the second half), best score first."""
    untrained: float | None = None
    """What the best unit of the untrained network reaches, chosen and scored in the same way; None where unknown."""

    @property
    def above_chance(self) -> bool:
        return self.score > self.chance

    @property
    def baseline(self) -> float:
        """What is reached without learning: by chance, or by the untrained network where that is more."""
        return self.chance if self.untrained is None else max(self.chance, self.untrained)

    @property
    def learned(self) -> bool:
        return self.score > self.baseline

    @property
    def strength(self) -> float:
        """The score from 0, no relation, to 1: an AUC made comparable with a correlation."""
        return 2 * self.score - 1 if self.kind == "binary" else self.score


def strongest(found: list[Found]) -> Found | None:
    """The strongest of those that were learned; one that has something to remember, where there is any."""
    real = [one for one in found if one.learned]
    remembering = [one for one in real if one.feature not in NO_MEMORY]
    return max(remembering or real, key=lambda one: one.strength, default=None)


@dataclasses.dataclass(frozen=True)
class Scores:
    """Of every unit against every feature.

    An effect is AUC - .5, or the correlation, with its sign: positive where the unit rises with the feature.
    """

    features: list[Feature]
    units: list[tuple[int, str, int]]
    """As (layer from 0, part, unit)."""
    first: Float64[np.ndarray, "features units"]
    """Effects on the first half."""
    second: Float64[np.ndarray, "features units"]
    """Effects on the second half."""
    chance: Float64[np.ndarray, "features"]
    """95% point of the largest |effect| on the second half, over all units, with the feature shifted."""
    untrained: Float64[np.ndarray, "features"] | None
    """The effect of the untrained network's best unit on the second half, in the direction that it has on the first."""
    skipped: list[str]
    """Titles of features that do not vary in one of the halves, and have no score."""

    def found(self) -> list[Found]:
        """The best unit for each feature; those furthest above `baseline` first, as a part of the way from it to 1,
        and where two are as far the feature that was given first.
        """
        found = [self._best(number) for number in range(len(self.features))]
        return sorted(found, key=lambda one: round((one.baseline - one.score) / max(1 - one.baseline, 1e-9), DECIMALS))

    def rows(self) -> Iterator[dict]:
        """Every unit's scores for every feature, in the direction that it has on the first half."""
        for number, feature in enumerate(self.features):
            for place, (layer, part, unit) in enumerate(self.units):
                sign, score = self._sign(number, place), self._held_out(number, place)
                yield {
                    "feature": feature.title,
                    "kind": feature.kind,
                    "layer": layer + 1,
                    "part": part,
                    "unit": unit,
                    "sign": sign,
                    "chosen": self._score(number, sign * self.first[number, place]),
                    "score": score,
                    "r2": score**2 if feature.kind == "numeric" else None,
                    "chance": self._score(number, self.chance[number]),
                    "untrained": self._untrained(number),
                }

    def _best(self, number: int) -> Found:
        best, *next_best = _best_first(self.first[number])[: 1 + RUNNERS_UP].tolist()
        others = [(*self.units[place], self._held_out(number, place)) for place in next_best]
        sign = self._sign(number, best)
        return Found(
            self.features[number].title,
            self.features[number].kind,
            *self.units[best],
            sign=sign,
            chosen=self._score(number, sign * self.first[number, best]),
            score=self._held_out(number, best),
            chance=self._score(number, self.chance[number]),
            others=sorted(others, key=lambda other: -round(other[-1], DECIMALS)),
            untrained=self._untrained(number),
        )

    def _held_out(self, number: int, place: int) -> float:
        return self._score(number, self._sign(number, place) * self.second[number, place])

    def _untrained(self, number: int) -> float | None:
        return None if self.untrained is None else self._score(number, self.untrained[number])

    def _sign(self, number: int, place: int) -> int:
        return 1 if self.first[number, place] >= 0 else -1

    def _score(self, number: int, effect: float) -> float:
        return float(effect + 0.5 if self.features[number].kind == "binary" else effect)


def score(activity: Activity, features: list[Feature], untrained: Activity | None = None, seed: int = 0) -> Scores:
    """Every unit of everything in `activity`, which is read without its gates to leave them out.

    `untrained` is what the network before its training held on the same text. Symbols for which a feature is NaN do not
    count for it. `seed` is that of the shifts. Raises UserError for a text too short to be halved.
    """
    time = len(activity.symbols)
    if time < SHORTEST:
        raise UserError(f"a text of {time} symbols is too short to find cells in; it takes {SHORTEST}")
    halves = slice(None, time // 2), slice(time // 2, None)
    titles = {feature.title for feature in features if all(_varies(feature.values[half]) for half in halves)}
    scored = [feature for feature in features if feature.title in titles]
    units = [
        (layer, part, unit)
        for layer, parts in enumerate(activity.layers)
        for part, values in parts.items()
        for unit in range(values.shape[-1])
    ]
    first, second = np.empty((2, len(scored), len(units)))
    chance, start = np.empty((2, len(scored)))
    random = np.random.default_rng(seed)
    for numbers in _alike(scored):
        group = [scored[number] for number in numbers]
        first[numbers] = _effects(activity, group, halves[0], np.zeros(1, int))[0]
        steps = _steps(int(np.count_nonzero(~np.isnan(group[0].values[halves[1]]))), random)
        second[numbers], largest = _effects(activity, group, halves[1], steps)
        chance[numbers] = np.percentile(largest[:, 1:], PERCENTILE, axis=-1)
        if untrained is not None:
            start[numbers] = _effects_of_best(untrained, group, halves)
    skipped = [one.title for one in features if one.title not in titles]
    return Scores(scored, units, first, second, chance, None if untrained is None else start, skipped)


def _varies(values: Float64[np.ndarray, "time"]) -> bool:
    defined = values[~np.isnan(values)]
    return len(defined) > 2 * NEAREST_SHIFT and bool(defined.min() < defined.max())


def _alike(features: list[Feature]) -> list[list[int]]:
    """The numbers of the features, those together that are of one kind and have values at the same places."""
    groups = {}
    for number, feature in enumerate(features):
        groups.setdefault((feature.kind, np.isnan(feature.values).tobytes()), []).append(number)
    return list(groups.values())


def _steps(time: int, random: np.random.Generator) -> Int[np.ndarray, "shifts"]:
    """0, and how far to shift: around the end of `time` symbols, to no place nearer than a line."""
    return np.concatenate([[0], random.integers(NEAREST_SHIFT, time - NEAREST_SHIFT, SHIFTS, endpoint=True)])


def _effects(
    activity: Activity, features: list[Feature], half: slice, steps: Int[np.ndarray, "shifts"]
) -> tuple[Float64[np.ndarray, "features units"], Float64[np.ndarray, "features shifts"]]:
    """Of features that are alike: the effects as they stand, and the largest |effect| of all units for each shift.

    Both effects are sums over time: of centred ranks inside the feature, over inside times outside; and of the product
    of standardised values, over time. So one matrix product does all shifts of all features for a block of units.
    """
    binary = features[0].kind == "binary"
    values = np.stack([feature.values[half] for feature in features])
    defined = ~np.isnan(values[0])
    values = values[:, defined] if binary else _standardised(values[:, defined])
    time, inside = values.shape[-1], values.sum(-1)
    scale = (inside * (time - inside))[:, None, None] if binary else time
    shifted = np.stack([np.roll(values, step, axis=-1) for step in steps], axis=1).reshape(-1, time)
    found, largest = [], np.zeros((len(features), len(steps)))
    for part in (part for layer in activity.layers for part in layer.values()):
        for start in range(0, part.shape[-1], BLOCK):
            block = part[half, start : start + BLOCK][defined].T
            sums = shifted @ (_centred_ranks(block) if binary else _standardised(block)).T
            effects = np.clip(sums.reshape(*largest.shape, -1) / scale, -1, 1)  # a correlation can be 1 + 1e-16
            found.append(effects[:, 0])
            largest = np.maximum(largest, np.abs(effects).max(-1))
    return np.concatenate(found, axis=-1), largest


def _effects_of_best(
    activity: Activity, features: list[Feature], halves: tuple[slice, slice]
) -> Float64[np.ndarray, "features"]:
    """On the second half, of the unit that is best for each feature on the first, in the direction that it has there.

    The features are alike.
    """
    first, second = (_effects(activity, features, half, np.zeros(1, int))[0] for half in halves)
    best = _best_first(first)[:, :1]
    signed = np.where(first < 0, -second, second)
    return np.take_along_axis(signed, best, axis=-1)[:, 0]


def _best_first(effects: Float64[np.ndarray, "*rows units"]) -> Int[np.ndarray, "*rows units"]:
    """The places of the units, that with the largest effect first, and of equal ones the first; what rounding makes of
    equal effects does not order them.
    """
    return np.argsort(-np.abs(effects).round(DECIMALS), axis=-1, kind="stable")


def _centred_ranks(values: Float[np.ndarray, "units time"]) -> Float64[np.ndarray, "units time"]:
    """From -(time - 1) / 2 to (time - 1) / 2, equal values with the mean of their ranks."""
    from scipy.stats import rankdata

    return rankdata(values, axis=-1) - (values.shape[-1] + 1) / 2


def _standardised(values: Float[np.ndarray, "*rows time"]) -> Float64[np.ndarray, "*rows time"]:
    """Mean 0 and standard deviation 1 over time; all 0 where constant."""
    centred = values - values.mean(-1, keepdims=True, dtype=np.float64)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True))
    return np.divide(centred, deviation, out=np.zeros_like(centred), where=np.ptp(values, axis=-1, keepdims=True) > 0)
