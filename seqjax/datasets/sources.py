"""The registry of sources: from a name, and perhaps a path, to the bytes of a text, of labelled images or of music."""

from collections.abc import Callable

from seqjax.datasets import images, music, texts
from seqjax.errors import UserError, did_you_mean

# Only `text_file` takes a path.
TEXTS: dict[str, Callable[..., bytes]] = {
    "text_file": texts.text_file,
    "tiny_shakespeare": texts.tiny_shakespeare,
    "war_and_peace": texts.war_and_peace,
    "python_stdlib": texts.python_stdlib,
    "ptb": texts.penn_treebank,
    "ptb_characters": texts.penn_treebank_characters,
}

# Texts that come with their own validation and test text: `seqjax.datasets.texts.parts` divides their bytes.
DIVIDED_TEXTS = ("ptb", "ptb_characters")

# Their bytes are what `seqjax.datasets.images.parse` reads.
IMAGES: dict[str, Callable[[], bytes]] = {
    "mnist": images.mnist,
    "digits": images.digits,
}

# Their bytes are what `seqjax.datasets.music.parse` reads.
MUSIC: dict[str, Callable[[], bytes]] = {name: file.contents for name, file in music.FILES.items()}

SOURCES: dict[str, Callable[..., bytes]] = TEXTS | IMAGES | MUSIC


def source_bytes(source: str, path: str | None) -> bytes:
    """All bytes of a registered source.

    Raises UserError, in one sentence: unknown source, a path that is missing, of no use or not readable, an empty
    text, a wrong checksum, a download that failed.
    """
    if source not in SOURCES:
        raise UserError(f"unknown data source {source!r}; {did_you_mean(source, SOURCES)}")
    if source == "text_file":
        return texts.text_file(path)
    if path:
        raise UserError(
            f"the source {source!r} takes no path, got {path!r}; leave the path out, "
            "or read that file as a text with the source 'text_file'"
        )
    return SOURCES[source]()
