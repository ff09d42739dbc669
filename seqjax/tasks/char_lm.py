"""Language modelling of characters, bytes or words with truncated backpropagation through time.

The text is cut into lanes of equal length that are read side by side, a chunk a step. The recurrent state is carried
from chunk to chunk; gradients stay within one. When the lanes end they start over, from the initial state.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, Integer, Key, PyTree
from ml_collections import ConfigDict

from seqjax.config import at_least, at_most, flat, one_of
from seqjax.datasets import TEXTS, Corpus, prepare, read
from seqjax.datasets.sources import DIVIDED_TEXTS
from seqjax.datasets.texts import parts
from seqjax.errors import UserError
from seqjax.models import ManyToMany, build
from seqjax.models.sampling import generate
from seqjax.tasks.cross_entropy import cross_entropy
from seqjax.tasks.measure import Measure
from seqjax.tasks.vocabulary import Vocabulary, words_of

SPLITS = ("train", "validation", "test")
EVALUATION_LANES = 64
LONGEST_SAMPLE = 1_000_000  # symbols
WARM_UP = 64  # symbols that a lane reads before its part of an evaluated text, so that its state is not cold


class Batch(NamedTuple):
    """One chunk of every lane."""

    symbols: Int[Array, "time+1 lanes"]  # inputs are all but the last, targets all but the first
    wraps: Bool[Array, ""]  # the lanes start over with this chunk


class CharLM:
    """The next symbol, given all before it in the lane."""

    counted_in = "symbols"

    def __init__(self, config: ConfigDict, vocabulary: Vocabulary, splits: dict[str, np.ndarray] | None = None):
        self.config = config
        self.vocabulary = vocabulary
        self.splits = splits or {}
        if splits is not None:
            self.data = {"train": splits["train"]}
            self._check_length()

    @classmethod
    def find_corpus(cls, config: ConfigDict) -> Corpus:
        """The prepared text. Raises UserError for a source that holds none, or cannot be read."""
        one_of(config, "data.source", TEXTS)
        return prepare(config.data.source, config.data.path or None)

    @classmethod
    def from_corpus(cls, config: ConfigDict, corpus: Corpus) -> "CharLM":
        """The task on a prepared corpus. Raises UserError when a value is out of range or the text too short."""
        one_of(config, "data.symbols", ("characters", "bytes", "words"))
        one_of(config, "task.reduction", ("mean", "sum"))
        for key, least in (
            ("task.batch", 1),
            ("task.chunk", 1),
            ("data.max_vocabulary", 1),
            ("data.validation", 0),
            ("data.test", 0),
            ("sample.length", 1),
            ("sample.temperature", 0),
            ("sample.top_k", 0),
        ):
            at_least(config, key, least)
        at_most(config, "sample.length", LONGEST_SAMPLE)
        task = cls(config, *_vocabulary_and_splits(config, read(corpus)))
        task.prompt(config.sample.prompt)
        return task

    @classmethod
    def from_description(cls, config: ConfigDict, saved: dict) -> "CharLM":
        """The task without its data, as saved in a run: enough for building networks, sampling, and other texts."""
        return cls(config, Vocabulary.from_json(saved["vocabulary"]))

    def description(self) -> dict:
        """What a run saves of the task, so that its model can be used without the data."""
        return {"vocabulary": self.vocabulary.to_json(), "symbols": {k: len(v) for k, v in self.splits.items()}}

    def network(self, rngs):
        return self.network_of(self.config, rngs=rngs)

    def network_of(self, config: ConfigDict, *, rngs):
        """The network that another config, of another size say, has on this task's vocabulary."""
        return build.network(config, ManyToMany, len(self.vocabulary), vocab=len(self.vocabulary), rngs=rngs)

    @property
    def title(self) -> str:
        return self.config.data.source

    @property
    def measure(self) -> Measure:
        return Measure("nats", "nats per symbol", math.log(len(self.vocabulary)), "every symbol equally likely")

    @property
    def time(self) -> int:
        """Symbols in a chunk."""
        return self.config.task.chunk

    def held_out(self, split: str) -> int:
        """Symbols of a split that are scored: the training text counts as far as the held-out texts are long, so that
        measuring it costs no more than measuring them.
        """
        if split == "train":
            return min(len(self.splits["train"]), len(self.splits["validation"]) + len(self.splits["test"]))
        return len(self.splits[split])

    @property
    def steps_per_epoch(self) -> int:
        """Chunks in a lane of the training text."""
        return (len(self.splits["train"]) // self.config.task.batch - 1) // self.config.task.chunk

    def _check_length(self):
        size, batch, chunk = len(self.splits["train"]), self.config.task.batch, self.config.task.chunk
        if self.steps_per_epoch < 1:
            raise UserError(
                f"the training text has {size} symbols; {batch} lanes of at least one chunk of {chunk} + 1 symbols "
                f"need {batch * (chunk + 1)}: use a longer text, a smaller task.batch or a smaller task.chunk"
            )

    def initial_carry(self, network, lanes: int) -> PyTree:
        return network.stack.initial_state((lanes,))

    def batch(self, data, key: Key[Array, ""], step: Int[Array, ""], lanes: Int[Array, "lanes"]) -> Batch:
        """Lane b at a step reads `chunk + 1` symbols from `b * L + (step mod chunks) * chunk`; `key` is not used."""
        chunk = self.config.task.chunk
        place = step % self.steps_per_epoch
        lane_length = len(self.splits["train"]) // self.config.task.batch
        starts = lanes * lane_length + place * chunk
        symbols = jax.vmap(lambda start: jax.lax.dynamic_slice(data["train"], (start,), (chunk + 1,)))(starts)
        return Batch(symbols.astype(jnp.int32).T, place == 0)

    def loss(
        self, network, carry: PyTree, batch: Batch, dropout_rate=None, keys=None
    ) -> tuple[Float[Array, ""], tuple[PyTree, dict]]:
        """Cross-entropy in nats, a mean over lanes and a mean or a sum over the chunk."""
        carry, logits = self._read(network, carry, batch, dropout_rate, keys)
        nats = cross_entropy(logits, batch.symbols[1:]).mean()
        loss = nats * self.config.task.chunk if self.config.task.reduction == "sum" else nats
        return loss, (carry, {"nats": nats})

    def _read(self, network, carry, batch, dropout_rate=None, keys=None):
        """The state after a chunk and the logits of each of its symbols."""
        start = network.stack.initial_state((batch.symbols.shape[1],))
        carry = jax.tree.map(lambda new, old: jnp.where(batch.wraps, new, old), start, carry)
        remat = self.config.model.remat or None
        return network(batch.symbols[:-1], carry, dropout_rate=dropout_rate, keys=keys, remat=remat)

    def end_loss(self, network, carry: PyTree, batch: Batch) -> Float[Array, ""]:
        """The nats of the chunk's last symbol alone, whose gradient is followed back through time."""
        _, logits = self._read(network, carry, batch)
        return cross_entropy(logits[-1], batch.symbols[-1]).mean()

    def evaluate(self, network, split: str, mesh: jax.sharding.Mesh | None = None) -> dict[str, float]:
        """Nats, bits and perplexity per symbol of a split; {} where it is empty."""
        symbols = self.splits[split][: self.held_out(split)]
        return self.score(network, symbols, mesh) if len(symbols) > 1 else {}

    def score(
        self, network, symbols: Integer[np.ndarray, "time"], mesh: jax.sharding.Mesh | None = None
    ) -> dict[str, float]:
        """Nats, bits and perplexity per symbol, over every symbol but the first.

        The text is read in lanes side by side, divided among the devices of `mesh`. Each lane reads `WARM_UP` symbols
        before its part without counting them. Perplexities of words are those of the papers, where line breaks count
        and one state is carried through the whole text, but for what a lane could know from before its warm-up.
        """
        if len(symbols) < 2:
            raise UserError(f"a text of {len(symbols)} symbols has nothing to predict; it needs at least 2")
        total, state = 0.0, None
        for windows in _windows(symbols, self.config.task.chunk):
            lanes = windows[0].shape[2]
            if state is None:
                state = network.stack.initial_state((lanes,))
            if mesh is not None and lanes % mesh.size == 0:
                windows = jax.device_put(windows, NamedSharding(mesh, PartitionSpec(None, None, "lanes")))
            state, nats = _score_windows(network, state, *windows)
            total += np.asarray(nats, np.float64).sum()
        nats = float(total / (len(symbols) - 1))
        return {"nats": nats, "bits": nats / math.log(2), "perplexity": math.exp(min(nats, 700.0))}

    def prompt(self, text: str) -> Integer[np.ndarray, "time"]:
        """The symbols of a prompt; a line break, or the first symbol there is, for one without any."""
        symbols = self.vocabulary.encode(text, f"the prompt {text!r}") if text else ()
        return symbols if len(symbols) else np.asarray([self.vocabulary.line_break])

    def sample(
        self,
        network,
        seed: int,
        *,
        prompt: str | None = None,
        length: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
    ) -> str:
        """A text that starts with the prompt; what is None is taken from the config."""
        settings = self.config.sample
        prompt = settings.prompt if prompt is None else prompt
        written = generate(
            network,
            self.prompt(prompt).astype(np.int32),
            jax.random.key(seed),
            settings.temperature if temperature is None else temperature,
            length=settings.length if length is None else length,
            top_k=settings.top_k if top_k is None else top_k,
        )
        return self.vocabulary.decode(np.concatenate([self.prompt(prompt) if prompt else [], written]).astype(int))


def _vocabulary_and_splits(config: ConfigDict, text: bytes) -> tuple[Vocabulary, dict[str, np.ndarray]]:
    """What there is to learn, and the three texts in its symbols."""
    data = config.data
    if data.source in DIVIDED_TEXTS:
        _need_no_fractions(config)
        texts = parts(text)
        vocabulary = Vocabulary.of(b"".join(texts), data.symbols, data.max_vocabulary, texts[0])
        return vocabulary, dict(zip(SPLITS, map(vocabulary.encode, texts), strict=True))
    training = text
    if data.symbols == "words":
        words = words_of(text.decode("utf-8", "replace"))
        training = " ".join(cut(words, data.validation, data.test)["train"]).encode()
    vocabulary = Vocabulary.of(text, data.symbols, data.max_vocabulary, training)
    return vocabulary, cut(vocabulary.encode(text), data.validation, data.test)


def _need_no_fractions(config: ConfigDict) -> None:
    for key in ("data.validation", "data.test"):
        if fraction := flat(config)[key]:
            raise UserError(
                f"{key} is {fraction:g}, but the source {config.data.source!r} comes with its own validation and test "
                "text: set data.validation and data.test to 0"
            )


def cut(symbols: Integer[np.ndarray, "time"] | list[str], validation: float, test: float) -> dict:
    """Contiguous splits: train first, then validation, then test, as fractions of the whole."""
    if validation + test >= 1:
        raise UserError(f"data.validation + data.test is {validation + test:g}, which leaves nothing to train on")
    first = round(len(symbols) * (1 - validation - test))
    second = round(len(symbols) * (1 - test))
    return {"train": symbols[:first], "validation": symbols[first:second], "test": symbols[second:]}


def _windows(symbols, chunk: int, windows_per_call: int = 64):
    """Arrays `[windows, chunk, lanes]` of inputs, targets, which of them count, and where the text starts."""
    predictions = len(symbols) - 1
    lanes = max(1, min(EVALUATION_LANES, predictions // (4 * WARM_UP)))
    part = math.ceil(predictions / lanes)
    begins = np.arange(lanes) * part
    ends = np.minimum(begins + part, predictions)
    windows = math.ceil((part + WARM_UP) / chunk)
    calls = math.ceil(windows / windows_per_call)
    per_call = math.ceil(windows / calls)  # the same for all, so that one program does them all
    for first in range(0, calls * per_call * chunk, per_call * chunk):
        steps = first + np.arange(per_call * chunk).reshape(per_call, chunk, 1)
        places = begins - WARM_UP + steps
        inside = places.clip(0, predictions - 1)
        counted = (places >= begins) & (places < ends)
        yield symbols[inside], symbols[inside + 1], counted, places == 0


@jax.jit
def _score_windows(network, state, x, y, counted, resets):
    """The state after the windows and the nats of each, the state carried from one to the next."""

    def step(state, window):
        x, y, counted, resets = window
        state, logits = network(x.astype(jnp.int32), state, resets=resets)
        nats = cross_entropy(logits, y.astype(jnp.int32))
        return state, jnp.where(counted, nats, 0).sum()

    return jax.lax.scan(step, state, (x, y, counted, resets))
