"""Kinds of symbols and places of a text, and the mean loss over each.

A text is a `str` with one character for each symbol; `text_of` makes it from symbol numbers. Everything here is a
function of the text alone, or of numbers per symbol and labels per symbol; nothing knows of networks.
"""

import dataclasses
import re
import string
import unicodedata

import numpy as np
from jaxtyping import Bool, Float, Int, Integer

CLASSES = (
    "lower-case letter",
    "capital letter",
    "digit",
    "blank",
    "line break",
    "bracket",
    "quote",
    "punctuation",
    "other",
)
BRACKETS = {"(": ")", "[": "]", "{": "}"}
QUOTES = "\"'`“”‘’«»"  # noqa: RUF001
LONGEST_LINE, LONGEST_WORD, LONGEST_INSIDE = 80, 16, 48  # the last places that are told apart
DOUBLINGS = 11  # distances up to 2,047 are told apart
DOUBLING_NAMES = ("1", *(f"{2**n}-{2 ** (n + 1) - 1}" for n in range(1, DOUBLINGS)), f"{2**DOUBLINGS} or more")
MARKS = re.compile(r"\\.|\"\"\"|'''|[\"'“”]|\n[ \t\r]*\n|\n", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Means:
    """Of several models, over the symbols that bear each label."""

    count: Int[np.ndarray, "labels"]
    mean: Float[np.ndarray, "models labels"]  # NaN where no symbol bears the label
    error: Float[np.ndarray, "models labels"]  # standard error, symbols taken as independent; NaN below two

    @property
    def share(self) -> Float[np.ndarray, "models labels"]:
        """Of the loss of all labelled symbols; each model's shares sum to 1."""
        total = np.where(self.count > 0, self.count * np.nan_to_num(self.mean), 0.0)
        return total / total.sum(-1, keepdims=True)


def means(nats: Float[np.ndarray, "models time"], labels: Int[np.ndarray, "time"], size: int) -> Means:
    """The mean of `nats` over the symbols of each label from 0 to `size - 1`; a symbol labelled -1 is left out."""
    kept = labels >= 0
    labels, nats = labels[kept], np.asarray(nats)[:, kept]
    count = np.bincount(labels, minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.stack([np.bincount(labels, row, size) for row in nats]) / count
        squares = np.stack([np.bincount(labels, row, size) for row in (nats - mean[:, labels]) ** 2])
        error = np.sqrt(squares / (count - 1) / count)
    return Means(count, mean, np.where(count > 1, error, np.nan))


def text_of(vocabulary, symbols: Integer[np.ndarray, "time"]) -> str:
    """One character for each symbol. A byte is the character of that number (Latin-1)."""
    return "".join(map(chr, np.asarray(vocabulary.symbols)[symbols].tolist()))


def classes(text: str, bytes_: bool = False) -> Int[np.ndarray, "time"]:
    """The class of each symbol, its place in `CLASSES`.

    Letters and digits are Unicode's; a blank is white space that ends no line; brackets are round, square and curly;
    the apostrophe is a quote; punctuation is what is left of ASCII's and Unicode's, operators among it. With `bytes_`,
    a byte over 127 is part of a longer character, and "other".
    """
    known = {character: CLASSES.index(_class(character, bytes_)) for character in set(text)}
    return np.array([known[character] for character in text], int)


def _class(character: str, bytes_: bool) -> str:
    if bytes_ and ord(character) > 127:
        return "other"
    if character in "\n\r":
        return "line break"
    if character.isspace():
        return "blank"
    if character.isalpha():
        return "capital letter" if character.isupper() or character.istitle() else "lower-case letter"
    if character.isdigit():
        return "digit"
    if character in "()[]{}":
        return "bracket"
    if character in QUOTES:
        return "quote"
    is_punctuation = character in string.punctuation or unicodedata.category(character).startswith("P")
    return "punctuation" if is_punctuation else "other"


def in_word(text: str, bytes_: bool = False) -> Bool[np.ndarray, "time"]:
    """Which symbols are parts of words: letters, digits, underscores, and whatever is "other"."""
    of = classes(text, bytes_)
    parts = [CLASSES.index(name) for name in ("lower-case letter", "capital letter", "digit", "other")]
    return np.isin(of, parts) | np.array([character == "_" for character in text], bool)


def since(marks: Bool[np.ndarray, "time"]) -> Int[np.ndarray, "time"]:
    """How many symbols lie between each symbol and the last mark before it: 0 right after one, -1 before the first."""
    places = np.arange(len(marks))
    last = np.maximum.accumulate(np.where(marks, places, -1))
    last = np.concatenate([[-1], last[:-1]])
    return np.where(last < 0, -1, places - last - 1)


def places(text: str, bytes_: bool = False) -> dict[str, tuple[int, Int[np.ndarray, "time"]]]:
    """Of each structural character, how many places after it are told apart, and each symbol's place, or -1.

    A place is counted in symbols, 0 for the one right after. In a line: after the line break. In a word: from its first
    symbol. After an opening bracket or quotation mark: as far as `LONGEST_INSIDE`, or the next one that opens.
    """
    inside = in_word(text, bytes_)
    opens = np.zeros(len(text), bool)
    for _, end, _, kind in _quotations(text):
        opens[end - 1] |= kind == "opens"
    found = {
        "line break": (LONGEST_LINE, since(np.array([character == "\n" for character in text], bool))),
        "word start": (LONGEST_WORD, np.where(inside, since(~inside), -1)),
        "opening bracket": (LONGEST_INSIDE, since(np.array([character in BRACKETS for character in text], bool))),
        "opening quote": (LONGEST_INSIDE, since(opens)),
    }
    return {name: (longest, np.where(place < longest, place, -1)) for name, (longest, place) in found.items()}


@dataclasses.dataclass(frozen=True)
class Closings:
    """Symbols that close something, and how far back it was opened, in symbols: 1 for `()`."""

    brackets: tuple[Int[np.ndarray, "closings"], Int[np.ndarray, "closings"]]  # places and distances
    quotes: tuple[Int[np.ndarray, "quotations"], Int[np.ndarray, "quotations"]]


def closings(text: str) -> Closings:
    """Every bracket and quotation mark that closes one.

    Brackets are matched kind by kind, wherever they stand; a closing one without an opening one is left out. Quotation
    marks are `"`, `'`, `“ ”`, and the triple marks of Python, of which the first symbol counts; a mark inside
    another's quotation or after a backslash is none. `'` opens only where no letter, digit or closing bracket stands
    before it, and a quotation ends without a mark at the end of the line for `'`, at an empty line for the other
    single ones.
    """
    stacks, brackets = {close: [] for close in BRACKETS.values()}, []
    for place, character in enumerate(text):
        if character in BRACKETS:
            stacks[BRACKETS[character]].append(place)
        elif stacks.get(character):
            brackets.append((place, place - stacks[character].pop()))
    quotes = [(start, start - opened + 1) for start, _, opened, kind in _quotations(text) if kind == "closes"]
    return Closings(_columns(brackets), _columns(quotes))


def _columns(pairs: list[tuple[int, int]]):
    array = np.array(pairs, int).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def _quotations(text: str):
    """`(start, end, end of what opened it, "opens" or "closes")` of every quotation mark."""
    wanted, opened = None, 0
    for found in MARKS.finditer(text):
        mark, start, end = found.group(), *found.span()
        if mark[0] == "\\":
            continue
        if mark[0] == "\n":
            if wanted == "'" or (wanted in ('"', "”") and len(mark) > 1):
                wanted = None
        elif mark == wanted:
            yield start, end, opened, "closes"
            wanted = None
        elif wanted is None and mark != "”" and not (mark == "'" and start and _ends_word(text[start - 1])):
            yield start, end, end, "opens"
            wanted, opened = {"“": "”"}.get(mark, mark), end


def _ends_word(character: str) -> bool:
    return character.isalnum() or character in ")]}_"


def doublings(distances: Int[np.ndarray, "things"]) -> Int[np.ndarray, "things"]:
    """The place in `DOUBLING_NAMES` of each distance from 1: 1, 2-3, 4-7, 8-15, ..."""
    return np.minimum(np.frexp(distances)[1] - 1, DOUBLINGS)
