"""The TFDS builder of a corpus. Imports tensorflow_datasets, so import this module only where it is used."""

import contextlib
import io
import json
import pathlib
from collections.abc import Iterator

import tensorflow_datasets as tfds

SEGMENT_BYTES = 256 * 1024


# What TFDS writes into features.json of the features below.
FEATURES = {
    "pythonClassName": "tensorflow_datasets.core.features.features_dict.FeaturesDict",
    "featuresDict": {
        "features": {
            "text": {"pythonClassName": "tensorflow_datasets.core.features.text_feature.Text", "text": {}},
        }
    },
}


class _LocalInfo(tfds.core.DatasetInfo):
    def initialize_from_bucket(self) -> None:
        """Nothing is published under this name; looking would leave an empty directory in /tmp each time."""


# Unregistered: these datasets are opened by their directory, not by a name.
class Segments(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """One split, `text`, whose records in order are consecutive segments of raw bytes, of a text or of images.

    What is prepared stays readable only if its names stay, so the dataset, its split and its feature keep the name
    `text`, which fitted when there were only texts.

    TFDS reserves the split name `all` for the union of the splits, so `as_data_source("all")` reads the whole.
    """

    name = "text"
    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, contents: bytes, data_dir: str):
        self._contents = contents
        super().__init__(data_dir=data_dir, file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        return _LocalInfo(
            builder=self,
            description="Consecutive segments of a text or of images, as raw bytes.",
            # `Text` takes and gives bytes as they are; only str would be encoded.
            features=tfds.features.FeaturesDict({"text": tfds.features.Text()}),
            disable_shuffling=True,
        )

    def _split_generators(self, download_manager) -> dict:
        return {"text": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, bytes]]]:
        for start in range(0, len(self._contents), SEGMENT_BYTES):
            yield start, {"text": self._contents[start : start + SEGMENT_BYTES]}


def build(contents: bytes, data_dir: pathlib.Path) -> pathlib.Path:
    """Write the dataset below `data_dir`; returns the directory of its files. Raises OSError when it cannot."""
    tfds.disable_progress_bar()
    try:
        builder = Segments(contents, str(data_dir))
        with contextlib.redirect_stdout(io.StringIO()):  # what it prints is about downloads, of which there are none
            builder.download_and_prepare()
    except RuntimeError as error:  # what ArrayRecord raises when the disk is full
        raise OSError(str(error)) from error
    if stored_bytes(builder.data_dir) != contents:
        raise OSError(f"what was written to {data_dir} reads back differently")
    return pathlib.Path(builder.data_dir)


def stored_bytes(directory: str) -> bytes:
    """All records of the dataset in `directory`, joined.

    Raises ValueError where it has other features than ours: TFDS imports the modules that features.json names.
    """
    features = json.loads((pathlib.Path(directory) / "features.json").read_bytes())
    if features != FEATURES:
        raise ValueError("features.json does not tell of segments of bytes")
    segments = tfds.builder_from_directory(directory).as_data_source("all")
    return b"".join(segment["text"] for segment in segments)
