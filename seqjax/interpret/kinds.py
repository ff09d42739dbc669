"""Kinds of symbols and places of a text, and the mean loss over each.

A text is a `str` with one character for each symbol; `text_of` makes it from symbol numbers. Everything here is a
function of the text and its language, one of `features.LANGUAGES`, or of numbers per symbol and labels per symbol;
nothing knows of networks.
"""

import dataclasses
import string
import unicodedata

import numpy as np
from jaxtyping import Bool, Float, Int, Integer

from seqjax.errors import UserError
from seqjax.interpret import features, source_code

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
    """One character for each symbol; of bytes those of `features.characters_of_bytes`.

    Raises UserError for a vocabulary of words.
    """
    if vocabulary.kind == "words":
        raise UserError("this network reads words; features of texts are known of characters and bytes only")
    points = np.asarray(vocabulary.symbols)[symbols].tolist()
    return features.characters_of_bytes(bytes(points)) if vocabulary.kind == "bytes" else "".join(map(chr, points))


def classes(text: str) -> Int[np.ndarray, "time"]:
    """The class of each symbol, its place in `CLASSES`.

    Letters and digits are Unicode's; a blank is white space that ends no line; brackets are round, square and curly;
    the apostrophe is a quote; punctuation is what is left of ASCII's and Unicode's, operators among it. Of a character
    of several bytes only the last byte has its class, those before it are "other".
    """
    known = {character: CLASSES.index(_class(character)) for character in set(text)}
    return np.array([known[character] for character in text], int)


def _class(character: str) -> str:
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


def in_word(text: str) -> Bool[np.ndarray, "time"]:
    """As `features.in_word`, but knowing the whole text: the first bytes of a letter are of the word as its last is."""
    return features.in_word(text[::-1])[::-1]


def after(marks: Bool[np.ndarray, "time"]) -> Int[np.ndarray, "time"]:
    """How many symbols lie between each symbol and the last mark before it: 0 right after one, -1 before the first."""
    return np.append(-1, features.since(marks))[:-1]


def places(text: str, language: str) -> dict[str, tuple[int, Int[np.ndarray, "time"]]]:
    """Of each structural character, how many places after it are told apart, and each symbol's place, or -1.

    A place is counted in symbols, 0 for the one right after. In a line: after the line break. In a word: from its first
    symbol. After an opening bracket or quotation mark: as far as `LONGEST_INSIDE`, or the next one that opens.
    """
    inside = in_word(text)
    opens = np.isin(np.arange(len(text)), source_code.quotations(text, language)[:, 0])
    found = {
        "line break": (LONGEST_LINE, after(np.array([character == "\n" for character in text], bool))),
        "word start": (LONGEST_WORD, np.where(inside, after(~inside), -1)),
        "opening bracket": (LONGEST_INSIDE, after(np.array([character in BRACKETS for character in text], bool))),
        "opening quote": (LONGEST_INSIDE, after(opens)),
    }
    return {name: (longest, np.where(place < longest, place, -1)) for name, (longest, place) in found.items()}


@dataclasses.dataclass(frozen=True)
class Closings:
    """Symbols that close something, and how far back it was opened, in symbols: 1 for `()`."""

    brackets: tuple[Int[np.ndarray, "closings"], Int[np.ndarray, "closings"]]  # places and distances
    quotes: tuple[Int[np.ndarray, "quotations"], Int[np.ndarray, "quotations"]]


def closings(text: str, language: str) -> Closings:
    """Every bracket and quotation mark that closes one.

    Brackets are matched kind by kind, wherever they stand; a closing one without an opening one is left out. Quotation
    marks are those of `source_code.quotations`: of a program, those of its strings. Where a mark has three symbols, the
    distance is from the last of the opening one to the first of the closing one.
    """
    stacks, brackets = {close: [] for close in BRACKETS.values()}, []
    for place, character in enumerate(text):
        if character in BRACKETS:
            stacks[BRACKETS[character]].append(place)
        elif stacks.get(character):
            brackets.append((place, place - stacks[character].pop()))
    quotes = source_code.quotations(text, language)
    opened, closed = quotes[(quotes >= 0).all(1)].T
    return Closings(_columns(brackets), (closed, closed - opened))


def _columns(pairs: list[tuple[int, int]]):
    array = np.array(pairs, int).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def doublings(distances: Int[np.ndarray, "things"]) -> Int[np.ndarray, "things"]:
    """The place in `DOUBLING_NAMES` of each distance from 1: 1, 2-3, 4-7, 8-15, ..."""
    return np.minimum(np.frexp(distances)[1] - 1, DOUBLINGS)
