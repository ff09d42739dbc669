"""Trials that differ in numbers alone, trained by one process that compiles once.

The smallest are stacked: side by side in one program (`jax.vmap`), each a member with its own state, its own random
numbers and its own stop. A member that has ended is frozen: its slot stays, and its state is no longer changed. A
batched product of small matrices is slow on a CPU, so larger trials are trained one after another instead. On
accelerators all are stacked. Measured on one core, jax 0.10.1, stacks of eight, time of a step of the trial alone by
that of its share in the stack (batch x hidden):

    LSTM 1 x 32   LSTM 8 x 16   GRU 8 x 32   LSTM 8 x 32   LSTM 20 x 32   LSTM 4 x 128   LSTM 16 x 64
    1.79          1.47          1.37         1.16          .92            .86            .71
"""

import hashlib
import json
import re

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from ml_collections import ConfigDict

from seqjax.config import flat
from seqjax.results import RunDirectory
from seqjax.training import checkpoints
from seqjax.training.step import Trainer, TrainState

# Config keys in which trials of one program may differ: they enter the program as arrays, or shape the start alone.
NUMBERS = ("seed", "init_from", "optimiser.learning_rate", "clip.value", "regulariser.weight", "model.dropout")
SMALL = 256  # on a CPU: the largest batch x hidden at which a stack pays


def program(config: ConfigDict, network, corpus: str | None) -> str:
    """A name for the program that trains a config: trials of equal names can share a process.

    `network` is the config's, its arrays or only their shapes; `corpus` identifies the data. Numbers among the cell's
    own options, and the `init` group, are left out where they do not show in the network's structure.
    """
    values = {key: value for key, value in flat(config).items() if key not in NUMBERS and not key.startswith("init.")}
    values = {k: v for k, v in values.items() if not (k.startswith("cell.options.") and isinstance(v, (int, float)))}
    structure = re.sub(r" at 0x[0-9a-f]+", "", str(jax.tree.structure(network)))
    text = json.dumps([values, corpus, config.model.dropout > 0, structure], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def pays(config: ConfigDict, accelerator: bool) -> bool:
    """Whether trials of this config are faster side by side than one after another."""
    return accelerator or config["task"]["batch"] * config["cell"]["hidden"] <= SMALL


def stack_of(run: RunDirectory, since: int) -> list[str] | None:
    """The names of the stack in which a run has to go on to stay the same to the bit, its own alone if it began so.

    None where it may be placed anew: before its first checkpoint, and when it has paused at step `since`, a rung of
    successive halving, and was not placed anew there before. Raises UserError where its files are damaged.
    """
    before = run.environment()
    steps = checkpoints.candidates(run.checkpoints)
    if before is None or not steps:
        return None
    stack = before.get("stack", {})
    if stack.get("since", 0) < since and steps[0] <= since:
        return None
    return stack.get("names", [run.name])


class Stack:
    """The members' trainers as one; `slots` are their places among `size`, of which others may have ended before.

    The program, what it costs, and each member's last bits depend on `size` and not on who else is running.
    """

    def __init__(self, trainers: list[Trainer], slots: list[int] | None = None, size: int | None = None):
        self.slots = list(slots or range(len(trainers)))
        self.size = size or len(trainers)
        first = trainers[0]
        self._first, self._empty = first, [slot for slot in range(self.size) if slot not in self.slots]
        self._idle = None
        filled = [trainers[self.slots.index(slot)] if slot in self.slots else first for slot in range(self.size)]
        self._numbers = jax.tree.map(lambda *values: jnp.stack(values), *[t.numbers for t in filled])
        self._dropout = None if first.dropout is None else jnp.stack([t.dropout for t in filled])
        self._keys = jnp.stack([jax.random.fold_in(t.key, 1) for t in filled])
        self._run = jax.jit(self._sharded(), donate_argnums=0)

    def compile(self, *states: TrainState) -> None:
        """Do the compiling of the first dispatch now, so that it is not counted as training."""
        self._run = self._run.lower(*self._arguments(states, [0] * len(states))).compile()

    def advance(self, states, stops) -> list[tuple[TrainState, dict]]:
        """One dispatch of every member up to its stop: new states, and `[steps]` arrays of metrics, as `Trainer.run`.

        The states given are used up. A member at its stop is left as it is.
        """
        new, metrics = self._run(*self._arguments(states, stops))
        self._idle = [new[slot] for slot in self._empty]
        metrics = jax.device_get(metrics)
        return [(new[slot], jax.tree.map(lambda m, slot=slot: m[slot], metrics)) for slot in self.slots]

    def _arguments(self, states, stops):
        if self._idle is None:  # slots of members that ended before: any state will do, as its stop is 0
            self._idle = [jax.tree.map(jnp.copy, states[0]) for _ in self._empty]
        all_states, all_stops = [None] * len(self._keys), [0] * len(self._keys)
        for slot, state in zip(self._empty, self._idle, strict=True):
            all_states[slot] = state
        for slot, state, stop in zip(self.slots, states, stops, strict=True):
            all_states[slot], all_stops[slot] = state, stop
        stops = jnp.asarray(all_stops, jnp.int32)
        return all_states, self._first.data, self._numbers, self._dropout, self._keys, stops

    def _sharded(self):
        everywhere = PartitionSpec()
        return jax.shard_map(
            self._steps, mesh=self._first.mesh, in_specs=everywhere, out_specs=everywhere, check_vma=False
        )

    def _steps(self, states, data, numbers, dropout, keys, stops):
        def member(arguments):
            state, numbers, dropout, key, stop = arguments
            return self._first.steps(state, data, numbers, dropout, key, stop)

        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        stacked, metrics = jax.vmap(member)((stacked, numbers, dropout, keys, stops))
        return [jax.tree.map(lambda leaf, k=k: leaf[k], stacked) for k in range(len(states))], metrics
