"""What an attack comes to."""

import dataclasses
import re

UNDONE = re.compile(r"cannot (be (written|made|read|deleted|renamed)|write|make|read|delete|rename)\b")


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
    struck: bool = True
    """Whether it came to pass: a process may have ended before, and a disk may have had room."""
    code: str = ""
    """The digest of what was attacked, and with what."""
    seconds: float = 0.0
    """It took."""


def traceback(told: str) -> str:
    """A sentence where what was printed holds a traceback."""
    return f"a traceback: {told.strip().splitlines()[-1]}" if "Traceback (most recent call last)" in told else ""


def named_exception(told: str) -> str:
    """A sentence where what was printed holds an exception's class, which tells nobody what to do."""
    found = re.search(r"\b\w*(Error|Exception)\b:.*", told)
    return f"an exception is named: {found[0]}" if found else ""


def no_sentence(told: str) -> str:
    """A sentence where what was printed does not say, in words alone, what cannot be done."""
    last = told.strip().rpartition("\n")[2]
    return named_exception(told) or ("" if UNDONE.search(told) else f"no sentence: {last}")
