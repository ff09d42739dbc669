"""Polyphonic music: which notes sound at the next time step, given all steps of the piece before it.

The pieces are laid end to end, in another order in each pass over them, and cut into lanes of equal length that are
read side by side, a chunk a step. The recurrent state is carried from chunk to chunk, and starts anew with each piece
and with each lane; gradients stay within a chunk.
"""

import functools
import heapq
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, UInt8
from ml_collections import ConfigDict

from seqjax.config import at_least, one_of
from seqjax.datasets import Corpus, prepare, read
from seqjax.datasets.music import KEYS, LOWEST, parse
from seqjax.datasets.sources import MUSIC
from seqjax.errors import UserError
from seqjax.models import ManyToMany, build
from seqjax.tasks.measure import Measure

EVALUATION_LANES = 64
EVALUATION_WINDOW = 128  # steps
GIVEN, WRITTEN = 24, 48  # steps of a sample: of the piece, and of the network
NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


class Batch(NamedTuple):
    """One chunk of every lane."""

    inputs: Float[Array, "time lanes notes"]  # the targets of the step before, zeros at the start of a piece
    targets: Float[Array, "time lanes notes"]
    resets: Bool[Array, "time lanes"]  # a piece, or the lane, starts here


class Music:
    """The notes of each time step, each with a probability of its own: 88 sigmoid outputs.

    The negative log-likelihood of a step is the sum over notes of the binary cross-entropy, in nats. `nats` is its mean
    over all time steps of all pieces, the first step of a piece among them, which is predicted from zeros: the negative
    log-likelihood of the pieces by their steps. Two other ways to count are found in programs: `nats_after_first`
    leaves the first steps out, `nats_by_sequence` is a mean over pieces of means over their steps. The state is the
    initial one before each piece, and is carried through the whole of it.

    Reference: Boulanger-Lewandowski, Bengio & Vincent (2012), arXiv:1206.6392. Published `nats` of Nottingham and
    Piano-midi: tanh 3.61 and 6.81, LSTM 3.49 and 6.87, GRU 3.41 and 6.88 (Jozefowicz et al., 2015).
    """

    counted_in = "pieces"

    def __init__(self, config: ConfigDict, counts: dict[str, int], baseline: float):
        self.config = config
        self.counts = counts
        self.baseline = baseline
        self.pieces = {}

    @classmethod
    def find_corpus(cls, config: ConfigDict) -> Corpus:
        """The prepared pieces; raises UserError for a source that holds none, or cannot be read."""
        one_of(config, "data.source", MUSIC)
        return prepare(config.data.source, None)

    @classmethod
    def from_corpus(cls, config: ConfigDict, corpus: Corpus) -> "Music":
        """The task on its pieces. Raises UserError when a value is out of range or the pieces too short."""
        at_least(config, "task.batch", 1)
        at_least(config, "task.chunk", 1)
        pieces = parse(read(corpus))
        task = cls(config, {split: len(part) for split, part in pieces.items()}, _baseline(pieces))
        task.pieces = pieces
        lengths = np.asarray([len(piece) for piece in pieces["train"]], np.int32)
        task.data = {"frames": np.concatenate(pieces["train"]), "lengths": lengths}
        if task.steps_per_epoch < 1:
            batch, chunk = config.task.batch, config.task.chunk
            raise UserError(
                f"the training pieces have {lengths.sum()} time steps; {batch} lanes of at least one chunk of {chunk} "
                f"need {batch * chunk}: use a smaller task.batch or a smaller task.chunk"
            )
        return task

    @classmethod
    def from_description(cls, config: ConfigDict, saved: dict) -> "Music":
        return cls(config, saved["pieces"], saved["baseline"])

    def description(self) -> dict:
        """What a run saves of the task."""
        return {"problem": "music", "pieces": self.counts, "baseline": self.baseline}

    def network(self, rngs):
        return self.network_of(self.config, rngs=rngs)

    def network_of(self, config: ConfigDict, *, rngs):
        """The network that another config, of another size say, has for this task."""
        return build.network(config, ManyToMany, KEYS, inputs=KEYS, rngs=rngs)

    @property
    def title(self) -> str:
        return f"polyphonic music, {self.config.data.source}"

    @property
    def measure(self) -> Measure:
        return Measure("nats", "nats per time step", self.baseline, "each note as often as in training")

    @property
    def time(self) -> int:
        """Steps in a chunk."""
        return self.config.task.chunk

    def held_out(self, split: str) -> int:
        """How many pieces of a split are scored: all."""
        return self.counts[split]

    @property
    def _lane_length(self) -> int:
        return len(self.data["frames"]) // self.config.task.batch

    @property
    def steps_per_epoch(self) -> int:
        """Chunks in a lane."""
        return self._lane_length // self.config.task.chunk

    def initial_carry(self, network, lanes: int) -> PyTree:
        return network.stack.initial_state((lanes,))

    def batch(self, data, key: Key[Array, ""], step: Int[Array, ""], lanes: Int[Array, "lanes"]) -> Batch:
        """The chunk of a step of every lane; the order of the pieces follows from the number of the pass alone."""
        number_of_pass, place = jnp.divmod(step, self.steps_per_epoch)
        frames, lengths = jnp.asarray(data["frames"]), jnp.asarray(data["lengths"])  # of NumPy outside of the step
        order = jax.random.permutation(jax.random.key(number_of_pass), len(lengths))
        ends = jnp.cumsum(lengths[order])
        steps = place * self.config.task.chunk + jnp.arange(self.config.task.chunk)
        positions = lanes * self._lane_length + steps[:, None]  # in the pieces laid end to end in this order
        nth = jnp.searchsorted(ends, positions, side="right")
        piece = order[nth]
        within = positions - (ends[nth] - lengths[piece])
        frame = (jnp.cumsum(lengths) - lengths)[piece] + within
        starts = within == 0
        inputs = jnp.where(starts[..., None], 0, frames[frame - 1])
        return Batch(inputs.astype(float), frames[frame].astype(float), starts | (steps == 0)[:, None])

    def loss(
        self, network, carry: PyTree, batch: Batch, dropout_rate=None, keys=None
    ) -> tuple[Float[Array, ""], tuple[PyTree, dict]]:
        """The mean over lanes and steps of the nats of a time step."""
        carry, logits = self._read(network, carry, batch, dropout_rate, keys)
        nats = nats_of_steps(logits, batch.targets).mean()
        return nats, (carry, {"nats": nats})

    def _read(self, network, carry, batch, dropout_rate=None, keys=None):
        options = {"dropout_rate": dropout_rate, "keys": keys, "remat": self.config.model.remat or None}
        return network(batch.inputs, carry, resets=batch.resets, **options)

    def end_loss(self, network, carry: PyTree, batch: Batch) -> Float[Array, ""]:
        """The nats of the chunk's last step alone, whose gradient is followed back through time."""
        _, logits = self._read(network, carry, batch)
        return nats_of_steps(logits[-1], batch.targets[-1]).mean()

    def evaluate(self, network, split: str, mesh: jax.sharding.Mesh | None = None) -> dict[str, float]:
        """The nats of a time step of a split's pieces, counted in the three ways said above.

        Each piece is read from its start to its end, several side by side, divided among the devices of `mesh`.
        """
        pieces = self.pieces[split]
        lengths = np.asarray([len(piece) for piece in pieces])
        lanes = int(min(EVALUATION_LANES, max(1, lengths.sum() // lengths.max())))
        if mesh is not None:
            lanes += -lanes % mesh.size
        inputs, targets, resets, piece = side_by_side(pieces, lanes)
        windows = (inputs, targets, resets)
        if mesh is not None:
            windows = jax.device_put(windows, NamedSharding(mesh, PartitionSpec(None, None, "lanes")))
        nats = np.asarray(_nats(network, *windows), np.float64)
        first, inside = nats[resets], piece >= 0
        by_piece = np.bincount(piece[inside], nats[inside], minlength=len(pieces))
        scores = {
            "nats": by_piece.sum() / lengths.sum(),
            "nats_after_first": (by_piece.sum() - first.sum()) / (lengths - 1).sum(),
            "nats_by_sequence": (by_piece / lengths).mean(),
        }
        return {name: float(score) for name, score in scores.items()}

    def sample(self, network, seed: int) -> str:
        """The beginning of a test piece and how the network goes on, as a piano roll: a row a note, a column a step."""
        piece = self.pieces["test"][seed % self.counts["test"]][:GIVEN]
        inputs = jnp.asarray(np.concatenate([np.zeros_like(piece[:1]), piece]), float)
        written = np.asarray(_go_on(network, inputs, jax.random.key(seed), WRITTEN))
        return f"{len(piece)} steps of test piece {seed % self.counts['test']} | {WRITTEN} steps of the network\n" + (
            piano_roll(piece, written)
        )


def nats_of_steps(
    logits: Float[Array, "*batch notes"], targets: Float[Array, "*batch notes"]
) -> Float[Array, "*batch"]:
    """-log p of the notes of a step, each sounding with probability sigmoid(logit)."""
    return (jax.nn.softplus(logits) - logits * targets).sum(-1)


def _baseline(pieces: dict[str, list[np.ndarray]]) -> float:
    """Nats of a step of the test pieces where each note sounds as often as in the training pieces, and once more and
    once less, as the test pieces have notes that these lack.
    """
    train, test = np.concatenate(pieces["train"]), np.concatenate(pieces["test"])
    p = (train.sum(0, dtype=float) + 1) / (len(train) + 2)
    return float(-(test * np.log(p) + (1.0 - test) * np.log1p(-p)).sum(1).mean())


def side_by_side(pieces: list[UInt8[np.ndarray, "_ notes"]], lanes: int):
    """Every piece once, one after the other in lanes of about the same length.

    Returns, cut into windows, inputs and targets `[windows, time, lanes, notes]`, the starts of pieces `[windows, time,
    lanes]`, and the number of the piece at each place, -1 where there is none.
    """
    ends, places = [(0, lane) for lane in range(lanes)], {}
    for number in sorted(range(len(pieces)), key=lambda number: -len(pieces[number])):
        end, lane = heapq.heappop(ends)
        places[number] = end, lane
        heapq.heappush(ends, (end + len(pieces[number]), lane))
    windows = -(-max(ends)[0] // EVALUATION_WINDOW)
    shape = (windows * EVALUATION_WINDOW, lanes)
    inputs, targets = np.zeros((2, *shape, pieces[0].shape[1]), np.uint8)
    starts, piece_at = np.zeros(shape, bool), np.full(shape, -1)
    for number, (begin, lane) in places.items():
        end = begin + len(pieces[number])
        targets[begin:end, lane] = pieces[number]
        inputs[begin + 1 : end, lane] = pieces[number][:-1]
        starts[begin, lane] = True
        piece_at[begin:end, lane] = number
    arrays = (inputs, targets, starts, piece_at)
    return tuple(array.reshape(windows, EVALUATION_WINDOW, *array.shape[1:]) for array in arrays)


@jax.jit
def _nats(network, inputs, targets, resets):
    """The nats of every step of the windows, the state carried from one to the next."""

    def step(state, window):
        inputs, targets, resets = window
        state, logits = network(inputs.astype(float), state, resets=resets)
        return state, nats_of_steps(logits, targets.astype(float))

    return jax.lax.scan(step, network.stack.initial_state((inputs.shape[2],)), (inputs, targets, resets))[1]


@functools.partial(jax.jit, static_argnames="length")
def _go_on(network, inputs, key, length):
    """`length` steps, each drawn from what the network expects after `inputs` and those before it."""
    state, logits = network(inputs)

    def step(carry, key):
        state, logits = carry
        notes = jax.random.bernoulli(key, jax.nn.sigmoid(logits)).astype(float)
        state, ys = network(notes[None], state)
        return (state, ys[0]), notes

    return jax.lax.scan(step, (state, logits[-1]), jax.random.split(key, length))[1]


def piano_roll(given: np.ndarray, written: np.ndarray) -> str:
    """A line for each note that sounds, the highest first, with `#` where it does and `|` between the two parts."""
    parts = (given, written)
    sounding = np.flatnonzero(np.concatenate(parts).any(0))[::-1]
    rows = ("|".join("".join(".#"[int(on)] for on in part[:, note]) for part in parts) for note in sounding)
    return "\n".join(f"{note_name(int(note)):>4} {row}" for note, row in zip(sounding, rows, strict=True))


def note_name(key: int) -> str:
    """The name of a piano's key, of which the 39th from 0 is middle C, C4."""
    octave, note = divmod(key + LOWEST, 12)
    return f"{NOTES[note]}{octave - 1}"
