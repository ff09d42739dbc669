"""The page that opens a network: what it holds, that text stays text, and that clicks, keys and lists colour it."""

import base64
import hashlib
import html.parser
import json
import re
import time
import zlib

import chromium
import numpy as np
import pytest

from seqjax.errors import UserError
from seqjax.interpret.activity import Activity
from seqjax.interpret.units import Found
from seqjax.report import inside
from seqjax.report.inside_data import LEVELS, codes, glyph, name

HOSTILE = "<img onerror=alert(1)>\t&amp;\"'</script>\x00\u202e\ud800 漢😀e\u0301\u200dש\n"
FACTS = {"run": "</dd><script>alert(1)</script>"}


def activity(text: str, layers: int = 3, units: int = 6, gates: tuple[str, ...] = ("input", "forget"), seed: int = 0):
    """Labels and the activity of a network that never was: h within ±1, c not, gates within 0 and 1."""
    rng = np.random.default_rng(seed)
    labels = sorted(set(text))
    symbols = np.array([labels.index(letter) for letter in text])

    def layer() -> dict[str, np.ndarray]:
        noise = rng.normal(size=(2 + len(gates), len(text), units)).astype(np.float32)
        memory = {"c": 3 * noise[1]} if gates else {}
        return (
            {"h": np.tanh(noise[0])} | memory | {g: 1 / (1 + np.exp(-n)) for g, n in zip(gates, noise[2:], strict=True)}
        )

    logits = rng.normal(size=(len(text), len(labels))).astype(np.float32)
    return labels, Activity(symbols, tuple(layer() for _ in range(layers)), logits)


def cells(layer: int = 1) -> list[Found]:
    return [
        Found("after a newline", "numeric", 0, "h", 3, -1, 0.6, 0.7, 0.2, [(0, "h", 4, 0.5)]),
        Found("<b>inside</b> a string", "binary", layer, "h", 2, 1, 0.99, 0.97, 0.6, []),
        Found("inside a comment", "binary", 0, "h", 1, 1, 0.7, 0.55, 0.66, []),
        Found("block depth", "numeric", 0, "h", 3, -1, 0.6, 0.5, 0.2, [], untrained=0.58),
    ]


SECTIONS = {"gates": "", "through-training": '<section id="through-training"><h2>below</h2></section>'}


def data_of(page: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def levels_of(page: str) -> int:
    return int(re.search(r'data-levels="(\d+)"', page)[1])


def decoded(page: str, layer: int, part: int) -> np.ndarray:
    """[time, units], as the page's script reads them."""
    packed = re.search(rf'id="values-{layer}-{part}">(.*?)</script>', page)[1]
    described = data_of(page)["layers"][layer][part]
    low, high = np.array(described["low"]), np.array(described["high"])
    steps = np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8).reshape(len(low), -1).T
    return low + steps / (levels_of(page) - 1) * (high - low)


@pytest.mark.parametrize("limit", [24_000_000, 180_000])
def test_values_are_those_of_the_network_to_the_resolution_that_the_page_states(limit, monkeypatch):
    monkeypatch.setattr(inside, "LIMIT", limit)
    labels, real = activity(HOSTILE * 20, units=12)
    real.layers[1]["c"][:, 5] = 0.25
    page = inside.page("run", labels, real, [], {}, {})
    assert f"{levels_of(page)} levels between each unit's smallest and largest value" in page.replace("&#x27;", "'")
    for layer, parts in enumerate(real.layers):
        for part, values in enumerate(parts.values()):
            step = (values.max(0) - values.min(0)) / (levels_of(page) - 1)
            assert (np.abs(decoded(page, layer, part) - values) <= 0.501 * step + 1e-6).all()


def test_a_page_that_would_be_too_large_has_fewer_levels_and_one_that_never_fits_is_refused(monkeypatch):
    labels, real = activity("some text\n" * 60, units=24)
    full = inside.page("run", labels, real, [], {}, {})
    assert levels_of(full) == LEVELS[0]
    monkeypatch.setattr(inside, "LIMIT", int(0.75 * len(full)))
    less = inside.page("run", labels, real, [], {}, {})
    assert levels_of(less) < LEVELS[0]
    assert 0.5 * len(full) < len(less.encode()) <= inside.LIMIT
    monkeypatch.setattr(inside, "LIMIT", int(0.2 * len(full)))
    with pytest.raises(
        UserError, match=r"600 symbols of 288 units and gates are too many for one page: show fewer symbols"
    ):
        inside.page("run", labels, real, [], {}, {})


