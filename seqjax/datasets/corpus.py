"""Preparing the bytes of a source once as a TFDS dataset, and reading them back, checked."""

import contextlib
import dataclasses
import hashlib
import logging
import os
import pathlib
import tempfile

from seqjax.datasets.cache import cache_directory, unwritable
from seqjax.datasets.sources import source_bytes
from seqjax.errors import UserError

# Written last, in the format of `sha256sum`, over all other files of the dataset: damage is seen without importing
# TFDS, and named before a parser trips over it.
CHECKSUMS = "SHA256SUMS"

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Corpus:
    """The identity of a prepared source, a text or labelled images."""

    source: str
    """Name in the registry `SOURCES`."""
    directory: str
    """Where the ArrayRecord files are: `tfds.builder_from_directory` opens it."""
    sha256: str
    """Of all its bytes, in hexadecimal."""
    size: int
    """In bytes."""


def prepare(source: str, path: str | None = None) -> Corpus:
    """Build the dataset of a source, unless it is already there; returns its identity.

    The directory's name holds the checksum of the bytes, so a changed source is a new dataset. Any number of
    processes may prepare the same source at once. A damaged dataset is built again, with a warning in the log.

    Raises UserError when the source cannot be read or the cache directory cannot be written.
    """
    contents = source_bytes(source, path)
    sha256 = hashlib.sha256(contents).hexdigest()
    directory = cache_directory() / "datasets" / f"{source}-{sha256[:16]}"
    corpus = Corpus(source, str(directory), sha256, len(contents))
    try:
        if directory.exists():
            if not (why := _damage(directory)):
                return corpus
            log.warning("the prepared dataset %s is damaged (%s): building it again", directory, why)
        _build(corpus, contents)
    except OSError as error:
        raise unwritable(error) from error
    return corpus


def read(corpus: Corpus) -> bytes:
    """All bytes, equal to what was prepared.

    Raises UserError when the dataset is gone or damaged.
    """
    if why := _damage(pathlib.Path(corpus.directory)):
        raise _unreadable(corpus, why)
    from seqjax.datasets import builder

    try:
        contents = builder.stored_bytes(corpus.directory)
    except Exception as error:  # TFDS, protobuf and ArrayRecord each raise their own
        raise _unreadable(corpus, f"{type(error).__name__}: {error}") from error
    if hashlib.sha256(contents).hexdigest() != corpus.sha256:
        raise _unreadable(corpus, f"its contents do not have the SHA-256 {corpus.sha256}")
    return contents


def _build(corpus: Corpus, contents: bytes) -> None:
    """Build in a private directory and rename: whoever is killed, or comes second, leaves a whole dataset."""
    from seqjax.datasets import builder

    final = pathlib.Path(corpus.directory)
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=final.parent, ignore_cleanup_errors=True) as private:
        built = builder.build(contents, pathlib.Path(private))
        (built / CHECKSUMS).write_bytes(_checksums(built))
        if _damage(final):  # looked at again: another process may have repaired it in the meantime
            with contextlib.suppress(FileNotFoundError):
                final.rename(pathlib.Path(private) / "damaged")
        try:
            built.rename(final)
        except OSError:
            if _damage(final):
                raise
            # Another process was first, with the same contents.


def _damage(directory: pathlib.Path) -> str | None:
    """What is wrong with the files of a prepared dataset; None when nothing is."""
    try:
        expected = set((directory / CHECKSUMS).read_bytes().splitlines())
        changed = expected ^ set(_checksums(directory).splitlines())
    except OSError as error:
        return f"{error.strerror}: {error.filename}"
    names = sorted({line.partition(b"  ")[2].decode(errors="replace") for line in changed})
    return f"not as in {CHECKSUMS}: {', '.join(names)}" if names else None


def _checksums(directory: pathlib.Path) -> bytes:
    names = sorted(os.listdir(directory))
    return b"".join(
        f"{hashlib.sha256((directory / name).read_bytes()).hexdigest()}  {name}\n".encode()
        for name in names
        if name != CHECKSUMS and not name.startswith(".")
    )


def _unreadable(corpus: Corpus, why: str) -> UserError:
    return UserError(
        f"the prepared dataset {corpus.directory} is damaged ({why}); delete it, and it will be built again"
    )
