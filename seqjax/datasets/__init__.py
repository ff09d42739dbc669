"""Texts and labelled images as TFDS datasets (ArrayRecord files; neither TensorFlow nor JAX is needed)."""

from seqjax.datasets.cache import cache_directory
from seqjax.datasets.corpus import Corpus, prepare, read
from seqjax.datasets.sources import IMAGES, SOURCES, TEXTS

__all__ = ["IMAGES", "SOURCES", "TEXTS", "Corpus", "cache_directory", "prepare", "read"]
