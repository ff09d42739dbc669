"""By what runs of a task are compared."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Measure:
    """A metric of which less is better, the score of the trivial answer, and when the task counts as solved."""

    name: str
    unit: str
    """Words for an axis."""
    baseline: float
    baseline_is: str
    """What is answered to score the baseline."""
    solved_below: float | None = None
    solved_is: str = ""
