"""What is trained for. A task owns data, loss and metrics; a batch is a pure function of (key, step) on the device.

A task has
    data                                            a pytree of arrays, an argument of the jitted step
    network(rngs)                                   a network of its kind
    initial_carry(network, lanes)                   what is carried from step to step, `[lanes, ...]` arrays
    batch(data, key, step, lanes)                   the batch of a step, for the lanes (examples) asked for
    loss(network, carry, batch, dropout_rate, keys) (loss, (carry, metrics)), means over lanes
    evaluate(network, split)                        metrics of a whole split
    sample(network, seed)                           a text to look at, or None
"""

from seqjax.errors import UserError, did_you_mean
from seqjax.tasks.char_lm import CharLM

TASKS = {"char_lm": CharLM}


def find_task(name: str):
    """The class registered under `name`. Raises UserError, with the nearest right name, for an unknown one."""
    if name not in TASKS:
        raise UserError(f"unknown task {name!r}; {did_you_mean(name, TASKS)}")
    return TASKS[name]
