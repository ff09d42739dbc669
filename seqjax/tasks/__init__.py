"""What is trained for. A task owns data, loss and metrics; a batch is a pure function of (key, step) on the device.

A task has
    find_corpus(config)                             the prepared data it is trained on, None where it generates its own
    from_corpus(config, corpus)                     the task with its data, the config's values checked
    from_description(config, saved)                 the task without its data, from what a run keeps of it:
    description()                                   a dictionary for the run's config.json
    title                                           what a leaderboard is called
    measure                                         a Measure: the metric by which runs are compared
    data                                            a pytree of arrays, an argument of the jitted step
    steps_per_epoch                                 steps that make a pass over the data; None where it is endless
    time                                            steps in a batch's sequences
    held_out(split), counted_in                     how much of a split is scored, and of what: "sequences", "symbols"
    network(rngs), network_of(config, rngs=rngs)    a network of its kind, for its own or another config
    initial_carry(network, lanes)                   what is carried from step to step, `[lanes, ...]` arrays
    batch(data, key, step, lanes)                   the batch of a step, for the lanes (examples) asked for
    loss(network, carry, batch, dropout_rate, keys) (loss, (carry, metrics)), means over lanes; the measure among them
    end_loss(network, carry, batch)                 the loss at the last step alone, for following its gradient back
    evaluate(network, split, mesh)                  metrics of a split, {} where it is empty
    sample(network, seed)                           a text to look at

A problem whose examples are generated one by one is a small subclass of `sequences.SequenceTask`.
"""

from seqjax.errors import UserError, did_you_mean
from seqjax.tasks.adding import Adding
from seqjax.tasks.arithmetic import Arithmetic
from seqjax.tasks.char_lm import CharLM
from seqjax.tasks.copy_memory import CopyMemory
from seqjax.tasks.latch import Latch
from seqjax.tasks.music import Music
from seqjax.tasks.parity import Parity
from seqjax.tasks.permutation import Permutation
from seqjax.tasks.sequential_image import SequentialImage
from seqjax.tasks.temporal_order import TemporalOrder
from seqjax.tasks.xml import XML

TASKS = {
    "adding": Adding,
    "arithmetic": Arithmetic,
    "char_lm": CharLM,
    "copy_memory": CopyMemory,
    "latch": Latch,
    "music": Music,
    "parity": Parity,
    "permutation": Permutation,
    "sequential_image": SequentialImage,
    "temporal_order": TemporalOrder,
    "xml": XML,
}


def find_task(name: str):
    """The class registered under `name`. Raises UserError, with the nearest right name, for an unknown one."""
    if name not in TASKS:
        raise UserError(f"unknown task {name!r}; {did_you_mean(name, TASKS)}")
    return TASKS[name]
