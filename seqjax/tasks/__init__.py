"""What is trained for. A task owns data, loss and metrics; a batch is a pure function of (key, step) on the device.

A task has
    from_corpus(config, corpus)                     the task with its data, the config's values checked
    from_description(config, saved)                 the task without its data, from what a run keeps of it:
    description()                                   a dictionary for the run's config.json
    data                                            a pytree of arrays, an argument of the jitted step
    steps_per_epoch                                 steps that make a pass over the data
    network(rngs), network_of(config, rngs=rngs)    a network of its kind, for its own or another config
    initial_carry(network, lanes)                   what is carried from step to step, `[lanes, ...]` arrays
    batch(data, key, step, lanes)                   the batch of a step, for the lanes (examples) asked for
    loss(network, carry, batch, dropout_rate, keys) (loss, (carry, metrics)), means over lanes; metrics hold "nats"
    evaluate(network, split, mesh)                  metrics of a split, {} where it is empty
    measure                                         the metric by which runs are compared
    uninformed                                      the nats of knowing nothing
    sample(network, seed)                           a text to look at
"""

from seqjax.errors import UserError, did_you_mean
from seqjax.tasks.char_lm import CharLM

TASKS = {"char_lm": CharLM}


def find_task(name: str):
    """The class registered under `name`. Raises UserError, with the nearest right name, for an unknown one."""
    if name not in TASKS:
        raise UserError(f"unknown task {name!r}; {did_you_mean(name, TASKS)}")
    return TASKS[name]
