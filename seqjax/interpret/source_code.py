r"""Where a text stands after each symbol: inside quotation marks, comments, brackets, blocks, the condition of an `if`.

Quotations, strings and comments are found with one pattern for prose and one for each language, which needs no correct
program: on texts that were cut or never compiled it goes on as a reader would. Inside is from the symbol that completes
the opening mark to the one before that which completes the closing mark: what is known once the symbol is read.

    a = "it's"  # why
    0000011111000111111

A string in single or double quotes also ends before the end of its line, a comment of one line there, a quotation of
prose with its paragraph.
"""

import dataclasses
import functools
import re

import numpy as np
from jaxtyping import Bool, Int

HIDDEN = "\0"  # stands for each symbol of strings and comments where only the rest of the program matters

PROSE_TOKENS = re.compile(
    r"""\\.
    |(?P<string>["“])(?:\\.|[^"”\n]|\n(?![ \t\r]*\n))*(?:(?P<string_end>["”])|\n[ \t\r]*(?=\n))?
    |(?<![\w)\]}])(?P<single>')(?=\S)(?:[^'"“”\n]|(?<=\w)'(?=\w))*(?<!\s)(?P<single_end>')(?!\w)""",
    re.VERBOSE,
)
C_TOKENS = re.compile(
    r"""(?P<comment_line>//)(?:\\\r?\n|[^\r\n])*
    |(?P<comment_block>/\*)(?:(?!\*/).)*(?P<comment_block_end>\*/)?
    |(?P<string>["'])(?:\\(?:\r\n|.?)|(?!(?P=string))[^\\\r\n])*(?P<string_end>(?P=string))?""",
    re.DOTALL | re.VERBOSE,
)
PYTHON_TOKENS = re.compile(
    r"""(?P<comment>\#)[^\r\n]*
    |(?P<string_long>\"{3}|'{3})(?:\\.?|(?!(?P=string_long)).)*(?P<string_long_end>(?P=string_long))?
    |(?P<string>["'])(?:\\(?:\r\n|.?)|(?!(?P=string))[^\\\r\n])*(?P<string_end>(?P=string))?""",
    re.DOTALL | re.VERBOSE,
)
PYTHON_STATEMENT = re.compile(
    r"""^[ \t]*(?:
    (?:async[ ]+)?def[ ]+\w+\(
    |class[ ]+\w+[(:]
    |import[ ]+[\w.]+(?:[ ]as[ ]\w+|,.*)?$
    |from[ ]+[\w.]+[ ]+import\b
    |(?:if|elif|for|while|with|except)\b.*:$
    |(?:else|try|finally|except):
    |(?:return|raise|pass|break|continue)(?:[ ][\w.]+)?$
    |(?:return|raise|yield|assert)\b.*[(\[=]
    |[\w.]+[ ][-+*/|&]?=[ ]
    )""",
    re.MULTILINE | re.VERBOSE,
)
PROSE_LINE = re.compile(r"(?<=\n)[ \t]*[\w'-]+(?:,? [\w'-]+){4,}[.,;]?$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Parts:
    """Of a text in one language."""

    string: Bool[np.ndarray, "time"]
    """Inside a string or a C character; in prose, inside double quotation marks."""
    comment: Bool[np.ndarray, "time"]
    code: str
    """The text with strings and comments hidden."""
    quotations: Int[np.ndarray, "quotations 2"]
    """Of each, the last symbol of the mark that opens it and the first of the mark that closes it; -1 for one that the
    text does not hold."""


@functools.lru_cache(maxsize=2)
def prose_parts(text: str) -> Parts:
    """A straight double mark opens where none is open and closes otherwise; curly marks say themselves which they are.

    Marks within a quotation, and after a backslash, are none. `'` is mostly an apostrophe, and when it is read nobody
    knows which: a quotation in such marks is among `quotations` where both stand in one line, outside double marks, the
    first with no word before it and the second with none after it, but never in `string`.
    """
    return _parts(PROSE_TOKENS, text, "")


@functools.lru_cache(maxsize=2)
def c_parts(text: str) -> Parts:
    """A text that begins inside a comment, as one cut from a longer text may, is known by the `*/` that comes first."""
    begins_inside = "*/" in text.partition("/*")[0]
    return _parts(C_TOKENS, text, "/*" if begins_inside else "")


@functools.lru_cache(maxsize=2)
def python_parts(text: str) -> Parts:
    """Expressions in f-strings count as string, as in Python before 3.12.

    Triple quotes look alike at both ends, so a text cut inside a docstring would read inside out: it is taken to begin
    where most statements, and fewest lines of plain words, are outside strings. A short text may hold too few of either
    and be inverted: about one in 150 of 1,000 symbols cut from the standard library, none of some 3,000 of 5,000.
    """
    readings = [_parts(PYTHON_TOKENS, text, before) for before in ("", '"""', "'''")]
    return max(readings, key=lambda parts: _statements(parts.code))


def _statements(code: str) -> int:
    return len(PYTHON_STATEMENT.findall(code)) - len(PROSE_LINE.findall(code))


def quotations(text: str, language: str) -> Int[np.ndarray, "quotations 2"]:
    """As in `Parts`, in the order of the text. A language without a pattern of its own is read as prose."""
    return {"c": c_parts, "python": python_parts}.get(language, prose_parts)(text).quotations


def _parts(tokens: re.Pattern, text: str, before: str) -> Parts:
    whole, skipped = before + text, len(before)
    marks = {name: np.zeros(len(whole), bool) for name in ("string", "comment", "single")}
    code, quoted, place = [], [], 0
    for token in tokens.finditer(whole):
        if token.lastgroup is None:
            continue
        kind = token.lastgroup.removesuffix("_end")
        closed = token.lastgroup.endswith("_end")
        opened = token.end(kind) - 1
        marks[kind.partition("_")[0]][opened : token.end() - closed] = True
        code += [whole[place : token.start()], HIDDEN * (token.end() - token.start())]
        if not kind.startswith("comment"):
            quoted.append((opened, token.start(f"{kind}_end")))
        place = token.end()
    code = "".join(code) + whole[place:]
    quoted = np.maximum(np.array(quoted, int).reshape(-1, 2) - skipped, -1)
    return Parts(marks["string"][skipped:], marks["comment"][skipped:], code[skipped:], quoted)


def depth(code: str, opening: str, closing: str) -> Int[np.ndarray, "time"]:
    """How many brackets are open after each symbol. One that closes what was never opened counts for nothing."""
    open_now, found = 0, np.zeros(len(code), int)
    for place, symbol in enumerate(code):
        if symbol in opening:
            open_now += 1
        elif symbol in closing:
            open_now = max(0, open_now - 1)
        found[place] = open_now
    return found


def c_bracket_depth(text: str) -> Int[np.ndarray, "time"]:
    """Of ( and [."""
    return depth(c_parts(text).code, "([", ")]")


def c_block_depth(text: str) -> Int[np.ndarray, "time"]:
    """Of {."""
    return depth(c_parts(text).code, "{", "}")


def c_if_condition(text: str) -> Bool[np.ndarray, "time"]:
    """From the bracket after `if` to the one that closes it; not the preprocessor's #if."""
    code, inside = c_parts(text).code, np.zeros(len(text), bool)
    brackets = depth(code, "(", ")")
    for match in re.finditer(r"#\s*if|\bif[\s\0]*(?P<open>\()", code):
        if match["open"]:
            start = match.start("open")
            ends = np.flatnonzero(brackets[start:] < brackets[start])
            inside[start : start + ends[0] if len(ends) else len(text)] = True
    return inside


def python_bracket_depth(text: str) -> Int[np.ndarray, "time"]:
    """Of (, [ and {."""
    return depth(python_parts(text).code, "([{", ")]}")


def python_if_condition(text: str) -> Bool[np.ndarray, "time"]:
    """After the `if` or `elif` of a statement, up to its colon; not conditions in the middle of an expression."""
    code, inside = python_parts(text).code, np.zeros(len(text), bool)
    brackets = python_bracket_depth(text)
    for match in re.finditer(r"^[ \t]*(?:if|elif)\b", code, re.MULTILINE):
        start = match.end()
        if start < len(code) and brackets[start - 1] == 0:
            ends = (end.start() for end in re.compile(r":(?!=)|\n").finditer(code, start))
            inside[start : next((end for end in ends if brackets[end] == 0), len(text))] = True
    return inside


def python_block_depth(text: str) -> Int[np.ndarray, "time"]:
    """Levels of indentation, from the first symbol of a statement to before that of the next.

    Blank lines, comments, and lines that continue a string, a bracket or a backslash are no statements of their own.
    """
    code, found = python_parts(text).code, np.zeros(len(text), int)
    columns, brackets = indentation(text), python_bracket_depth(text)
    levels, start, continued = [0], 0, False
    for line in code.split("\n"):
        first = start + len(line) - len(line.lstrip(" \t\f"))
        found[start:first] = len(levels) - 1
        statement = line.strip() and text[first] != "#" and not continued
        if statement and not (start and brackets[start - 1]):
            width = columns[first]
            while levels[-1] > width:
                levels.pop()
            if width > levels[-1]:
                levels.append(int(width))
        found[first : start + len(line) + 1] = len(levels) - 1
        continued = line.rstrip("\r").endswith("\\")
        start += len(line) + 1
    return found


def indentation(text: str, tab: int = 8) -> Int[np.ndarray, "time"]:
    """Columns of blanks at the start of the line, as far as it has been read; a tab goes to the next multiple of 8."""
    found, columns, leading = np.zeros(len(text), int), 0, True
    for place, symbol in enumerate(text):
        if symbol == "\n":
            columns, leading = 0, True
        elif leading and symbol in " \t":
            columns += 1 if symbol == " " else tab - columns % tab
        else:
            leading = False
        found[place] = columns
    return found
