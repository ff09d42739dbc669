"""Features of texts, each expected value written under its symbol by hand; and against Python's own tokenizer."""

import io
import pathlib
import tokenize

import numpy as np
import pytest

from seqjax.errors import UserError
from seqjax.interpret import features
from seqjax.interpret.features import LANGUAGES, characters_of_bytes, guess_language, load_features, measure
from seqjax.interpret.source_code import quotations


def values(text, title, language):
    """As digits, one under each symbol."""
    found = {feature.title: feature for feature in measure(text, LANGUAGES[language])}[title].values
    return "".join(str(int(value)) for value in found)


def check(title, language, *lines):
    """Texts and marks in turn, each a line; a text may hold line breaks written as themselves."""
    for text, marks in zip(lines[::2], lines[1::2], strict=True):
        assert len(text) == len(marks), text
        assert values(text, title, language) == marks, text


def test_positions_and_beginnings():
    text = "ab  c_1\n\nd e"
    assert values(text, "position in the line", "prose") == "123456700123"
    assert values(text, "first of its line", "prose") == "100000001100"
    assert values(text, "position in the word", "prose") == "120012300101"
    assert values(text, "first of its word", "prose") == "100010000101"


def test_windows_line_ends():
    assert values("a\r\nbc\r\n", "position in the line", "c") == "1201230"
    assert values('"a\r\n"b"\r\n', "inside a string or character", "c") == "110011000"
    assert values('"a\\\r\nb" c', "inside a string or character", "c") == "111111000"
    assert values("// a\r\nb", "inside a comment", "c") == "0111000"
    assert values("if a:\r\n  b\r\nc", "block depth", "python") == "0000000001110"


def test_quotes_in_prose():
    check(
        "inside quotes",
        "prose",
        'he "said so" "a"',
        "0001111111100110",
        "he “said “so” a",
        "000111111111000",
        'a "b\nc" d',
        "001111000",
        'a "b\n\nc "d" e',  # a paragraph break ends a quotation
        "0011100011000",
        '"a\n \t\n"b',
        "11111011",
        "it's a dog's",
        "000000000000",
    )


def test_parentheses_in_prose():
    check("inside parentheses", "prose", "a (b) c) (d\n\ne", "00110000011100")


def test_strings_of_c():
    check(
        "inside a string or character",
        "c",
        r"""f("a\"b", '"', c)""",
        "00111110001100000",
        "\"it's\" 'x' y",
        "111110011000",
        '/* "no" */ "yes"',
        "0000000000011110",
        '"open\n"next"',
        "111110111110",
        '// "no\n"y"',
        "0000000110",
        '"a\\',
        "111",
    )


def test_comments_of_c():
    check(
        "inside a comment",
        "c",
        "a /* b */ c // d\ne",
        "000111110000011100",
        '"/* no */" //y',
        "00000000000011",
        "a / b * c /*/ d */",
        "000000000001111110",
        "/* never closed",
        "011111111111111",
        "// a \\\n b\nc",
        "01111111100",
        "so */ a /* b */ c",  # cut from within a comment
        "11110000011111000",
    )


def test_strings_of_python():
    check(
        "inside a string",
        "python",
        "a = \"it's\" # 'no'",
        "00001111100000000",
        r"r'\\' + f'{a}' 'b",
        "01110000011110011",
    )


def test_triple_quotes_of_python():
    text, marks = '"""a "b" \n c\\""""d', "001111111111111100"
    check("inside a string", "python", text, marks[: len(text)])
    check("inside a string", "python", "'''", "001", '"" "a"', "100110")


def test_a_python_text_cut_within_a_docstring():
    rest = 'its end."""\n    return 1\n\ndef g():\n    """Of g."""\n    return 2\n'
    marks = values(rest, "inside a string", "python")
    assert marks[: rest.index('"""') + 2] == "1" * (rest.index('"""') + 2)
    assert marks[rest.index("return 1")] == "0"
    assert marks[rest.index("Of g")] == "1"


def test_words_that_also_begin_statements_make_no_statement_of_a_docstring():
    rest = 'for all of these,\nif they are there,\nfrom the first on.\n"""\n\ndef f(a):\n    return a\n'
    marks = values(rest, "inside a string", "python")
    assert marks == "1" * (rest.index('"""') + 2) + "0" * (len(rest) - rest.index('"""') - 2)


