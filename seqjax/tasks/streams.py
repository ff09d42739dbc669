"""Problems that are written one after the other, without a break, and read as a text, symbol by symbol.

The problems of a text are drawn on the device from fixed keys, so that all runs learn the same data set. Every lane has
a text of its own, which begins with a new problem; lanes are read side by side, a chunk a step. The recurrent state is
carried from chunk to chunk, and gradients stay within one. When the lanes end they start over, from the initial state.
"""

import abc
import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, Int8, Key, PyTree
from ml_collections import ConfigDict

from seqjax.config import at_least
from seqjax.datasets import Corpus
from seqjax.errors import UserError
from seqjax.models import ManyToMany, build
from seqjax.tasks.cross_entropy import cross_entropy
from seqjax.tasks.measure import Measure

SEEDS = {"train": 0, "validation": 1, "test": 2}  # of the texts, the same for every run
HELD_OUT = ("validation", "test")
DRAWN_TOGETHER = 64  # problems
FAIR = np.float32(1 / 2)  # the chance of a coin
EVALUATION_LANES = 64
ROWS, COLUMNS = 3, 80  # of a sample


class Problem(NamedTuple):
    """A problem in columns of which some stay empty: `written` says which hold a symbol, `counted` which are scored."""

    symbols: Int[Array, "columns"]
    written: Bool[Array, "columns"]
    counted: Bool[Array, "columns"]


class Batch(NamedTuple):
    """One chunk of every lane."""

    symbols: Int[Array, "time+1 lanes"]  # inputs are all but the last, targets all but the first
    counted: Bool[Array, "time lanes"]  # targets that are scored
    wraps: Bool[Array, ""]  # the lanes start over with this chunk


