"""Problems whose sequences are made, or drawn from a set of examples, on the device: endless and exactly resumable.

A problem is a subclass of `SequenceTask` that draws one example and says how an answer is scored; batches, training
loss, evaluation and what a run keeps follow from that.
"""

import abc
import functools
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, Key, PyTree
from ml_collections import ConfigDict

from seqjax.config import at_least
from seqjax.datasets import Corpus
from seqjax.models import ManyToMany, ManyToOne, build
from seqjax.tasks.cross_entropy import cross_entropy
from seqjax.tasks.measure import Measure

EVALUATED_TOGETHER = 50_000  # steps: a thousand sequences of 50
HELD_OUT = {"validation": 1, "test": 2}  # seeds of their sequences, the same for every run
SHOWN = 3  # examples in a sample


class Example(NamedTuple):
    """A sequence and its right answer; in a batch, the lanes come after the time."""

    inputs: Int[Array, "time"] | Float[Array, "time inputs"]
    target: Array
    length: Int[Array, ""] | None = None  # of sequences that end before `time`


class SequenceTask(abc.ABC):
    """What all such problems share.

    A subclass sets `outputs`, `vocab` or `inputs`, `measure`, and where they differ `shortest`, `aligned`, `objective`;
    it defines `example`, `write`, `title`, and `scores` where its answer is no choice among classes. Raises UserError
    when a value of the config is out of range.
    """

    counted_in = "sequences"

    shortest = 2  # the least task.length
    vocab: int | None = None  # inputs are so many symbols; None: vectors
    inputs: int | None = None  # as wide as this
    outputs: int
    aligned = False  # an answer at every step, or one after the last
    objective = "nats"  # the score that is trained for
    measure: Measure
    title: str
    steps_per_epoch: int | None = None  # endless

    def __init__(self, config: ConfigDict, corpus: Corpus | None = None):
        self.config = config
        at_least(config, "task.batch", 1)
        at_least(config, "task.evaluation", 1)
        at_least(config, "task.length", self.shortest)
        self.data = {}

    @classmethod
    def find_corpus(cls, config: ConfigDict) -> Corpus | None:
        """The data it is trained on; None, as the sequences are generated."""
        return None

    @classmethod
    def from_corpus(cls, config: ConfigDict, corpus: Corpus | None) -> "SequenceTask":
        return cls(config, corpus)

    @classmethod
    def from_description(cls, config: ConfigDict, saved: dict) -> "SequenceTask":
        """The task as saved in a run: all of it follows from the config."""
        return cls(config)

    def description(self) -> dict:
        """What tells this problem from another: all of the config's `task` but how many sequences make a batch."""
        settings = {key: value for key, value in self.config.task.to_dict().items() if key != "batch"}
        return {"problem": settings.pop("name"), **settings}

    @property
    def time(self) -> int:
        """Steps in a sequence."""
        return self.config.task.length

    @abc.abstractmethod
    def example(self, key: Key[Array, ""]) -> Example:
        """One sequence; a pure function of the key."""

    def scores(self, outputs: Array, target: Array) -> dict[str, Array]:
        """Metrics of an answer to one example, `objective` and the measure's among them.

        Unless a problem says otherwise it is a choice among classes: nats, and error (1 where the likeliest class is
        the wrong one).
        """
        return {"nats": cross_entropy(outputs, target), "error": (outputs.argmax() != target).astype(outputs.dtype)}

    @abc.abstractmethod
    def write(self, example: Example, outputs: Array) -> str:
        """An example, its target and the network's answer in words."""

    def draw(self, data: PyTree, key: Key[Array, ""]) -> Example:
        """An example to train on."""
        return self.example(key)

    def held_out(self, split: str) -> int:
        """How many sequences a split has; the training sequences of a generated problem are not scored."""
        return 0 if split == "train" else self.config.task.evaluation

    def draw_held_out(self, data: PyTree, split: str, number: Int[Array, ""] | int) -> Example:
        """The example of that number in a split."""
        return self.example(jax.random.fold_in(jax.random.key(HELD_OUT[split]), number))

    def network(self, rngs: nnx.Rngs):
        return self.network_of(self.config, rngs=rngs)

    def network_of(self, config: ConfigDict, *, rngs: nnx.Rngs):
        """The network that another config, of another size say, has for this problem."""
        kind = ManyToMany if self.aligned else ManyToOne
        return build.network(config, kind, self.outputs, vocab=self.vocab, inputs=self.inputs, rngs=rngs)

    def initial_carry(self, network, lanes: int) -> PyTree:
        return ()

    def batch(self, data, key: Key[Array, ""], step: Int[Array, ""], lanes: Int[Array, "lanes"]) -> Example:
        """A fresh sequence for every lane; the key is that of the step."""
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, lanes)
        return jax.vmap(functools.partial(self.draw, data), out_axes=self._axes)(keys)

    @property
    def _lanes(self) -> int:
        """The axis of the lanes in targets and outputs."""
        return 1 if self.aligned else 0

    @property
    def _axes(self) -> Example:
        return Example(1, self._lanes, 0)

    def answer(self, network, batch: Example, dropout_rate=None, keys=None) -> Array:
        """The network's outputs for a batch, lanes first or, where aligned, after the time."""
        options = {"dropout_rate": dropout_rate, "keys": keys, "remat": self.config.model.remat or None}
        if batch.length is not None:
            options["lengths"] = batch.length
        outputs = network(batch.inputs, **options)
        return outputs[1] if self.aligned else outputs

    def _scores_of(self, network, batch, dropout_rate=None, keys=None) -> dict[str, Float[Array, "lanes"]]:
        outputs = self.answer(network, batch, dropout_rate, keys)
        return jax.vmap(self.scores, self._lanes)(outputs, batch.target)

    def loss(
        self, network, carry: PyTree, batch: Example, dropout_rate=None, keys=None
    ) -> tuple[Float[Array, ""], tuple[PyTree, dict]]:
        """The mean of the objective over lanes."""
        means = jax.tree.map(jnp.mean, self._scores_of(network, batch, dropout_rate, keys))
        return means[self.objective], (carry, means)

    def end_loss(self, network, carry: PyTree, batch: Example) -> Float[Array, ""]:
        """The loss at the last step alone (of a single answer, the loss), to follow its gradient back through time."""
        if not self.aligned:
            return self.loss(network, carry, batch)[0]
        return cross_entropy(self.answer(network, batch)[-1], batch.target[-1]).mean()

    def evaluate(self, network, split: str, mesh: jax.sharding.Mesh | None = None) -> dict[str, float]:
        """Mean scores over the sequences of a split, divided among the devices of `mesh`; {} where it has none."""
        count = self.held_out(split)
        if not count:
            return {}
        calls = -(-count // max(1, EVALUATED_TOGETHER // self.time))
        together = -(-count // calls)
        if mesh is not None:
            together += -together % mesh.size
        numbers = jnp.arange(calls * together).reshape(calls, together)
        if mesh is not None:
            numbers = jax.device_put(numbers, NamedSharding(mesh, PartitionSpec(None, "lanes")))
        sums = self._sums(split, network, self._held_out_data(split), numbers)
        return {name: float(np.asarray(values, np.float64).sum() / count) for name, values in sums.items()}

    def _held_out_data(self, split: str) -> PyTree:
        return {name: part for name, part in self.data.items() if name == split}

    @functools.cached_property
    def _sums(self):
        def sums(split, network, data, numbers):
            count = self.held_out(split)

            def scores(numbers):
                batch = self._held_out_batch(split, data, jnp.minimum(numbers, count - 1))
                values = self._scores_of(network, batch)
                return jax.tree.map(lambda values: jnp.where(numbers < count, values, 0).sum(), values)

            return jax.lax.map(scores, numbers)

        return jax.jit(sums, static_argnums=0)

    def _held_out_batch(self, split: str, data: PyTree, numbers: Int[Array, "lanes"]) -> Example:
        return jax.vmap(functools.partial(self.draw_held_out, data, split), out_axes=self._axes)(numbers)

    def sample(self, network, seed: int) -> str:
        """A few examples with target and answer, to look at."""
        numbers = (seed * SHOWN + jnp.arange(SHOWN)) % self.held_out("test")
        examples, outputs = jax.tree.map(np.asarray, self._shown(network, self._held_out_data("test"), numbers))
        one_by_one = (jax.tree.map(operator.itemgetter(lane), examples) for lane in range(SHOWN))
        return "\n\n".join(map(self.write, one_by_one, outputs))

    @functools.cached_property
    def _shown(self):
        def shown(network, data, numbers):
            """Examples and outputs, lanes first."""
            examples = jax.vmap(functools.partial(self.draw_held_out, data, "test"))(numbers)
            outputs = self.answer(network, self._held_out_batch("test", data, numbers))
            return examples, jnp.moveaxis(outputs, self._lanes, 0)

        return jax.jit(shown)