def test_a_python_text_wholly_within_a_docstring():
    text = "its end\nis beyond what was cut from the text\nand so is the beginning of it.\n" + '"""\n'
    assert values(text, "inside a string", "python") == "1" * (len(text) - 2) + "00"


def test_comments_of_python():
    check("inside a comment", "python", "a # b 'c\nd '#'", "00111111000000")


def test_conditions_of_c():
    check(
        "inside an if condition",
        "c",
        "if (a(b) && ')') c(); else if(d) e;",
        "000" + "1" * 12 + "0" * 14 + "11" + "0000",
        "#if (A)\niffy (a) x->if_(b)",
        "0" * 26,
        '"if (a)" /* if (b) */',
        "0" * 21,
        "if (a",
        "00011",
    )


def test_conditions_of_python():
    check(
        "inside an if condition",
        "python",
        "if a[1:2] == '::': b",
        "00" + "1" * 15 + "000",
        "x = 1 if a else b",
        "0" * 17,
        "elif a:\n  b(c if d else e)",
        "000011" + "0" * 20,
        "if (a\n    and b): c",
        "00" + "1" * 14 + "000",
        "'''\nif a: b'''\nif c: d",
        "0" * 17 + "11" + "000",
        "if (n := a): b",
        "00" + "1" * 9 + "000",
    )


def test_depths_of_c():
    check("bracket depth", "c", "f(a[1], ')') + g)(", "011221111110000001")
    check("block depth", "c", "} { { '{' } }", "0011222222110")


def test_bracket_depth_of_python():
    check("bracket depth", "python", "a({'(': [1]}) # (", "01222222332100000"[:17])


def test_indentation_counts_columns_as_they_are_read():
    assert values("  a\n\tb", "indentation", "c") == "122088"
    assert measure("   \tb\n", {"i": LANGUAGES["c"]["indentation"]})[0].values.tolist() == [1, 2, 3, 8, 8, 0]


def test_block_depth_of_python():
    lines = [
        ("if a:\n", 0),
        ("  b = (1,\n", 1),
        ("2)\n", 1),  # continues the bracket
        ("# comment\n", 1),
        ("\n", 1),
        ("  if c:\n", 1),
        ("    '''d\n", 2),
        ("e'''\n", 2),
        ("    f = \\\n", 2),
        ("g\n", 2),
        ("h\n", 0),
    ]
    text = "".join(line for line, _ in lines)
    found = np.array(list(map(int, values(text, "block depth", "python"))))
    start = 0
    for line, depth in lines:
        first = start + len(line) - len(line.lstrip())  # a line changes the depth with its first statement
        assert set(found[first : start + len(line)]) <= {depth}, line
        start += len(line)


def test_strings_and_comments_are_those_of_pythons_own_tokenizer():
    """On modules of the standard library, but for which of its own symbols a string or comment begins and ends with."""
    modules = ["argparse", "textwrap", "tokenize", "re/_parser", "json/encoder"]
    for module in modules:
        text = (pathlib.Path(tokenize.__file__).parent / f"{module}.py").read_text(encoding="utf-8")
        starts = np.cumsum([0, *map(len, text.splitlines(keepends=True))])
        string, comment, quoted = np.zeros(len(text), bool), np.zeros(len(text), bool), []
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            start, end = (starts[row - 1] + column for row, column in (token.start, token.end))
            if token.type == tokenize.COMMENT:
                comment[start:end] = True
            elif token.type == tokenize.STRING:
                quote = start + min(token.string.find(mark) % len(token.string) for mark in "'\"")
                long = token.string[quote - start :][:3] in ("'''", '"""')
                string[quote + 2 * long : end - 1] = True
                quoted.append((quote + 2 * long, end - (3 if long else 1)))
        found = {feature.title: feature.values for feature in measure(text, LANGUAGES["python"])}
        np.testing.assert_array_equal(found["inside a string"], string)
        np.testing.assert_array_equal(found["inside a comment"], comment)
        np.testing.assert_array_equal(quotations(text, "python"), quoted)


