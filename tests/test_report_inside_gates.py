"""A network through its training, and what its gates do: numbers, figures and blocks of HTML."""

import csv
import html.parser

import jax
import numpy as np
import pytest
import tiny
from flax import nnx

from seqjax.analysis import saturation as saturation_of
from seqjax.errors import UserError
from seqjax.interpret.activity import Activity, values_of
from seqjax.interpret.reading import read
from seqjax.interpret.through_training import Moment, gate_names, moments
from seqjax.report import inside_gates
from seqjax.report.inside_training import correlation, training_section

HOSTILE = ["<", "/", "s", ">", "&", '"', "\n", "\t", " ", "\u202e", "😀", "c3"]


def activity_of(*layers, time=8) -> Activity:
    return Activity(np.zeros(time, np.int32), layers, np.zeros((time, 2), np.float32))


def columns(*fractions_of_time, time=8) -> np.ndarray:
    """Gates that are 0.05 for so many of the steps, then 0.95 for so many, then 0.5."""
    counts = [(shut, opened, time - shut - opened) for shut, opened in fractions_of_time]
    return np.stack([np.repeat(np.float32([0.05, 0.95, 0.5]), count) for count in counts], axis=1)


@pytest.fixture(scope="module")
def seen():
    """Two networks of two layers, and their moments on a text."""
    config = tiny.config(cell__name="lstm", cell__layers=2)
    task = tiny.task(config)
    networks = [(0, task.network(nnx.Rngs(0))), (40, task.network(nnx.Rngs(1)))]
    symbols = task.splits["test"][:60]
    made = moments(task, networks, symbols, (1, "c", 3), passage=slice(20, 50), prompt="the", length=9)
    return task, networks, symbols, made


def test_a_moment_is_what_its_network_does_on_the_text(seen):
    task, networks, symbols, made = seen
    assert [moment.step for moment in made] == [0, 40]
    for moment, (_, network) in zip(made, networks, strict=True):
        activity = read(network, symbols)
        np.testing.assert_array_equal(moment.activity, activity.layers[1]["c"][20:50, 3])
        np.testing.assert_array_equal(moment.nats, activity.nats[20:50])
        np.testing.assert_allclose(moment.loss, activity.nats[1:].mean(dtype=np.float64))
        assert moment.sample == task.sample(network, 0, prompt="the", length=9)
        forget = np.sort(activity.layers[0]["forget"].ravel())
        np.testing.assert_allclose(moment.gates[0]["forget"][2], np.median(forget))
        assert (np.diff(moment.gates[0]["forget"]) > 0).all()
    assert made[0].sample[:3] == made[1].sample[:3] == "the"


@pytest.mark.parametrize(
    ("cell", "gates"),
    [("lstm", "input forget output"), ("gru", "reset update"), ("mut1", "reset update"), ("rnn", "")],
)
def test_gates_are_what_the_cell_calls_its_gates(cell, gates):
    task = tiny.task(tiny.config(cell__name=cell))
    network = task.network(nnx.Rngs(0))
    (names,) = gate_names(network, read(network, task.splits["test"][:3]))
    assert set(names) == set(gates.split())


@pytest.mark.parametrize(
    ("unit", "sentence"),
    [
        ((2, "c", 0), "there is no layer 3; the network has 2"),
        ((0, "memory", 0), "layer 1 has no part 'memory'; it has h, c, input, forget, output"),
        ((0, "c", 8), "c of layer 1 has no unit 8; units are 0 to 7"),
    ],
)
def test_a_unit_that_is_not_there_is_named(seen, unit, sentence):
    _, networks, symbols, _ = seen
    with pytest.raises(UserError, match=sentence):
        values_of(read(networks[0][1], symbols), unit)


def test_a_text_without_anything_to_show_is_refused(seen):
    task, networks, symbols, _ = seen
    with pytest.raises(UserError, match="a text of 1 symbols has nothing to predict"):
        moments(task, networks, symbols[:1], (0, "h", 0))
    with pytest.raises(UserError, match="the passage 90:99 of a text of 60 symbols is empty"):
        moments(task, networks, symbols, (0, "h", 0), passage=slice(90, 99))


def test_shut_and_open_are_fractions_of_the_time():
    values = columns((8, 0), (0, 8), (2, 4), (0, 0))
    shut, opened = inside_gates.fractions(values)
    np.testing.assert_array_equal(shut, [1, 0, 0.25, 0])
    np.testing.assert_array_equal(opened, [0, 1, 0.5, 0])
    random = np.random.default_rng(0).random((50, 5), np.float32)
    for ours, others in zip(inside_gates.fractions(random), saturation_of(jax.numpy.asarray(random)), strict=True):
        np.testing.assert_allclose(ours, others, rtol=1e-6)


