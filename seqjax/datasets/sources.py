"""The registry of text sources: from a name, and perhaps a path, to the bytes of a text."""

import gzip
import hashlib
import http.client
import os
import pathlib
import stat
import tempfile
import urllib.request
import zlib
from collections.abc import Callable

from seqjax.datasets import stdlib
from seqjax.datasets.cache import cache_directory, unwritable
from seqjax.errors import UserError, did_you_mean

TINY_SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
TINY_SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
DOWNLOAD_SECONDS = 30


def text_file(path: str | None) -> bytes:
    """The bytes of the file at `path`; one whose name ends in .gz is decompressed."""
    if not path:
        raise UserError("the source 'text_file' needs a path: the text file to read, plain or .gz")
    try:
        file = pathlib.Path(path).expanduser()
        mode = os.stat(file).st_mode
        if stat.S_ISDIR(mode):
            raise UserError(f"{path!r} is a directory; 'text_file' needs the path of one file")
        if not stat.S_ISREG(mode):
            # A pipe can be read only once, and a later run must find the same text.
            raise UserError(f"{path!r} is not a regular file; save its contents to a file and give the path of that")
        text = file.read_bytes()
        if file.suffix.lower() == ".gz":
            text = gzip.decompress(text)
    except FileNotFoundError:
        raise UserError(f"there is no file {path!r}; give the path of a text file, plain or .gz") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path!r} ends in .gz but is not a whole gzip file ({error}); get it again") from error
    except OSError as error:
        raise UserError(f"cannot read {path!r} ({error.strerror or error}); give a file you may read") from error
    except (ValueError, RuntimeError) as error:  # a NUL byte; ~ of an unknown user
        raise UserError(f"{path!r} is not a path ({error}); give the path of one file") from error
    if not text:
        raise UserError(f"{path!r} is empty; a text needs at least one byte")
    return text


def tiny_shakespeare(path: str | None) -> bytes:
    """The 1,115,394 bytes of Shakespeare known from char-rnn: a local copy, else a download that is kept."""
    _refuse_path("tiny_shakespeare", path)
    if data := os.environ.get("SEQJAX_DATA_DIR"):
        local = pathlib.Path(data).expanduser() / "tinyshakespeare" / "input.txt"
        if local.exists():
            text = text_file(str(local))
            if not _is_tiny_shakespeare(text):
                raise UserError(
                    f"{local} is not tiny Shakespeare: its SHA-256 should be {TINY_SHAKESPEARE_SHA256}; "
                    "put the right file there, or use the source 'text_file' for another text"
                )
            return text
    kept = cache_directory() / "downloads" / "tinyshakespeare" / "input.txt"
    try:
        text = kept.read_bytes()
        if _is_tiny_shakespeare(text):
            return text
    except OSError:
        pass  # not downloaded yet
    text = _download(TINY_SHAKESPEARE_URL)
    if not _is_tiny_shakespeare(text):
        raise UserError(
            f"what {TINY_SHAKESPEARE_URL} sent is not tiny Shakespeare: its SHA-256 should be "
            f"{TINY_SHAKESPEARE_SHA256}; try again, or set SEQJAX_DATA_DIR to a directory that holds "
            "tinyshakespeare/input.txt"
        )
    _keep(kept, text)
    return text


def python_stdlib(path: str | None) -> bytes:
    """The source of this Python's standard library, up to 2,000,000 bytes: needs no network and no data."""
    _refuse_path("python_stdlib", path)
    return stdlib.text()


SOURCES: dict[str, Callable[[str | None], bytes]] = {
    "text_file": text_file,
    "tiny_shakespeare": tiny_shakespeare,
    "python_stdlib": python_stdlib,
}


def source_text(source: str, path: str | None) -> bytes:
    """The whole text of a registered source.

    Raises UserError, in one sentence: unknown source, a path that is missing, of no use or not readable, an empty
    text, a wrong checksum, a download that failed.
    """
    if source not in SOURCES:
        raise UserError(f"unknown text source {source!r}; {did_you_mean(source, SOURCES)}")
    return SOURCES[source](path)


def _refuse_path(source: str, path: str | None) -> None:
    if path:
        raise UserError(f"the source {source!r} takes no path, got {path!r}; to read that file use 'text_file'")


def _is_tiny_shakespeare(text: bytes) -> bool:
    return hashlib.sha256(text).hexdigest() == TINY_SHAKESPEARE_SHA256


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=DOWNLOAD_SECONDS) as response:  # noqa: S310 (our own https address)
            return response.read()
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            f"cannot download tiny Shakespeare from {url} ({error}); "
            "set SEQJAX_DATA_DIR to a directory that holds tinyshakespeare/input.txt"
        ) from error


def _keep(file: pathlib.Path, text: bytes) -> None:
    """Write by rename, so that another process never reads half a file."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=file.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(text)
        os.replace(partial, file)
    except OSError as error:
        raise unwritable(error) from error
