"""What a page about a network's activity holds as data: activations in few levels, predictions, and how symbols look.

Activations are by far the most of it. Each unit's values are cut into equal steps between its smallest and its largest
value; the codes of one part of one layer, unit after unit, are deflated (zlib) and written in base64.
"""

import base64
import json
import unicodedata
import zlib
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from seqjax.errors import UserError
from seqjax.report.text import visible

if TYPE_CHECKING:
    from seqjax.interpret.activity import Activity

LEVELS = (255, 127, 63, 31, 23, 15, 11, 7)
GUESSES = 5
PER = 1000  # probabilities are whole thousandths
NAMES = {"\n": "newline", "\r": "carriage return", "\t": "tab", " ": "blank"}
GLYPHS = {"\n": "⏎", "\r": "←", "\t": "→"}
INVISIBLE = ("Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def blocks(activity: "Activity", room: int) -> tuple[int, str]:
    """`(levels, markup)`: every part of every layer in as many levels as fit into `room` bytes.

    Raises UserError where even the fewest do not.
    """
    for levels in LEVELS:
        markup = _blocks(activity, levels, room)
        if markup is not None:
            return levels, markup
    time, units = len(activity.symbols), sum(v.shape[1] for parts in activity.layers for v in parts.values())
    raise UserError(f"{time:,} symbols of {units:,} units and gates are too many for one page: show fewer symbols")


def check_finite(activity: "Activity") -> None:
    """Raises UserError where a number has no colour."""
    named = [(f"layer {n}'s {name}", v) for n, parts in enumerate(activity.layers, 1) for name, v in parts.items()]
    for what, values in [*named, ("the output", activity.logits)]:
        if not np.isfinite(values).all():
            raise UserError(f"{what} holds numbers that are not finite: has this network diverged?")


def _blocks(activity: "Activity", levels: int, room: int) -> str | None:
    """The parts as elements that browsers do not run, or None where they take more than `room` bytes."""
    elements, size = [], 0
    for layer, parts in enumerate(activity.layers):
        for part, values in enumerate(parts.values()):
            coded = base64.b64encode(zlib.compress(codes(values, levels).tobytes())).decode()
            elements.append(f'<script type="application/octet-stream" id="values-{layer}-{part}">{coded}</script>\n')
            size += len(elements[-1])
            if size > room:
                return None
    return "".join(elements)


def codes(values: Float[np.ndarray, "time units"], levels: int) -> np.ndarray:
    """[units, time] of bytes: 0 for a unit's smallest value, levels - 1 for its largest, and equal steps between."""
    values = np.asarray(values, np.float64).T
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    span = np.where(high > low, high - low, 1)
    return np.rint((values - low) / span * (levels - 1)).astype(np.uint8)


def description(activity: "Activity", labels: list[str], start: dict[str, int | str]) -> str:
    """All else that the page's script reads, as JSON that is safe inside a script element."""
    guesses, chances = _guesses(activity.logits)
    bits = np.asarray(activity.nats, np.float64) / np.log(2)
    content = {
        "layers": [[_part(name, values) for name, values in parts.items()] for parts in activity.layers],
        "glyphs": [glyph(label) for label in labels],
        "names": [name(label) for label in labels],
        "small": [int(is_small(label)) for label in labels],
        "newline": labels.index("\n") if "\n" in labels else -1,
        "blank": labels.index(" ") if " " in labels else -1,
        "symbols": np.asarray(activity.symbols).tolist(),
        "bits": [round(b, 3) if np.isfinite(b) else None for b in bits.tolist()],
        "guesses": guesses.tolist(),
        "chances": chances.tolist(),
        "per": PER,
        "start": start,
    }
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _part(name: str, values: np.ndarray) -> dict:
    low, high = values.min(axis=0), values.max(axis=0)
    return {
        "name": name,
        "scale": scale(values),
        "low": [float(f"{v:.7g}") for v in low.tolist()],
        "high": [float(f"{v:.7g}") for v in high.tolist()],
    }


def scale(values: np.ndarray) -> str:
    """Between which values colours go: "fraction" 0 and 1, "signed" -1 and 1, "unit" ± a unit's largest size."""
    if values.min() >= 0 and values.max() <= 1:
        return "fraction"
    return "signed" if np.abs(values).max() <= 1 else "unit"


def _guesses(logits: Float[np.ndarray, "time vocab"]) -> tuple[np.ndarray, np.ndarray]:
    """[time, up to 5]: the most likely next symbols, the likeliest first, and their probabilities in thousandths."""
    logits = np.asarray(logits, np.float64)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    order = np.argsort(-weights, axis=1, kind="stable")[:, :GUESSES]
    chances = np.take_along_axis(weights, order, axis=1) / weights.sum(axis=1, keepdims=True)
    return order, np.rint(PER * chances).astype(int)


def glyph(label: str) -> str:
    """What stands in a symbol's cell: pictures for what cannot be seen, a ring under a mark that needs a letter."""
    if len(label) != 1:
        return visible(label)
    category = unicodedata.category(label)
    if label in GLYPHS or label == " ":
        return GLYPHS.get(label, label)
    if category in INVISIBLE:
        return "\ufffd"
    if category.startswith("M"):
        return f"◌{label}"
    return "␣" if category == "Zs" else visible(label)


def name(label: str) -> str:
    """A symbol in words where its glyph does not say what it is: `newline`, `U+00A0 no-break space`."""
    if label in NAMES:
        return NAMES[label]
    if len(label) != 1 or "!" <= label <= "~":
        return visible(label)
    return f"U+{ord(label):04X} {unicodedata.name(label, '').lower()}".strip()


def is_small(label: str) -> bool:
    """Whether the glyph is wider than a letter, or no glyph of the text's own."""
    if len(label) != 1:
        return True
    of_letter = unicodedata.category(label)[0] in "LNPSM" or label == " "
    return not of_letter or unicodedata.east_asian_width(label) in "WF"
