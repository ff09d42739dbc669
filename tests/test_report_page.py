"""The report's page: its data is that of the runs, its tables sort, its cells hide, its curves answer."""

import base64
import hashlib
import json
import math
import re

import chromium
import pytest
from test_report import HOSTILE, make_run
from test_report_tasks import ERROR
from test_report_tasks import make_run as make_task_run

from seqjax.report import compare, figures, write_report
from seqjax.report.page import render
from seqjax.report.published import PUBLISHED
from seqjax.report.rows import Board, Comparison, Group

ROWS = "[...document.querySelectorAll('[data-board] tbody tr')]"
SHOWN = f"{ROWS}.filter(row => row.offsetParent).map(row => row.cells[1].textContent)"
HEADS = "[...document.querySelectorAll('[data-board] thead th')]"
CURVES = "[...document.querySelectorAll('.chart')][{}].querySelectorAll('.curve.main')"
OPACITY = """[...document.querySelectorAll('.chart')].map(
    chart => [...chart.querySelectorAll('.main')].map(curve => getComputedStyle(curve).opacity))"""
TIP = "[...document.querySelector('.tip:not([hidden])')?.children ?? []].map(part => part.textContent)"


def head(name: str) -> str:
    return f"{HEADS}.find(head => head.textContent === {json.dumps(name)}).firstChild"


def data_of(page: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def points(data: dict, curve: list) -> dict[int, float]:
    return dict(zip(data["steps"][curve[0]], curve[1], strict=True))


def sweep(runs):
    """gru at 1.7 and 1.9, lstm at 1.5, rnn diverged. Sizes would sort wrongly as text."""
    for seed, nats in enumerate((1.7, 1.9)):
        make_run(runs, {"cell.name": "gru", "seed": seed}, final=nats, parameters=9_000)
    make_run(runs, final=1.5, parameters=10_000)
    make_run(runs, {"cell.name": "rnn"}, state="diverged", parameters=800)
    return runs


def test_the_page_holds_the_metrics_of_every_run_and_their_means(tmp_path):
    data = data_of(write_report([sweep(tmp_path)]).read_text())
    (board,), (groups,) = data["boards"], [board.groups for board in compare([tmp_path]).boards]
    assert [model["label"] for model in board["models"]] == ["lstm", "gru", "rnn"]
    for model, group in zip(board["models"], groups, strict=True):
        for shown, run in zip(model["runs"], group.runs, strict=True):
            assert (shown["seed"], shown["state"]) == (run.seed, run.state)
            for name in ("validation", "training", "seconds"):
                assert points(data, shown[name]) == pytest.approx(getattr(run, name), rel=1e-5)
    first, second = (run.validation for run in groups[1].runs)
    mean = {step: (first[step] + second[step]) / 2 for step in first}
    assert points(data, board["models"][1]["mean"]["validation"]) == pytest.approx(mean, rel=1e-5)


def test_pictures_show_the_best_models_and_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "MOST_MODELS", 2)
    page = write_report([sweep(tmp_path)]).read_text()
    assert page.count("The best 2 of 3 models are drawn.") == 3
    for name in ("learning_curves", "training_curves", "loss_by_time"):
        drawn = (tmp_path / "report" / f"{name}.svg").read_text()
        assert [cell in drawn for cell in ("lstm", "gru", "rnn")] == [True, True, False]


def test_long_curves_are_thinned_to_means_that_end_where_they_end(tmp_path):
    make_run(tmp_path, final=1.5, evaluations=1000)
    data = data_of(write_report([tmp_path]).read_text())
    thinned = points(data, data["boards"][0]["models"][0]["runs"][0]["training"])
    curve = compare([tmp_path]).runs[0].training
    assert list(thinned) == list(range(125, 25_001, 125))
    assert thinned[25_000] == pytest.approx(sum(curve[step] for step in range(24_900, 25_001, 25)) / 5, rel=1e-5)