def test_noise_of_three_layers_of_512_units_over_5000_symbols_fits():
    """The least compressible activations that there are: equally often at every level, and without memory."""
    noise = np.random.default_rng(0).random((5000, 64))
    parts, layers = 5, 3
    packed = len(zlib.compress(codes(noise, LEVELS[-1]).tobytes())) * 512 / 64 * 4 / 3
    assert parts * layers * packed < inside.LIMIT - 2_000_000


def test_predictions_are_the_five_likeliest_next_symbols_and_surprise_is_in_bits():
    labels, real = activity("a text of some letters\n", layers=1)
    data = data_of(inside.page("run", labels, real, [], {}, {}))
    chances = np.exp(real.logits) / np.exp(real.logits).sum(1, keepdims=True)
    order = np.argsort(-chances, axis=1)[:, :5]
    np.testing.assert_array_equal(data["guesses"], order)
    np.testing.assert_allclose(
        np.array(data["chances"]) / data["per"], np.take_along_axis(chances, order, 1), atol=6e-4
    )
    true = chances[np.arange(len(real.symbols) - 1), real.symbols[1:]]
    assert data["bits"][0] is None
    np.testing.assert_allclose(data["bits"][1:], -np.log2(true), atol=6e-4)


class Elements(html.parser.HTMLParser):
    def __init__(self, page: str):
        super().__init__()
        self.opened = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.opened.append((tag, dict(attributes)))


def test_whatever_the_text_holds_stays_text():
    labels, real = activity(HOSTILE * 2)
    labels[0] = "</script><img src=x>"
    page = inside.page("</title><script>alert(1)</script>", labels, real, cells(), FACTS, {})
    opened = Elements(page).opened
    scripts = [attributes.get("type") for tag, attributes in opened if tag == "script"]
    assert scripts == ["module", "application/json"] + 12 * ["application/octet-stream"]
    assert not {"img", "iframe", "object", "link"} & {tag for tag, _ in opened}
    assert not [attributes for _, attributes in opened for key in attributes if key in ("src", "onerror", "onload")]
    assert data_of(page)["glyphs"][0] == "</script><img src=x>"
    page.encode()


def test_the_policy_allows_the_one_script_and_nothing_else():
    labels, real = activity("ab")
    page = inside.page("run", labels, real, [], {}, {})
    policy = next(a["content"] for _, a in Elements(page).opened if a.get("http-equiv") == "Content-Security-Policy")
    script = re.search(r'<script type="module">(.*?)</script>', page, re.DOTALL)[1]
    known = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{known}'"
    assert set(rules) == {"default-src", "style-src", "img-src", "script-src"}
    assert "<noscript>" in page


@pytest.mark.parametrize(
    ("label", "drawn", "named"),
    [
        ("a", "a", "a"),
        ("\n", "⏎", "newline"),
        ("\t", "→", "tab"),
        (" ", " ", "blank"),
        ("\0", "␀", "U+0000"),
        ("\xa0", "␣", "U+00A0 no-break space"),
        ("\u202e", "\ufffd", "U+202E right-to-left override"),
        ("\u0301", "◌\u0301", "U+0301 combining acute accent"),
        ("\ud800", "\ufffd", "U+D800"),
        ("é", "é", "U+00E9 latin small letter e with acute"),
        ("e2", "e2", "e2"),
    ],
)
def test_how_symbols_are_drawn_and_named(label, drawn, named):
    assert (glyph(label), name(label)) == (drawn, named)


def test_numbers_that_are_not_finite_are_named():
    labels, real = activity("abc")
    real.layers[1]["c"][1, 2] = np.nan
    with pytest.raises(UserError, match="layer 2's c holds numbers that are not finite"):
        inside.page("run", labels, real, [], {}, {})


def test_cells_not_above_chance_or_the_untrained_network_are_said_to_be_not_found():
    labels, real = activity("abc")
    page = inside.page("run", labels, real, cells(), {}, {})
    assert "No unit above chance for: inside a comment (best 0.55, by chance 0.66)" in page
    assert "No unit above the untrained network&#x27;s for: block depth (best 0.50, untrained 0.58)" in page
    assert page.count('class="cell-link"') == 2
    assert data_of(page)["start"] == {"layer": 1, "part": "h", "unit": 2}


def test_the_page_says_why_there_are_no_cells_and_links_to_the_sections_that_it_has():
    labels, real = activity("abc")
    page = inside.page("run", labels, real, [], {}, SECTIONS, ["a text of <3> symbols is too short"])
    assert "A text of &lt;3&gt; symbols is too short." in page
    assert re.findall('href="(#[^"]+)">([^<]+)<', page) == [("#through-training", "Through training")]


