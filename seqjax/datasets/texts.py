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
