"""The section "through training": at several moments, what the network writes and what one unit does."""

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from seqjax.report.inside_data import glyph
from seqjax.report.markup import escape

if TYPE_CHECKING:
    from seqjax.interpret.through_training import Moment

SHADES = 12  # of each colour
FULL_BAR = 8.0  # bits: what the page takes for the whole bar

# The page's colours or, on a page without them, the same for light and dark.
COLOURS = {-1: "var(--blue,92 155 246)", 1: "var(--red,245 106 96)"}
SURPRISE = "var(--surprise,#8250df)"
LINE = "line-height:1.75;max-height:none"


def training_section(moments: list["Moment"], passage: list[str], unit_title: str, scale: str) -> str:
    """A block of HTML: the passage coloured by the unit, and a sample, for each moment; empty without moments.

    `passage` shows each of its symbols, a line ends after "\\n". `scale` says between which values colours go, as
    `inside_data.scale` does: "fraction" 0 and 1, "signed" -1 and 1, "unit" ± the largest absolute value of the moment,
    since a memory may be much larger at one time of training than at another.
    """
    if not moments:
        return ""
    articles = "".join(_moment(moment, moments[-1], passage, scale) for moment in moments)
    unit = "plus and minus its largest size in the passage at that step"
    between = {"fraction": "0 and 1", "signed": "-1 and 1", "unit": unit}[scale]
    return f"""<section id="through-training">
<h2>Through training</h2>
<p>The same passage through the same unit, {escape(unit_title)}, and what the network wrote from the same random
numbers, after so many steps of training.</p>
<div class="texts">
{articles}</div>
<p class="note">Blue to red: the unit's value after the symbol was read, between {between}. The line under a symbol is
its surprise, the stronger the more, full at {FULL_BAR:g} bits. Nats are the loss over the whole text; the correlation
is that of the unit's values in the passage with those after {moments[-1].step:,} steps.</p>
</section>
"""


def _moment(moment: "Moment", last: "Moment", passage: list[str], scale: str) -> str:
    alike = correlation(moment.activity, last.activity)
    said = f"{moment.loss:.3f} nats per symbol; correlation {'none' if alike is None else f'{alike:.2f}'}"
    coloured = _coloured(passage, positions(moment.activity, scale), moment.nats)
    # HTML drops a line break right after <pre>, so one is there to be dropped.
    return f"""<article><h4>step {moment.step:,}</h4><p class="when">{said}</p>
<pre style="{LINE}">
{coloured}</pre><p class="when" style="margin:.75rem 0 .25rem">it writes</p><pre>
{escape(moment.sample)}</pre></article>
"""


def correlation(values: Float[np.ndarray, "time"], others: Float[np.ndarray, "time"]) -> float | None:
    """Pearson's, or None where one of the two does not vary."""
    if not values.std() or not others.std():
        return None
    return float(np.corrcoef(values, others)[0, 1])


def positions(values: Float[np.ndarray, "time"], scale: str) -> Float[np.ndarray, "time"]:
    """Where each value lies between full blue, -1, and full red, 1."""
    largest = np.abs(values).max()
    if scale == "fraction":
        return 2 * values - 1
    return values if scale == "signed" or not largest else values / largest


def _coloured(passage: list[str], placed: np.ndarray, nats: np.ndarray) -> str:
    """The passage as text in spans, one for each stretch of one colour and surprise."""
    shades = np.rint(SHADES * np.clip(placed, -1, 1)).astype(int).tolist()
    bits = np.nan_to_num(np.asarray(nats, np.float64)) / math.log(2)
    surprises = np.rint(SHADES * np.clip(bits / FULL_BAR, 0, 1)).astype(int).tolist()
    stretches = itertools.groupby(zip(shades, surprises, passage, strict=True), key=lambda one: one[:2])
    return "".join(_stretch(*look, "".join(map(_shown, (one[2] for one in symbols)))) for look, symbols in stretches)


def _stretch(shade: int, surprise: int, text: str) -> str:
    background = f"rgb({COLOURS[1 if shade > 0 else -1]}/{abs(shade) / SHADES:.0%})"
    line = f"color-mix(in srgb,{SURPRISE} {surprise / SHADES:.0%},transparent)"
    return f'<span style="background:{background};border-bottom:3px solid {line}">{escape(text)}</span>'


def _shown(label: str) -> str:
    """What cannot be seen as a picture, so that its colour can be; lines break after the one of a line break."""
    return f"{glyph(label)}\n" if label == "\n" else glyph(label)
