"""Plain-text corpora as TFDS datasets (ArrayRecord files; neither TensorFlow nor JAX is needed)."""

from seqjax.datasets.cache import cache_directory
from seqjax.datasets.sources import SOURCES
from seqjax.datasets.text import Corpus, prepare, read

__all__ = ["SOURCES", "Corpus", "cache_directory", "prepare", "read"]