def test_hostile_names_stay_text_in_the_data(tmp_path):
    make_run(tmp_path, {"optimiser.name": HOSTILE}, final=1.5)
    make_run(tmp_path, {"optimiser.name": "</script>"}, final=1.6)
    page = write_report([tmp_path]).read_text()
    assert data_of(page)["boards"][0]["models"][1]["label"] == "lstm  optimiser.name=</script>"
    assert "<" not in re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1]


def test_the_policy_allows_the_pages_script_by_its_hash(tmp_path):
    page = write_report([sweep(tmp_path)]).read_text()
    script = re.search(r'<script type="module">(.*?)</script>', page, re.DOTALL)[1]
    known = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#x27;sha256-{known}&#x27;" in page


def test_published_numbers_and_the_difference_stand_beside_ours(tmp_path):
    """Jozefowicz et al. (2015), Table 1: an accuracy of 0.92135 of MUT1 on arithmetic."""
    for cell, score in (("mut1", 0.2), ("odd", 0.3)):
        make_task_run(tmp_path, {"cell.name": cell, "task.name": "arithmetic"}, scores=(score,), measure=ERROR)
    page = write_report([tmp_path]).read_text()
    printed = PUBLISHED["arithmetic", "", "mut1"].score
    assert printed == pytest.approx(1 - 0.92135)
    assert f'data-value="{printed:.12g}">{printed:.4f}</td>' in page
    assert f'data-value="{0.2 - printed:.12g}">+{0.2 - printed:.4f}</td>' in page
    assert "Published: Jozefowicz et al. (2015), Table 1" in page
    (row,) = re.findall(r'<tr data-model="1".*?</tr>', page, re.DOTALL)
    assert '<td class="number"></td><td class="number"></td>' in row


def test_no_column_of_published_numbers_where_none_is_known(tmp_path):
    assert "ublished" not in write_report([sweep(tmp_path)]).read_text()


