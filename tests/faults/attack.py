"""What an attack comes to."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Of one attack, which its kind and seed repeat."""

    kind: str
    seed: int
    what: str
    """Was done, in words."""
    end: str
    """How it ended, in a word or two, such as "same bits"; for counting."""
    fault: str = ""
    """What was wrong with that; empty where it was survived."""
    seconds: float = 0.0
    """It took."""


def traceback(told: str) -> str:
    """A sentence where what was printed holds a traceback."""
    return f"a traceback: {told.strip().splitlines()[-1]}" if "Traceback (most recent call last)" in told else ""