def test_bytes_are_one_character_each():
    raw = 'é “a” "b"'.encode()
    text = characters_of_bytes(raw)
    assert text == '\udcc3é \udce2\udc80“a\udce2\udc80” "b"'
    assert values(text, "inside quotes", "prose") == "00000111100110"
    assert values(text, "position in the word", "prose") == "01000012300010"
    assert values(characters_of_bytes("né x".encode()), "position in the word", "prose") == "12301"
    assert values(characters_of_bytes("né x".encode()), "first of its word", "prose") == "10001"
    cut = characters_of_bytes(raw[1:5] + b"\xff\n")
    assert len(cut) == 6
    assert values(cut, "position in the word", "prose") == "000000"


def test_features_of_bytes_know_nothing_of_bytes_to_come():
    raw = 'é—so “née 漢” (“a \n\n“😀"ü'.encode()
    whole = measure(characters_of_bytes(raw), LANGUAGES["prose"])
    for end in range(1, len(raw) + 1):
        for feature, read in zip(whole, measure(characters_of_bytes(raw[:end]), LANGUAGES["prose"]), strict=True):
            np.testing.assert_array_equal(read.values, feature.values[:end], feature.title)


def test_empty_and_tiny_texts_have_features():
    for language, functions in LANGUAGES.items():
        for text in ("", "a", "\n", '"', "(", "'", "\\", "#", "/*", "if"):
            assert all(len(f.values) == len(text) for f in measure(text, functions)), (language, text)


def test_kinds():
    kinds = {f.title: f.kind for f in measure("ab (c)\n\nde f", LANGUAGES["python"])}
    assert kinds["first of its word"] == kinds["inside a string"] == "binary"
    assert kinds["position in the line"] == kinds["position in the word"] == "numeric"


def test_the_language_is_guessed(data_directory):
    shakespeare = (data_directory / "tinyshakespeare" / "input.txt").read_text()
    assert guess_language(shakespeare[:40_000]) == "prose"
    assert guess_language(pathlib.Path(features.__file__).read_text()) == "python"
    assert guess_language("#include <stdio.h>\n\nint main(void)\n{\n    return 0;\n}\n") == "c"
    assert guess_language("") == "prose"


USERS = """
import numpy as np
def vowels(text):
    return [symbol in "aeiou" for symbol in text]
FEATURES = {"vowel": vowels, "height": lambda text: np.array([float(ord(s)) for s in text])}
"""


def test_features_of_a_users_own(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(USERS)
    vowel, height = measure("hello", load_features(str(file)))
    assert (vowel.title, vowel.kind, vowel.values.tolist()) == ("vowel", "binary", [0, 1, 0, 0, 1])
    assert (height.kind, height.values[0]) == ("numeric", 104)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("FEATURES = {", "cannot be run: SyntaxError"),
        ("FEATURES = [len]", "should hold FEATURES = {title: function of a text, ...}"),
        ("FEATURES = {}", "should hold FEATURES"),
        ("def f(text): ...", "should hold FEATURES"),
        ("FEATURES = {'a': 3}", "should hold FEATURES"),
        (
            "FEATURES = {'a': lambda text: [1]}",
            r"gives an array of shape \(1,\); it should be \(5,\), one value",
        ),
        ("FEATURES = {'a': lambda text: 1 / 0}", "'a' fails on this text: ZeroDivisionError"),
        ("FEATURES = {'a': list}", "gives values like h; they should be bool or numbers"),
        ("FEATURES = {'a': lambda text: [[1], [2, 3]]}", "'a' fails on this text"),
        ("FEATURES = {'a': lambda text: [float('inf')] * 5}", "gives infinite values"),
    ],
)
def test_wrong_features_are_one_sentence(tmp_path, source, sentence):
    file = tmp_path / "wrong.py"
    file.write_text(source)
    with pytest.raises(UserError, match=sentence):
        measure("hello", load_features(str(file)))


def test_files_that_hold_no_features(tmp_path):
    with pytest.raises(UserError, match="there is no file of features"):
        load_features(str(tmp_path / "none.py"))
    (tmp_path / "text.txt").write_text("a")
    with pytest.raises(UserError, match="is not a Python file"):
        load_features(str(tmp_path / "text.txt"))
    with pytest.raises(UserError, match=r"unknown language 'pyton'; did you mean 'python'\?"):
        features.features_of("pyton")
