"""Features of a text: what a reader could know after each symbol, computed exactly, for cells to be compared with.

A feature is a title and a function of the text that returns a value for each symbol: a bool, or a number. NaN says that
the feature has no value there. A symbol is a character of the text; of a text in bytes see `characters_of_bytes`.
"""

import dataclasses
import importlib.util
import pathlib
import re
import unicodedata
from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int

from seqjax.errors import UserError, did_you_mean
from seqjax.interpret import source_code


@dataclasses.dataclass(frozen=True)
class Feature:
    """Of one text."""

    title: str
    kind: Literal["binary", "numeric"]
    values: Float64[np.ndarray, "time"]
    """0 and 1 where binary; NaN where it has none."""


def position_in_line(text: str) -> Int[np.ndarray, "time"]:
    """Symbols of the line read so far: 1 at its first, 0 at the newline that ends it."""
    return since(np.array([symbol == "\n" for symbol in "\n" + text], bool))[1:]


def first_of_line(text: str) -> Bool[np.ndarray, "time"]:
    """The symbol after a newline, and the first of the text."""
    return np.array([before == "\n" for before in "\n" + text[:-1]], bool)[: len(text)]


def position_in_word(text: str) -> Int[np.ndarray, "time"]:
    """Symbols of the word read so far: 1 at its first, 0 outside words; see `in_word`."""
    return since(~in_word(" " + text))[1:]


def first_of_word(text: str) -> Bool[np.ndarray, "time"]:
    """The first letter, digit or _ of a word."""
    return position_in_word(text) == 1


def inside_parentheses(text: str) -> Bool[np.ndarray, "time"]:
    """From ( to before ), or to the end of the paragraph; those within others are not counted."""
    inside, is_open, place = np.zeros(len(text), bool), False, 0
    for match in re.finditer(r"[()]|\n[ \t\r]*\n", text):
        end = match.end() - 1
        inside[place:end] = is_open
        is_open, place = match[0] == "(", end
    inside[place:] = is_open
    return inside


def since(marks: Bool[np.ndarray, "time"]) -> Int[np.ndarray, "time"]:
    """Steps since the last mark: 0 at a mark, -1 before the first."""
    places = np.arange(len(marks))
    last = np.maximum.accumulate(np.where(marks, places, -1))
    return np.where(last < 0, -1, places - last)


def in_word(text: str) -> Bool[np.ndarray, "time"]:
    """Which symbols are of words: letters, digits, _ and combining marks.

    What a lone surrogate is of is not known yet (see `characters_of_bytes`): it is taken to go on with what the symbol
    before it is of.
    """
    symbols = {symbol: _of_word(symbol) for symbol in set(text)}
    of_word = np.array([symbols[symbol] for symbol in text], bool)
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    known = (points < 0xD800) | (points > 0xDFFF)
    last = np.maximum.accumulate(np.where(known, np.arange(len(text)), -1))
    return (last >= 0) & of_word[last]


def _of_word(symbol: str) -> bool:
    return symbol.isalnum() or symbol == "_" or unicodedata.category(symbol).startswith("M")


EVERYWHERE = {
    "position in the line": position_in_line,
    "first of its line": first_of_line,
    "position in the word": position_in_word,
    "first of its word": first_of_word,
}
NO_MEMORY = ("first of its line", "first of its word")  # the last two symbols tell
LANGUAGES: dict[str, dict[str, Callable]] = {
    "prose": {
        "inside quotes": lambda text: source_code.prose_parts(text).string,
        "inside parentheses": inside_parentheses,
        **EVERYWHERE,
    },
    "c": {
        "inside a string or character": lambda text: source_code.c_parts(text).string,
        "inside a comment": lambda text: source_code.c_parts(text).comment,
        "inside an if condition": source_code.c_if_condition,
        "bracket depth": source_code.c_bracket_depth,
        "block depth": source_code.c_block_depth,
        "indentation": source_code.indentation,
        **EVERYWHERE,
    },
    "python": {
        "inside a string": lambda text: source_code.python_parts(text).string,
        "inside a comment": lambda text: source_code.python_parts(text).comment,
        "inside an if condition": source_code.python_if_condition,
        "bracket depth": source_code.python_bracket_depth,
        "block depth": source_code.python_block_depth,
        "indentation": source_code.indentation,
        **EVERYWHERE,
    },
}


