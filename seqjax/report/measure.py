"""By what the runs of a leaderboard are compared, as their records say it."""

import dataclasses
import math

from seqjax.report.text import one_line


@dataclasses.dataclass(frozen=True)
class Measure:
    """A metric of which less is better, the score of the trivial answer, and when a task counts as solved."""

    name: str
    unit: str
    baseline: float | None = None
    baseline_is: str = ""
    solved_below: float | None = None
    solved_is: str = ""

    @property
    def of_text(self) -> bool:
        """Whether bits per symbol and perplexity follow from it."""
        return self.unit == "nats per symbol"

    @property
    def axis(self) -> str:
        """`nats per symbol`, `mean squared error`, `error (of sequences wrong)`."""
        return f"{self.name} ({self.unit})" if self.unit.startswith("of ") else self.unit

    @property
    def noun(self) -> str:
        """`loss` for what is trained for, or the metric's own name."""
        return "loss" if self.name in ("nats", "mse") else self.name

    @property
    def yardsticks(self) -> str:
        """The baseline and the criterion of success in a line; empty where there is neither."""
        baseline = "" if self.baseline is None else f"baseline {self.baseline:.4g}: {self.baseline_is}"
        return "; ".join(filter(None, [baseline, self.solved_is and f"solved: {self.solved_is}"]))


def read_measure(trial: dict) -> Measure:
    """A trial's measure; that of the first runs, which were all trained on texts, where it names none.

    Raises KeyError, TypeError or ValueError where the record holds something else.
    """
    said = trial.get("measure")
    if said is None:
        symbols = trial["task"].get("vocabulary", {}).get("symbols")
        baseline = math.log(len(symbols)) if symbols else None
        return Measure("nats", "nats per symbol", baseline, "every symbol equally likely" if symbols else "")
    return Measure(
        name=str(said["name"]),
        unit=one_line(str(said["unit"])),
        baseline=_number(said["baseline"]),
        baseline_is=one_line(said["baseline_is"] or ""),
        solved_below=_number(said["solved_below"]),
        solved_is=one_line(said["solved_is"] or ""),
    )


def _number(value) -> float | None:
    """Finite, or None."""
    return None if value is None or not math.isfinite(value) else float(value)
