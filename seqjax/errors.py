"""Errors meant for the person at the keyboard: one sentence, no traceback."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can put right. Entry points print it as one sentence and exit with code 2."""

    def __init__(self, sentence: str):
        super().__init__(printable(sentence))


def printable(text: str) -> str:
    """The text on one line, with escapes in place of what no terminal should be sent: a name can hold anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def did_you_mean(name, known: Iterable) -> str:
    """The end of an error sentence: the nearest known name, or all of them when none is near."""
    known = sorted(map(str, known))
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}? Known: {', '.join(known)}"
    return f"known: {', '.join(known)}" if known else "none is known here"