C_LINE = re.compile(r"[;{}]$|^# *(include|define|if|ifdef|ifndef|else|endif|undef)\b")
PYTHON_LINE = re.compile(
    r"^((def|class|if|elif|for|while|with) .*:$|(else|try):$|import \w|from \S+ import |self\.\w+ =)"
)


def features_of(language: str) -> dict[str, Callable]:
    """The features of a language by title. Raises UserError for an unknown one."""
    if language not in LANGUAGES:
        raise UserError(f"unknown language {language!r}; {did_you_mean(language, LANGUAGES)}")
    return LANGUAGES[language]


def guess_language(text: str) -> str:
    """C where a fifth of the lines that are not blank end in ; { or } or are preprocessor directives, Python where a
    twentieth are statements that only it has, else prose.
    """
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    for language, line_of, share in (("c", C_LINE, 5), ("python", PYTHON_LINE, 20)):
        if sum(bool(line_of.search(line)) for line in lines) > len(lines) / share:
            return language
    return "prose"


def measure(text: str, functions: dict[str, Callable]) -> list[Feature]:
    """The features of the text, titles and functions given.

    Numbers that are all 0 or 1 are binary. Raises UserError where a function fails, or its values are not one bool or
    number a symbol.
    """
    return [_feature(text, title, function) for title, function in functions.items()]


def _feature(text: str, title: str, function: Callable) -> Feature:
    try:
        values = np.asarray(function(text))
        if not (np.issubdtype(values.dtype, np.bool_) or np.issubdtype(values.dtype, np.number)):
            raise UserError(f"the feature {title!r} gives values like {values.flat[0]}; they should be bool or numbers")
        values = values.astype(np.float64)
    except UserError:
        raise
    except Exception as error:  # whatever a user's function raises
        raise UserError(f"the feature {title!r} fails on this text: {type(error).__name__}: {error}") from error
    if values.shape != (len(text),):
        raise UserError(
            f"the feature {title!r} gives an array of shape {values.shape}; it should be {(len(text),)}, one value for "
            "each symbol"
        )
    if np.isinf(values).any():
        raise UserError(f"the feature {title!r} gives infinite values; where it has none it should say NaN")
    binary = np.isin(values[~np.isnan(values)], (0, 1)).all()
    return Feature(title, "binary" if binary else "numeric", values)


def load_features(path: str) -> dict[str, Callable]:
    """The dictionary FEATURES, titles and functions `text -> [len(text)] bools or numbers`, of a Python file.

    The file is a program of the user's own and is executed. Raises UserError when it is missing, fails, or has none.
    """
    file = pathlib.Path(path)
    if not file.is_file():
        raise UserError(f"there is no file of features {path!r}")
    spec = importlib.util.spec_from_file_location("seqjax_features", file)
    if spec is None:
        raise UserError(f"the file of features {path!r} is not a Python file (its name should end in .py)")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises
        raise UserError(f"the file of features {path!r} cannot be run: {type(error).__name__}: {error}") from error
    found = getattr(module, "FEATURES", None)
    if not (isinstance(found, dict) and found and all(callable(function) for function in found.values())):
        raise UserError(f"the file of features {path!r} should hold FEATURES = {{title: function of a text, ...}}")
    return {str(title): function for title, function in found.items()}


def characters_of_bytes(text: bytes) -> str:
    """One character for each byte: the last byte of a character is that character, so that it counts from the byte at
    which a reader knows it, and positions in the text and among the bytes agree.

    The bytes before the last, and bytes that are no UTF-8 or whose character was cut, are lone surrogates (0xdc00 more
    than the byte), which are neither letters nor marks: `a “é”` is a, a blank, two of them, “, one, é, two, ”.
    """
    characters = text.decode("utf-8", "surrogateescape")
    return re.sub(r"[^\x00-\x7f]", _with_earlier_bytes, characters)


def _with_earlier_bytes(character: re.Match) -> str:
    earlier = character[0].encode("utf-8", "surrogateescape")[:-1]
    return earlier.decode("ascii", "surrogateescape") + character[0]