# In a browser

TEXT = HOSTILE + "def f(x):\n\treturn 'a < b & c'  # twice\n" + HOSTILE
STRANGE = 40  # the symbol at which one unit does what it never does
COLOURS = "[...document.querySelectorAll('.cell b')].map(b => b.style.backgroundColor.match(/\\d+/g).map(Number))"
CHOICE = "['layer', 'part', 'unit'].map(id => document.getElementById(id).selectedOptions[0].text).join(' ')"
CELLS = "document.querySelectorAll('.cell')"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if chromium.BINARY is None:
        pytest.skip("no Chromium is on the PATH: this test needs one to click in")
    with chromium.Browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture
def opened(browser, tmp_path):
    """A function that opens a page of the arguments."""

    def open_page(labels, real, found=(), address: str = "") -> chromium.Tab:
        file = tmp_path / "page.html"
        file.write_text(inside.page("run", labels, real, list(found), FACTS, SECTIONS), encoding="utf-8")
        return chromium.Tab(browser, file.as_uri() + address)

    return open_page


def assert_coloured(tab, values, low: float, high: float):
    """Each symbol has the colour of its value: blue at `low`, red at `high`, and the neutral one half-way."""
    variables = "['--blue', '--neutral', '--red'].map(n => getComputedStyle(document.body).getPropertyValue(n))"
    blue, neutral, red = np.array([colour.split() for colour in tab.value(variables)], float)
    position = np.clip(2 * (values[:, None] - low) / (high - low) - 1, -1, 1)
    expected = neutral + np.abs(position) * (np.where(position < 0, blue, red) - neutral)
    tries = 0
    while np.abs(tab.value(COLOURS) - expected).max() > 2 and (tries := tries + 1) < 100:
        time.sleep(0.02)
    np.testing.assert_allclose(tab.value(COLOURS), expected, atol=2)


def chosen(tab, layer: int, part: str, unit: int) -> None:
    tab.wait(f"{CHOICE} === {json.dumps(f'{layer} {part} {unit}')}")


def test_lists_keys_and_clicks_choose_the_unit_whose_values_are_the_colours(opened):
    labels, real = activity(TEXT)
    real.layers[1]["h"][:, 4] = 0.01 * np.sin(np.arange(len(TEXT)))
    real.layers[1]["h"][STRANGE, 4] = 0.9
    tab = opened(labels, real, cells())
    chosen(tab, 2, "h", 2)
    assert_coloured(tab, real.layers[1]["h"][:, 2], -1, 1)

    tab.press("ArrowRight")
    chosen(tab, 2, "h", 3)
    assert_coloured(tab, real.layers[1]["h"][:, 3], -1, 1)
    tab.press("ArrowUp")
    chosen(tab, 3, "h", 3)
    assert_coloured(tab, real.layers[2]["h"][:, 3], -1, 1)
    tab.press("2")
    chosen(tab, 3, "c", 3)
    largest = np.abs(real.layers[2]["c"][:, 3]).max()
    assert_coloured(tab, real.layers[2]["c"][:, 3], -largest, largest)
    tab.press("n")
    chosen(tab, 1, "h", 3)

    tab.value("document.getElementById('part').focus()")
    for _ in range(2):
        tab.press("ArrowDown")
    chosen(tab, 1, "input", 3)
    assert_coloured(tab, real.layers[0]["input"][:, 3], 0, 1)
    tab.click("document.querySelector('#own')")
    values = real.layers[0]["input"][:, 3]
    assert_coloured(tab, values, values.min(), values.max())

    tab.click("document.querySelector('#own')")
    tab.value("location.hash = 'layer=2&part=h&unit=0'")
    chosen(tab, 2, "h", 0)
    tab.click(f"{CELLS}[{STRANGE}]")
    chosen(tab, 2, "h", 4)
    assert_coloured(tab, real.layers[1]["h"][:, 4], -1, 1)
    assert "h 4 is 0.9" in tab.value("document.getElementById('panel').textContent")
    tab.wait(f"location.hash === '#layer=2&part=h&unit=4&at={STRANGE}'")


