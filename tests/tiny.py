"""Small trials for tests: a text of a few thousand characters, a few dozen steps."""

import numpy as np

from seqjax.config import load_config, override
from seqjax.tasks.char_lm import CharLM, cut
from seqjax.tasks.vocabulary import Vocabulary

SETTINGS = {
    "cell.hidden": 8,
    "task.batch": 4,
    "task.chunk": 10,
    "train.steps": 40,
    "train.steps_per_dispatch": 5,
    "train.eval_every": 10,
    "train.checkpoint_seconds": 0.0,
    "sample.length": 20,
    "sample.prompt": "",
    "data.validation": 0.1,
    "data.test": 0.1,
}


def text(characters: int = 4000, seed: int = 0) -> bytes:
    """Words from a small lexicon: something to learn."""
    random = np.random.default_rng(seed)
    words = ["the ", "cat ", "sat ", "on ", "a ", "mat.\n", "and ", "then ", "ran; ", "Dogs ", "bark!\n"]
    return "".join(random.choice(words, characters)).encode()[:characters]


def config(**settings):
    """The default config made tiny; `cell__name="gru"` sets cell.name."""
    made, _ = load_config("configs/char_lm.py")
    for key, value in {**SETTINGS, **{key.replace("__", "."): value for key, value in settings.items()}}.items():
        override(made, key, value)
    return made


def task(made, raw: bytes | None = None) -> CharLM:
    """The config's task on the small text, without files."""
    raw = text() if raw is None else raw
    vocabulary = Vocabulary.of(raw, made.data.symbols, made.data.max_vocabulary)
    return CharLM(made, vocabulary, cut(vocabulary.encode(raw), made.data.validation, made.data.test))


def arguments(path, **settings) -> list[str]:
    """Command-line arguments for `experiments.launch` on the text file at `path`."""
    settings = {**SETTINGS, "data.path": path, **{key.replace("__", "."): value for key, value in settings.items()}}
    return ["--config=configs/char_lm.py:text", *(f"--config.{key}={value}" for key, value in settings.items())]
