"""One page that opens a network: its text coloured by what any one unit does, offline and in one file.

The picture is that of Karpathy, Johnson & Fei-Fei (2016), arXiv:1506.02078, figures 2 and following: one cell a symbol,
from blue to red by the activation, and under each symbol the five that the network thought most likely to come next.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from seqjax.interpret.units import Found, strongest
from seqjax.report.inside_data import LEVELS, blocks, check_finite, description
from seqjax.report.markup import document, escape

if TYPE_CHECKING:
    from seqjax.interpret.activity import Activity

LIMIT = 24_000_000  # bytes of the whole page
STYLE = ("page.css", "inside.css")
HOW_FOUND = (
    "Each unit was chosen on the first half of the text and scored on the second; “then” come the next best of the "
    "first half. “Chance” is what the best of all units stays below in 95 of 100 tries with the feature moved along "
    "the text. Layers are counted from 1, units from 0."
)
UNTRAINED = (
    "“Untrained” is what the best unit of the same network reached before its training, chosen and scored in the same "
    "way: a network that learned nothing still holds for a while what it has just read."
)
MEASURES = {"binary": "AUC", "numeric": "correlation"}
KEYS = (
    ("← →", "unit"),
    ("↑ ↓", "layer"),
    ("1 to 9", "part"),
    ("n", "next found cell"),
    ("click", "the unit most unusual there"),
    ("shift + click, shift + ← →", "only look there"),
    ("p", "predictions"),
    ("o", "own range"),
)


def page(
    title: str,
    labels: list[str],
    activity: "Activity",
    found: list[Found],
    facts: dict[str, str],
    sections: dict[str, str],
    notes: Sequence[str] = (),
) -> str:
    """The page as HTML, smaller than 25 MB.

    `labels[k]` shows symbol k: the character itself, or what stands for a byte; a line ends after "\\n". `found` are
    the best units for features of the text, `notes` sentences below them: the page opens on the strongest that was
    learned. `facts` stand at the head, and links to `sections`, elements by their ids that stand below the text; an
    empty one has no link.

    Raises UserError where the text is too long for the page or a number is not finite.
    """
    check_finite(activity)
    described = description(activity, labels, _start(found))

    def rendered(levels: int, values: str) -> str:
        all_facts = facts | {"resolution": f"{levels} levels between each unit's smallest and largest value"}
        content = f"{_found(found, notes)}{_viewer(levels)}{''.join(sections.values())}"
        head = f"{_facts(all_facts)}{_contents(sections)}"
        return document(title, STYLE, _body(title, head, content, described, values), "inside.js")

    return rendered(*blocks(activity, LIMIT - len(rendered(LEVELS[0], "").encode())))


def _body(title: str, head: str, content: str, described: str, values: str) -> str:
    return f"""<body class="inside">
<header>
<p class="brand">seqjax</p>
<h1>{escape(title)}</h1>
{head}</header>
<noscript><p class="verdict">The colours of this page are drawn by a script that it holds: please allow JavaScript
for it. Nothing is loaded from anywhere.</p></noscript>
<main>
{content}</main>
<script type="application/json" id="data">{described}</script>
{values}</body>"""


def _start(found: list[Found]) -> dict[str, int | str]:
    """The cell that the page opens on."""
    best = strongest(found)
    return {"layer": best.layer, "part": best.part, "unit": best.unit} if best else {"layer": 0, "part": "", "unit": 0}


def _facts(facts: dict[str, str]) -> str:
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    return f'<dl class="facts">{items}</dl>\n'


def _contents(sections: dict[str, str]) -> str:
    links = [
        f'<a href="#{name}">{name.replace("-", " ").capitalize()}</a>' for name, section in sections.items() if section
    ]
    return f'<p class="contents">Below the text: {", ".join(links)}</p>\n' if links else ""


def _found(found: list[Found], notes: Sequence[str]) -> str:
    """Cells that were found, as links that set the page's choice, and features for which there is none."""
    if not (found or notes):
        return ""
    cells = "".join(_cell(one) for one in found if one.learned)
    unlearned = [_missed(one, "untrained", one.untrained) for one in found if one.above_chance and not one.learned]
    by_chance = [_missed(one, "by chance", one.chance) for one in found if not one.above_chance]
    said = [f"No unit above the untrained network's for: {'; '.join(unlearned)}."] if unlearned else []
    said += [f"No unit above chance for: {'; '.join(by_chance)}."] if by_chance else []
    said += [f"{note[0].upper()}{note[1:]}." for note in notes]
    said += [HOW_FOUND] if found else []
    said += [UNTRAINED] if found and found[0].untrained is not None else []
    return f"""<section>
<h2>Cells found</h2>
<ul class="found">{cells}</ul>
{"".join(f'<p class="note">{escape(sentence)}</p>{chr(10)}' for sentence in said)}</section>
"""


def _missed(one: Found, what: str, score: float) -> str:
    return f"{one.feature} (best {_score(one.score)}, {what} {_score(score)})"


def _cell(one: Found) -> str:
    side = "high" if one.sign > 0 else "low"
    when = f"{side} where it holds" if one.kind == "binary" else f"{side} where it is large"
    untrained = "" if one.untrained is None else f", untrained {_score(one.untrained)}"
    others = " ".join(_link(*other) for other in one.others)
    more = f"<small>then {others}</small>" if others else ""
    return f"""<li><h3>{escape(one.feature)}</h3>{_link(one.layer, one.part, one.unit)}
<span>{MEASURES[one.kind]} <b>{_score(one.score)}</b>, chance {_score(one.chance)}{untrained}; {when}</span>{more}</li>
"""


def _link(layer: int, part: str, unit: int, score: float | None = None) -> str:
    where = f"#layer={layer + 1}&part={quote(part, safe='')}&unit={unit}"
    if score is None:
        return f'<a class="cell-link" href="{escape(where)}">layer {layer + 1} {escape(part)} {unit}</a>'
    return f'<a href="{escape(where)}">{layer + 1} {escape(part)} {unit}</a> ({_score(score)})'


def _score(score: float) -> str:
    return f"{score:.2f}"


def _viewer(levels: int) -> str:
    keys = "".join(f"<span><kbd>{key}</kbd> {what}</span>" for key, what in KEYS)
    return f"""<section id="viewer" data-levels="{levels}" hidden>
<h2>The text through one unit</h2>
<div class="controls">
<label>layer <select id="layer"></select></label>
<label>part <select id="part"></select></label>
<label>unit <select id="unit"></select></label>
<label><input type="checkbox" id="predictions" checked> predictions</label>
<label><input type="checkbox" id="own"> colours over this unit's own range</label>
<div class="legend"><svg id="histogram" viewBox="0 0 48 16" preserveAspectRatio="none" aria-hidden="true"></svg>
<div class="ramp"></div>
<div class="ends"><span id="low"></span><span id="middle"></span><span id="high"></span></div></div>
</div>
<p class="keys">{keys}</p>
<div class="reading">
<div id="text" lang="zxx" dir="ltr" translate="no"></div>
<aside id="panel" aria-live="polite"></aside>
</div>
<p class="note">The colour of a symbol is the unit's value after the network has read it. The bar under it is the
surprise of the symbol that came next, in bits, full at 8; below it are the five that the network thought most likely to
come next, the redder the likelier, the true one underlined.</p>
</section>
"""
