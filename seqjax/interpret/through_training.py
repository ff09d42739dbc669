"""One network at several moments of its training: what it writes, what one unit does, how its gates stand."""

import dataclasses
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Integer

from seqjax.errors import UserError
from seqjax.interpret.activity import Activity, values_of
from seqjax.interpret.reading import part_names, read

PERCENTILES = (5, 25, 50, 75, 95)


@dataclasses.dataclass(frozen=True)
class Moment:
    """The network after so many steps of training."""

    step: int
    sample: str
    """What it writes after the prompt: at every moment with the same random numbers."""
    activity: Float[np.ndarray, "time"]
    """The unit's value after each symbol of the passage."""
    nats: Float[np.ndarray, "time"]
    """The surprise of each symbol of the passage; NaN for the first of the text."""
    loss: float
    """Nats per symbol of the whole text."""
    gates: tuple[dict[str, Float[np.ndarray, "5"]], ...]
    """Of each layer: the PERCENTILES of each gate's values, over units and the whole text."""


def moments(
    task,
    networks: Iterable[tuple[int, object]],
    symbols: Integer[np.ndarray, "time"],
    unit: tuple[int, str, int],
    *,
    passage: slice = slice(None),
    prompt: str | None = None,
    length: int = 300,
    seed: int = 0,
) -> list[Moment]:
    """A moment for each `(step, network)` of a language model's training.

    Each network reads the text of `symbols` from the initial state and writes `length` symbols after `prompt` (None is
    that of the task). `unit` is (layer, part, number), the first layer and the first unit being 0; what it does is kept
    for the `passage` of the text. Raises UserError for a unit that is not there, a passage that is empty, and a text of
    fewer than two symbols.
    """
    if len(symbols) < 2:
        raise UserError(f"a text of {len(symbols)} symbols has nothing to predict; it needs at least 2")
    if not len(symbols[passage]):
        raise UserError(f"the passage {passage.start}:{passage.stop} of a text of {len(symbols)} symbols is empty")
    made = []
    for step, network in networks:
        activity = read(network, symbols)
        quantiles = tuple(
            {name: np.percentile(layer[name], PERCENTILES) for name in names}
            for layer, names in zip(activity.layers, gate_names(network, activity), strict=True)
        )
        made.append(
            Moment(
                step=step,
                sample=task.sample(network, seed, prompt=prompt, length=length),
                activity=values_of(activity, unit)[passage],
                nats=activity.nats[passage],
                loss=float(np.nanmean(activity.nats, dtype=np.float64)),
                gates=quantiles,
            )
        )
    return made


def gate_names(network, activity: Activity) -> tuple[tuple[str, ...], ...]:
    """Of each layer, which of the activity's names are gates: all but the parts of the state."""
    return tuple(
        tuple(name for name in layer if name not in part_names(cell))
        for cell, layer in zip(network.stack.layers, activity.layers, strict=True)
    )