class StreamTask(abc.ABC):
    """What all such problems share.

    A subclass sets `alphabet`, `title` and `measure`, whose metric is "error", and defines `problem`. The loss is the
    cross-entropy of the counted symbols, summed over a chunk; error and nats are means over the counted symbols. Of a
    step on several devices they are means of the devices' own means, where a chunk that counts nothing gives 0;
    evaluation counts each symbol once, whatever the devices.

    `task.symbols` is how long the training text is, all lanes together, and `task.evaluation` how long each held-out
    text; both are rounded to whole chunks of all lanes. Raises UserError when a value of the config is out of range.
    """

    counted_in = "symbols"

    alphabet: str
    title: str
    measure: Measure

    def __init__(self, config: ConfigDict):
        self.config = config
        for key in ("task.batch", "task.chunk", "task.symbols", "task.evaluation"):
            at_least(config, key, 1)
        if self.steps_per_epoch < 1:
            raise UserError(
                f"task.symbols is {config.task.symbols}; one chunk of {config.task.chunk} symbols for each of "
                f"{config.task.batch} lanes needs {config.task.batch * config.task.chunk}"
            )

    @classmethod
    def find_corpus(cls, config: ConfigDict) -> Corpus | None:
        """The data it is trained on; None, as the text is generated."""
        return None

    @classmethod
    def from_corpus(cls, config: ConfigDict, corpus: Corpus | None) -> "StreamTask":
        return cls(config)

    @classmethod
    def from_description(cls, config: ConfigDict, saved: dict) -> "StreamTask":
        """The task as saved in a run: all of it follows from the config."""
        return cls(config)

    def description(self) -> dict:
        """What tells this problem from another."""
        settings = self.config.task
        return {"problem": settings.name, "symbols": settings.symbols, "evaluation": settings.evaluation}

    @abc.abstractmethod
    def problem(self, key: Key[Array, ""]) -> Problem:
        """One problem; a pure function of the key. Draw numbers as int32, coins with FAIR: the same in 64-bit mode."""

    @property
    def time(self) -> int:
        """Symbols in a chunk."""
        return self.config.task.chunk

    @property
    def steps_per_epoch(self) -> int:
        """Chunks in a lane of the training text."""
        return self.config.task.symbols // (self.config.task.batch * self.time)

    def held_out(self, split: str) -> int:
        """Symbols of a split that are read to score it; the training text is not scored."""
        return 0 if split == "train" else EVALUATION_LANES * self.time * self._windows

    @property
    def _windows(self) -> int:
        """Chunks in a lane of a held-out text."""
        return -(-self.config.task.evaluation // (EVALUATION_LANES * self.time))

    @functools.cached_property
    def data(self) -> PyTree:
        """The training text, `[lanes, length]`; written when it is first asked for."""
        symbols, counted = self.texts("train", self.config.task.batch, self.steps_per_epoch * self.time + 1)
        return {"symbols": symbols, "counted": counted}

    def texts(
        self, split: str, lanes: int, length: int
    ) -> tuple[Int8[np.ndarray, "lanes length"], Bool[np.ndarray, "lanes length"]]:
        """The first symbols of so many lanes of a split, and which of them count."""
        with jax.ensure_compile_time_eval():  # a text may first be asked for while a step is traced
            keys = [jax.random.fold_in(jax.random.key(SEEDS[split]), lane) for lane in range(lanes)]
            symbols, counted = zip(*[self._text(key, length) for key in keys], strict=True)
        return np.stack(symbols), np.stack(counted)

    def _text(self, key, length: int):
        """Problems laid end to end, the last one cut."""
        symbols, counted, size = [], [], 0
        for number in itertools.count():
            drawn = jax.device_get(self._problems(jax.random.fold_in(key, number)))
            symbols.append(drawn.symbols[drawn.written])
            counted.append(drawn.counted[drawn.written])
            size += len(symbols[-1])
            if size >= length:
                return np.concatenate(symbols)[:length], np.concatenate(counted)[:length]

    @functools.cached_property
    def _problems(self):
        def problems(key):
            drawn = jax.vmap(self.problem)(jax.random.split(key, DRAWN_TOGETHER))
            return drawn._replace(symbols=drawn.symbols.astype(jnp.int8))

        return jax.jit(problems)

    def spell(self, symbols) -> str:
        """Symbol numbers in writing."""
        return "".join(self.alphabet[symbol] for symbol in symbols)

    def network(self, rngs: nnx.Rngs):
        return self.network_of(self.config, rngs=rngs)

    def network_of(self, config: ConfigDict, *, rngs: nnx.Rngs):
        """The network that another config, of another size say, has for this problem."""
        return build.network(config, ManyToMany, len(self.alphabet), vocab=len(self.alphabet), rngs=rngs)

    def initial_carry(self, network, lanes: int) -> PyTree:
        return network.stack.initial_state((lanes,))

    def batch(self, data, key: Key[Array, ""], step: Int[Array, ""], lanes: Int[Array, "lanes"]) -> Batch:
        """Lane b at a step reads `chunk + 1` symbols from place `(step mod chunks) * chunk` of its text; `key` is not
        used.
        """
        place = step % self.steps_per_epoch

        def chunk(text, lane):
            return jax.lax.dynamic_slice(text, (lane, place * self.time), (1, self.time + 1))[0]

        symbols = jax.vmap(chunk, (None, 0), out_axes=1)(data["symbols"], lanes)
        counted = jax.vmap(chunk, (None, 0), out_axes=1)(data["counted"], lanes)
        return Batch(symbols.astype(jnp.int32), counted[1:], place == 0)

    def _read(self, network, carry, batch, dropout_rate=None, keys=None):
        """The state after a chunk and the logits of each of its symbols."""
        start = network.stack.initial_state((batch.symbols.shape[1],))
        carry = jax.tree.map(lambda new, old: jnp.where(batch.wraps, new, old), start, carry)
        remat = self.config.model.remat or None
        return network(batch.symbols[:-1], carry, dropout_rate=dropout_rate, keys=keys, remat=remat)

    def loss(
        self, network, carry: PyTree, batch: Batch, dropout_rate=None, keys=None
    ) -> tuple[Float[Array, ""], tuple[PyTree, dict]]:
        """Nats of the counted symbols, summed over the chunk, a mean over lanes."""
        carry, logits = self._read(network, carry, batch, dropout_rate, keys)
        sums = _sums(logits, batch)
        counted = jnp.maximum(batch.counted.sum(), 1)
        metrics = {name: total / counted for name, total in sums.items()}
        return sums["nats"] / batch.symbols.shape[1], (carry, metrics)

    def end_loss(self, network, carry: PyTree, batch: Batch) -> Float[Array, ""]:
        """The nats of the chunk's last symbol alone, counted or not, whose gradient is followed back through time."""
        _, logits = self._read(network, carry, batch)
        return cross_entropy(logits[-1], batch.symbols[-1]).mean()

    def evaluate(self, network, split: str, mesh: jax.sharding.Mesh | None = None) -> dict[str, float]:
        """Error and nats per counted symbol of a split, the state carried through each lane's text; {} for the training
        text. The lanes are divided among the devices of `mesh`.
        """
        if split == "train":
            return {}
        windows = self._held_out[split]
        if mesh is not None and EVALUATION_LANES % mesh.size == 0:
            lanes = NamedSharding(mesh, PartitionSpec(None, None, "lanes"))
            everywhere = NamedSharding(mesh, PartitionSpec())
            windows = jax.device_put(windows, Batch(lanes, lanes, everywhere))
        sums = {name: np.asarray(each, np.float64).sum() for name, each in self._scan(network, windows).items()}
        return {name: float(total / windows.counted.sum()) for name, total in sums.items()}

    @functools.cached_property
    def _held_out(self) -> dict[str, Batch]:
        """All chunks of each split, one after the other."""
        places = np.arange(self._windows)[:, None] * self.time + np.arange(self.time + 1)
        wraps = np.arange(self._windows) == 0
        texts = {split: self.texts(split, EVALUATION_LANES, places.max().item() + 1) for split in HELD_OUT}
        return {
            split: Batch(symbols.T[places].astype(np.int32), counted.T[places[:, 1:]], wraps)
            for split, (symbols, counted) in texts.items()
        }

    @functools.cached_property
    def _scan(self):
        def scan(network, windows):
            def step(state, window):
                state, logits = self._read(network, state, window)
                return state, _sums(logits, window)

            return jax.lax.scan(step, self.initial_carry(network, EVALUATION_LANES), windows)[1]

        return jax.jit(scan)

    def sample(self, network, seed: int) -> str:
        """The beginnings of a few test texts, and below each counted symbol what the network expected there."""
        lanes = (seed * ROWS + np.arange(ROWS)) % EVALUATION_LANES
        symbols, counted = (values[lanes] for values in self.texts("test", EVALUATION_LANES, COLUMNS))
        expected = np.asarray(self._expected(network, symbols.T.astype(np.int32)[:-1])).T
        rows = []
        for text, of_text, answer in zip(symbols, counted, expected, strict=True):
            shown = (symbol if count else " " for symbol, count in zip(self.spell(answer), of_text[1:], strict=True))
            rows.append(f"text    {self.spell(text)}\nanswer   {''.join(shown)}".rstrip())
        return "\n\n".join(rows)

    @functools.cached_property
    def _expected(self):
        return jax.jit(lambda network, symbols: network(symbols)[1].argmax(-1))


def _sums(logits: Float[Array, "time lanes symbols"], batch: Batch) -> dict[str, Float[Array, ""]]:
    """Nats and errors of the counted symbols."""
    targets = batch.symbols[1:]
    scores = {"nats": cross_entropy(logits, targets), "error": (logits.argmax(-1) != targets).astype(logits.dtype)}
    return {name: jnp.where(batch.counted, values, 0).sum() for name, values in scores.items()}