def test_two_hundred_runs_of_a_hundred_evaluations_make_a_page_of_less_than_two_megabytes(tmp_path):
    make_run(tmp_path, final=math.pi / 2, evaluations=100)
    (run,) = compare([tmp_path]).runs
    for label in (["lstm"], [f"lstm  optimiser.learning_rate={n}" for n in range(200)]):
        groups = [Group([run] * (200 // len(label)), name) for name in label]
        page = render(Comparison([Board(groups)], []), [figures.write(Board(groups), tmp_path)], [])
        assert len(data_of(page)["boards"][0]["models"]) == len(label)
        assert len(page.encode()) < 2_000_000


# In a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if chromium.BINARY is None:
        pytest.skip("no Chromium is on the PATH: this test needs one to click in")
    with chromium.Browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return write_report([sweep(tmp_path_factory.mktemp("runs"))])


@pytest.fixture
def tab(browser, report):
    return chromium.Tab(browser, report.as_uri())


def test_a_click_or_enter_on_a_heading_sorts_by_value_and_again_reverses_with_missing_last(tab):
    assert tab.value(SHOWN) == ["lstm", "gru", "rnn"]
    assert tab.value(f"{HEADS}[0].ariaSort") == "ascending"
    tab.click(head("parameters"))
    assert tab.value(SHOWN) == ["rnn", "gru", "lstm"]
    tab.click(head("parameters"))
    assert tab.value(SHOWN) == ["lstm", "gru", "rnn"]
    sorted_by = f"{HEADS}.filter(head => head.ariaSort).map(head => [head.textContent, head.ariaSort])"
    assert tab.value(sorted_by) == [["parameters", "descending"]]
    for order in (["lstm", "gru", "rnn"], ["gru", "lstm", "rnn"]):
        tab.click(head("validation nats"))
        assert tab.value(SHOWN) == order
    tab.value(f"{head('model')}.focus()")
    tab.press("\r")
    assert tab.value(SHOWN) == ["gru", "lstm", "rnn"]


def test_rows_without_a_value_are_last_however_many(browser, tmp_path):
    make_run(tmp_path, {"cell.name": "rnn"}, state="diverged")
    make_run(tmp_path, {"cell.name": "gru"}, final=1.7)
    make_run(tmp_path, {"cell.name": "mut1"}, state="failed")
    make_run(tmp_path, final=1.5)
    tab = chromium.Tab(browser, write_report([tmp_path]).as_uri())
    tab.click(head("validation nats"))
    assert tab.value(SHOWN)[:2] == ["lstm", "gru"]
    tab.click(head("validation nats"))
    assert tab.value(SHOWN)[:2] == ["gru", "lstm"]
    assert sorted(tab.value(SHOWN)[2:]) == ["mut1", "rnn"]


def test_names_sort_by_the_numbers_in_them(browser, tmp_path):
    rates = (0.02, 1e-05, 0.009000000000000001, 3.0)
    for n, rate in enumerate(rates):
        make_run(tmp_path, {"optimiser.learning_rate": rate}, final=1.5 + n)
    tab = chromium.Tab(browser, write_report([tmp_path]).as_uri())
    tab.click(head("model"))
    assert tab.value(SHOWN) == [f"lstm  learning_rate={rate}" for rate in sorted(rates)]


def test_hiding_a_cell_hides_its_rows_samples_and_curves_and_the_others_have_the_plot(tab):
    heights = f"Math.min(...[...{CURVES.format(0)}].map(curve => curve.getBBox().y))"
    assert [tab.value(f"{CURVES.format(n)}.length") for n in range(3)] == [3, 3, 3]
    tab.click("document.querySelector('.filter input[value=gru]')")
    assert tab.value(SHOWN) == ["lstm", "rnn"]
    assert [tab.value(f"{CURVES.format(n)}.length") for n in range(3)] == [2, 2, 2]
    shown = "[...document.querySelectorAll('{}')].filter(part => part.offsetParent).length"
    assert tab.value(shown.format("article")) == 2
    assert tab.value(shown.format("details")) == 2
    tab.click("document.querySelector('.filter [value=none]')")
    assert tab.value(SHOWN) == []
    assert tab.value(f"{CURVES.format(0)}.length") == 0
    tab.value("document.querySelector('.filter input[value=lstm]').focus()")
    tab.press(" ")
    assert tab.value(SHOWN) == ["lstm"]
    assert tab.value(heights) < 20, "the axis is that of what is shown"
    tab.click("document.querySelector('.filter [value=all]')")
    assert len(tab.value(SHOWN)) == 3


def point_at(tab, model: int, kind: str, share: float) -> None:
    """The pointer on a curve of the first chart, `share` of the way along it from the left."""
    tab.value("document.querySelector('.chart').scrollIntoView({block: 'center'})")
    colour = tab.value(f"data_of_page().boards[0].models[{model}].colour")
    place = tab.value(f"""(() => {{
        const curve = document.querySelector('.chart .curve.{kind}[stroke="{colour}"]');
        const numbers = curve.getAttribute('d').match(/[\\d.-]+/g).map(Number);
        const n = 2 * Math.round({share} * (numbers.length / 2 - 1));
        const box = curve.ownerSVGElement.getBoundingClientRect();
        const matrix = curve.getScreenCTM();
        return new DOMPoint(numbers[n], numbers[n + 1]).matrixTransform(matrix).toJSON();
    }})()""")
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=place["x"], y=place["y"])
    tab.wait("document.querySelector('.tip:not([hidden])') !== null")


@pytest.fixture
def pointed(tab):
    tab.value("window.data_of_page = () => JSON.parse(document.getElementById('data').textContent)")
    return tab


def test_pointing_at_a_curve_says_model_seed_step_and_value_and_the_model_stands_out(pointed, report):
    data = data_of(report.read_text())
    lstm, gru, _ = data["boards"][0]["models"]
    point_at(pointed, 0, "main", 1.0)
    assert pointed.value(TIP) == [
        "lstm",
        "seed 0",
        "step 100",
        f"{points(data, lstm['runs'][0]['validation'])[100]:.4f} nats",
    ]
    assert pointed.value(f"{ROWS}.map(row => row.classList.contains('lit'))") == [True, False, False]
    faded, lit = "0.13", "1"
    assert pointed.value(OPACITY) == [[faded, faded, lit]] * 3, "drawn last, over the others, in every chart"
    point_at(pointed, 1, "main", 1 / 3)
    assert pointed.value(TIP)[1:3] == ["mean over 2 seeds", "step 50"]
    assert pointed.value(TIP)[3] == f"{points(data, gru['mean']['validation'])[50]:.4f} nats"
    point_at(pointed, 1, "seed", 1.0)
    score = pointed.value(TIP)[3]
    assert pointed.value(TIP)[1] in ("seed 0", "seed 1")
    assert score in [f"{points(data, run['validation'])[100]:.4f} nats" for run in gru["runs"]]
    point_at(pointed, 2, "main", 1.0)
    assert pointed.value(TIP)[:2] == ["rnn", "seed 0, diverged"]
    pointed.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    pointed.wait("document.querySelector('.tip:not([hidden])') === null")
    assert pointed.value(OPACITY) == [[lit] * 3] * 3


def test_arrow_keys_walk_along_a_curve_and_to_the_next(tab):
    tab.value("document.querySelector('.chart > svg').focus()")
    tab.press("ArrowLeft")
    assert tab.value(TIP)[:3] == ["lstm", "seed 0", "step 100"]
    tab.press("ArrowLeft")
    assert tab.value(TIP)[:3] == ["lstm", "seed 0", "step 75"]
    tab.press("ArrowUp")
    assert tab.value(TIP)[:3] == ["gru", "seed 0", "step 75"]
    tab.press("ArrowDown")
    assert tab.value(TIP)[0] == "lstm"


def test_nothing_is_requested_and_nothing_goes_wrong(tab):
    requested = [event["request"]["url"] for event in tab.events("Network.requestWillBeSent")]
    assert len(requested) == 1 and requested[0].startswith("file:")
    assert not tab.events("Runtime.exceptionThrown") + tab.events("Log.entryAdded")


def test_hostile_names_are_chosen_by_and_shown_as_text(browser, tmp_path):
    for n, name in enumerate((HOSTILE, "plain")):
        name = re.sub("[/\0\x1b]", "", name)
        make_run(tmp_path, {"cell.name": name}, final=1.5 + n)
    tab = chromium.Tab(browser, write_report([tmp_path], tmp_path / "out").as_uri())
    tab.click("document.querySelector('.filter input')")
    assert tab.value(SHOWN) == ["plain"]
    assert tab.value("document.querySelectorAll('img').length") == 0
    assert not tab.events("Runtime.exceptionThrown") + tab.events("Log.entryAdded")


def test_odd_scores_are_drawn_in_every_board(browser, tmp_path):
    """A curve has finite places, whatever its values, on a linear or a logarithmic axis."""
    odd = ((0.75, 0.0), (0.0, 0.0), (0.5, 1e-7, 1e30), (0.3,))
    for length, scores in enumerate(odd, 20):
        make_task_run(tmp_path, {"task.length": length}, scores=scores)
    tab = chromium.Tab(browser, write_report([tmp_path]).as_uri())
    drawn = tab.value("[...document.querySelectorAll('.curve')].map(curve => curve.getAttribute('d')).join(' ')")
    assert drawn and not re.search("NaN|Infinity", drawn)
    labels = tab.value("[...document.querySelectorAll('text.up')].map(label => label.textContent)")
    assert "0.0" in labels
    assert not [label for label in labels if re.fullmatch(r"-0(\.0*)?", label)]
    assert tab.value("document.querySelectorAll('.chart').length") == 3 * len(odd)
    assert tab.value("document.querySelectorAll('.curve').length") == 3 * len(odd)
    assert not tab.events("Runtime.exceptionThrown")