def test_the_saturation_plot_has_a_panel_a_gate_and_a_dot_a_unit(tmp_path):
    layers = [
        {"h": columns((1, 1)), "forget": columns((8, 0), (0, 8)), "input": columns((2, 4), (0, 0))},
        {"h": columns((1, 1)), "forget": columns((4, 4), (0, 8)), "input": columns((0, 0), (0, 0))},
    ]
    activity, gates = activity_of(*layers), (("forget", "input"),) * 2
    measured = {(n, name): inside_gates.fractions(layers[n - 1][name]) for n in (1, 2) for name in gates[0]}
    forget, of_input = inside_gates._saturation_figure(measured).axes
    assert (forget.get_title("left"), of_input.get_title("left")) == ("forget", "input")
    np.testing.assert_array_equal(forget.collections[0].get_offsets(), [[1, 0], [0, 1]])
    np.testing.assert_array_equal(forget.collections[1].get_offsets(), [[0.5, 0.5], [0, 1]])
    assert not np.array_equal(forget.collections[0].get_facecolor(), forget.collections[1].get_facecolor())
    np.testing.assert_array_equal(forget.lines[0].get_xydata().sum(1), [1, 1])

    drawing = inside_gates.saturation(activity, gates, tmp_path)
    assert "forget 2 and 1 of 4 units (62% and 38% of all values)" in drawing.caption
    assert "input 0 and 0 of 4 units (12% and 6% of all values)" in drawing.caption
    rows = list(csv.DictReader((tmp_path / "gates_saturation.csv").open()))
    assert len(rows) == 8
    assert rows[2] == {"layer": "1", "gate": "input", "unit": "0", "under_0.1": "0.25", "over_0.9": "0.5"}


def test_the_section_of_gates_holds_both_figures(seen, tmp_path):
    _, networks, symbols, made = seen
    network = networks[1][1]
    activity = read(network, symbols)
    block = inside_gates.gates_section(activity, gate_names(network, activity), made, tmp_path)
    assert block.count("<svg") == 2 and block.count("<h2>Gates</h2>") == 1
    for name in ("gates_saturation", "gates_through_training"):
        assert all((tmp_path / f"{name}.{kind}").stat().st_size for kind in ("png", "svg", "csv"))
    rows = list(csv.DictReader((tmp_path / "gates_through_training.csv").open()))
    assert len(rows) == 2 * 2 * 3
    low, high = made[1].gates[1]["output"][[1, 3]]
    assert rows[-1]["gate"] == "output" and float(rows[-1]["percentile_25"]) == pytest.approx(low)
    assert f"{low:.2f} to {high:.2f}. Over units" in block
    assert inside_gates.gates_section(activity, gate_names(network, activity), [], tmp_path).count("<svg") == 1


def test_a_cell_without_gates_has_no_such_section(tmp_path):
    assert inside_gates.gates_section(activity_of({"h": columns((1, 1))}), ((),), [], tmp_path) == ""
    assert not list(tmp_path.iterdir())


class Reader(html.parser.HTMLParser):
    """The elements of a block, the text of each, and the styles of spans."""

    def __init__(self, block: str):
        super().__init__()
        self.tags, self.texts, self.styles, self.inside = set(), {}, [], []
        self.feed(block)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.inside.append(tag)
        if tag == "span":
            self.styles.append(dict(attributes)["style"])

    def handle_endtag(self, tag):
        assert self.inside.pop() == tag

    def handle_data(self, data):
        if self.inside:
            self.texts[self.inside[-1]] = self.texts.get(self.inside[-1], "") + data


def moment(step, values, nats=0.0, sample="") -> Moment:
    values = np.asarray(values, np.float32)
    return Moment(step, sample, values, np.broadcast_to(np.float32(nats), values.shape), 1.25, ())


def test_hostile_text_stays_text():
    values = np.linspace(-1, 1, len(HOSTILE))
    made = [moment(0, values, sample="</pre><script>alert(1)</script>"), moment(1200, values, np.nan)]
    found = Reader(training_section(made, HOSTILE, "layer <b>1</b> h", "signed"))
    assert found.tags <= {"section", "h2", "h4", "p", "div", "article", "pre", "span"}
    assert found.texts["h4"] == "step 0step 1,200"
    assert found.texts["span"] == 2 * '</s>&"⏎\n→ \ufffd😀c3'
    assert "</pre><script>alert(1)</script>" in found.texts["pre"]
    assert "layer <b>1</b> h" in found.texts["p"]


@pytest.mark.parametrize(("scale", "values"), [("signed", [-1, 0, 1]), ("fraction", [0, 0.5, 1]), ("unit", [-4, 0, 4])])
def test_colours_go_from_blue_to_red_and_the_line_shows_surprise(scale, values):
    made = [moment(0, values, np.log(2) * np.array([0, 4, 80]))]
    blue, neutral, red = Reader(training_section(made, ["a", "b", "c"], "layer 1 h 0", scale)).styles
    assert "--blue" in blue and "/100%)" in blue
    assert "/0%)" in neutral
    assert "--red" in red and "/100%)" in red
    surprises = [style.split("border-bottom")[1].split("%")[0].split()[-1] for style in (blue, neutral, red)]
    assert surprises == ["0", "50", "100"]


def test_a_part_without_bounds_has_a_scale_of_its_own_at_each_moment():
    early, late = Reader(training_section([moment(0, [1.0]), moment(9, [-4.0])], ["a"], "layer 1 c 0", "unit")).styles
    assert "red" in early and "/100%)" in early
    assert "blue" in late and "/100%)" in late


def test_correlation_is_pearsons_and_none_without_variation():
    a, b = np.random.default_rng(0).normal(size=(2, 40))
    expected = ((a - a.mean()) * (b - b.mean())).mean() / a.std() / b.std()
    assert correlation(a, b) == pytest.approx(expected)
    assert correlation(a, np.ones(40)) is None
    assert "correlation none" in training_section([moment(0, [1, 1]), moment(9, [0, 1])], ["a", "b"], "", "signed")


def test_no_moments_make_no_section():
    assert training_section([], ["a"], "layer 1 h 0", "signed") == ""