def test_the_next_found_cell_comes_round_and_a_link_to_a_section_keeps_the_choice(opened):
    """Also where one unit was found for two features."""
    labels, real = activity("ab")
    found = [Found(f"{n}", "numeric", 0, "h", unit, 1, 0.7, 0.6, 0.2, []) for n, unit in enumerate((3, 5, 3, 4))]
    tab = opened(labels, real, found)
    for unit in (3, 5, 4, 3):
        chosen(tab, 1, "h", unit)
        tab.press("n")
    chosen(tab, 1, "h", 5)
    tab.press("ArrowLeft")
    tab.wait("location.hash === '#layer=1&part=h&unit=4'")
    tab.click("document.querySelector('.contents a')")
    tab.wait("location.hash === '#through-training'")
    tab.press("ArrowRight")
    chosen(tab, 1, "h", 5)


def test_the_panel_lists_the_most_unusual_units_and_predictions_of_the_symbol(opened):
    labels, real = activity(TEXT, units=20)
    tab = opened(labels, real, address=f"#layer=3&part=c&unit=7&at={STRANGE}")
    values = real.layers[2]["c"]
    z = (values[STRANGE] - values.mean(0)) / values.std(0)
    listed = tab.value("[...document.querySelectorAll('.unusual li')].map(li => li.textContent)")
    assert [int(line.split()[1]) for line in listed] == np.argsort(-np.abs(z))[:10].tolist()
    probability = np.exp(real.logits[STRANGE]) / np.exp(real.logits[STRANGE]).sum()
    panel = tab.value("document.getElementById('panel').innerText")
    assert f"{100 * probability.max():.1f} %" in panel
    bits = float(re.search(r"a surprise of (\S+) bits", panel)[1])
    assert bits == pytest.approx(real.nats[STRANGE + 1] / np.log(2), abs=0.006)
    tab.press("p")
    assert tab.value("getComputedStyle(document.querySelector('.cell i')).display") == "none"
    tab.click(f"{CELLS}[3]", shift=True)
    tab.wait("document.getElementById('panel').textContent.includes('symbol 4 of')")
    chosen(tab, 3, "c", 7)


@pytest.mark.parametrize(
    ("text", "layers", "gates"),
    [("ab", 1, ()), (TEXT, 1, ()), (TEXT, 3, ("update",)), ("x" * 300, 1, ("update",))],
    ids=["two symbols", "one layer without gates", "three layers", "one long line"],
)
def test_text_is_shown_symbol_by_symbol_on_a_grid_and_nothing_is_loaded(opened, text, layers, gates):
    labels, real = activity(text, layers, gates=gates)
    tab = opened(labels, real)
    drawn = tab.value("[...document.querySelectorAll('.cell b')].map(b => b.textContent)")
    assert drawn == [glyph(letter) for letter in text]
    boxes = tab.value(f"[...{CELLS}].map(c => [c.getBoundingClientRect().width, c.offsetLeft])")
    widths, lefts = np.array(boxes).T
    assert len(set(widths)) == 1
    assert set(lefts % widths[0]) == {lefts[0] % widths[0]}
    assert tab.value(f"{CELLS}[0].querySelectorAll('i').length") == min(5, len(labels))
    assert tab.value("document.querySelectorAll('script, img').length") == 2 + sum(map(len, real.layers))
    requested = [event["request"]["url"] for event in tab.events("Network.requestWillBeSent")]
    assert len(requested) == 1 and requested[0].startswith("file:")
    assert not tab.events("Runtime.exceptionThrown") + tab.events("Log.entryAdded")


def test_bytes_are_shown_as_letters_or_two_digits(opened):
    raw = "é<\n\tb".encode()
    labels, real = activity(raw.decode("latin-1"), layers=1)
    shown = [label if ord(label) < 128 else f"{ord(label):02x}" for label in labels]
    tab = opened(shown, real)
    assert tab.value("[...document.querySelectorAll('.cell b')].map(b => b.textContent)") == [
        "c3",
        "a9",
        "<",
        "⏎",
        "→",
        "b",
    ]
    assert tab.value("document.querySelectorAll('.line').length") == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_every_colour(opened, scheme):
    """A contrast of 4.5, the level AA of the Web Content Accessibility Guidelines 2.2, for the strongest colours."""
    labels, real = activity("ab")
    tab = opened(labels, real)
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    ink = tab.value("getComputedStyle(document.querySelector('.cell b')).color.match(/\\d+/g).map(Number)")
    assert_coloured(tab, real.layers[0]["h"][:, 0], -1, 1)
    for variable in ("--blue", "--neutral", "--red"):
        colour = tab.value(f"getComputedStyle(document.body).getPropertyValue('{variable}')").split()
        light, dark = sorted((luminance(ink), luminance([float(c) for c in colour])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def luminance(colour: list[float]) -> float:
    channels = np.array(colour) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
