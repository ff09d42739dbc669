"""What a network held while it read a text: states, gates and predictions, symbol by symbol."""

import dataclasses

import numpy as np
from jaxtyping import Float, Float32, Int

from seqjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Activity:
    """Of one text, read from the initial state."""

    symbols: Int[np.ndarray, "time"]
    layers: tuple[dict[str, Float32[np.ndarray, "time units"]], ...]
    """Of each layer, the parts of the state after each symbol, then the gates of the step that read it.

    Parts are named as in the equations: "h" the one that is the output, "c" the one the cell keeps to itself; a complex
    state is "real" and "imaginary". Gates are named as by the cell's `gates`.
    """
    logits: Float32[np.ndarray, "time vocab"]
    """After each symbol: of the symbol that follows it."""

    @property
    def nats(self) -> Float32[np.ndarray, "time"]:
        """The surprise of each symbol, -log of its probability; NaN for the first, which nothing predicts."""
        ahead = self.logits[:-1].astype(np.float64)
        largest = ahead.max(-1)
        total = largest + np.log(np.exp(ahead - largest[:, None]).sum(-1))
        true = np.take_along_axis(ahead, self.symbols[1:, None], axis=-1)[:, 0]
        return np.concatenate([[np.nan], total - true]).astype(np.float32)

    def columns(self) -> dict[str, np.ndarray]:
        """A flat table for `np.savez`: symbols, nats, and `layer1.h`, the first layer being 1."""
        values = {
            f"layer{number}.{name}": part for number, layer in enumerate(self.layers, 1) for name, part in layer.items()
        }
        return {"symbols": self.symbols, "nats": self.nats, **values}


def values_of(activity: Activity, unit: tuple[int, str, int]) -> Float[np.ndarray, "time"]:
    """What one unit, (layer, part, number), does. Raises UserError for one that is not there."""
    layer, part, number = unit
    if not 0 <= layer < len(activity.layers):
        raise UserError(f"there is no layer {layer + 1}; the network has {len(activity.layers)}")
    parts = activity.layers[layer]
    if part not in parts:
        raise UserError(f"layer {layer + 1} has no part {part!r}; it has {', '.join(parts)}")
    if not 0 <= number < parts[part].shape[1]:
        raise UserError(f"{part} of layer {layer + 1} has no unit {number}; units are 0 to {parts[part].shape[1] - 1}")
    return parts[part][:, number]
