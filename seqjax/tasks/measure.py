"""By what runs of a task are compared."""

import dataclasses

SOLVED = 0.01  # of sequences wrong: the usual criterion of problems with one answer


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


def wrong_answers(sequences: int, baseline: float, baseline_is: str, unit: str = "of sequences wrong") -> Measure:
    """The fraction of held-out sequences whose answer is wrong; solved under 1%."""
    return Measure("error", unit, baseline, baseline_is, SOLVED, f"under 1% of {sequences:,} sequences wrong")
