"""Whether contestants do the same work: their outputs and gradients against the right answer."""

from typing import NamedTuple

import numpy as np

from benchmarks.contestant import Contestant

TOLERANCE = 1e-3  # of the largest element of an array; float32 over 784 steps is a few times 1e-6


class Verdict(NamedTuple):
    """How far a contestant is from the right answer."""

    difference: float | None  # the largest over its arrays; None where there is nothing to compare
    reason: str  # why it is not timed; empty where it agrees

    @property
    def agrees(self) -> bool:
        return not self.reason


def check(contestant: Contestant, expected: dict[str, np.ndarray]) -> Verdict:
    """One call of the contestant, compared array by array. An error of the peer's is a verdict too."""
    try:
        contestant.prepare()
        found = contestant.read(contestant.call())
    except Exception as error:  # a peer that cannot do the work must not end the others' measurement
        return Verdict(None, f"{type(error).__name__}: {error}".splitlines()[0])
    if found.keys() != expected.keys() - set(contestant.lacks):
        return Verdict(None, f"it computes {sorted(found)}, not {sorted(expected.keys() - set(contestant.lacks))}")
    for name, array in found.items():
        if array.shape != expected[name].shape:
            return Verdict(None, f"its {name} has the shape {array.shape}, not {expected[name].shape}")
    differences = {name: _relative(array, expected[name]) for name, array in found.items()}
    worst = max(differences, key=differences.get)
    if differences[worst] <= TOLERANCE:
        return Verdict(differences[worst], "")
    return Verdict(differences[worst], f"its {worst} differs by {differences[worst]:.1e} of the largest element")


def _relative(found: np.ndarray, expected: np.ndarray) -> float:
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    return difference if np.isfinite(difference) else float("inf")
