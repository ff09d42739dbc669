"""What is said of a search: who is best, what luck is taken out, and what failed runs cost."""

import csv
import io
import itertools
import math
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from test_report import HOSTILE, Reader
from test_report_tasks import ERROR, make_run

from experiments import search as search_command
from seqjax.errors import UserError
from seqjax.report import compare
from seqjax.report.published import PUBLISHED, published
from seqjax.report.search import ranking, searches
from seqjax.report.search_importance import importance, importances
from seqjax.report.search_words import cautions, verdict
from seqjax.report.search_write import write_search
from seqjax.results import RunDirectory

SIMPLE = {**ERROR, "solved_below": None, "solved_is": ""}


def tried(runs, cell, scores, tests=None, **more):
    """Runs of a cell, one for each score, with a learning rate of its own each; `tests` are their test scores. A score
    of None diverged; one that is a list is a validation curve, of a run that halving stopped.
    """
    for n, score in enumerate(scores):
        overrides = {"cell": {"name": cell, "hidden": 50, "layers": 1, "parameters": 0, "options": {}}}
        overrides |= {"optimiser.learning_rate": 0.01 * (n + 1)} | more.get("overrides", {})
        stopped = isinstance(score, list)
        state = "diverged" if score is None else "done"
        curve = score if stopped else (*more.get("before", ()), score or 0.7)
        run = make_run(runs, overrides, scores=curve, measure=SIMPLE, state=state, title=more.get("title", "t"))
        if stopped:
            run.set_status("stopped", "by successive halving")
        if tests is not None and score is not None:
            records = run.metrics.read()
            records[-1] |= {"error": tests[n]}
            rewrite(run, records)


def rewrite(run, records):
    run.metrics.cut(0)
    with run.metrics.appending() as metrics:
        for record in records:
            metrics.add(record)


def found(*paths):
    return searches(compare(paths))


def test_settings_are_chosen_by_validation_and_their_test_score_is_reported(tmp_path):
    tried(tmp_path, "gru", [0.4, 0.2, 0.3], tests=[0.1, 0.5, 0.6])
    ((search),) = found(tmp_path)
    (cell,) = search.cells
    assert search.reported == "test"
    assert (cell.best.score, cell.best.reported) == (0.2, 0.5)
    # The best of two: the second in two pairs of three, the third in the other.
    assert cell.expected([1, 2, 3]) == pytest.approx([0.4, (2 * 0.5 + 0.6) / 3, 0.5])


def test_a_setting_is_the_mean_of_its_seeds(tmp_path):
    for seed, shift in enumerate((0.0, 0.02, 0.07)):
        tried(tmp_path, "gru", [0.2 + shift, 0.4], overrides={"seed": seed})
    (search,) = found(tmp_path)
    (cell,) = search.cells
    assert len(cell.settings) == 2
    assert cell.best.score == pytest.approx(0.23)
    assert cell.best.interval == pytest.approx((0.2, 0.27))


def test_a_lost_run_counts_as_the_trivial_answer_and_so_does_one_that_is_worse(tmp_path):
    tried(tmp_path, "gru", [0.2, None, 0.9])
    (search,) = found(tmp_path)
    (cell,) = search.cells
    assert search.trivial == 0.75
    assert sorted(cell.scores) == [0.2, 0.75, 0.75]
    assert cell.lost == pytest.approx(1 / 3)
    assert cell.expected([1]) == pytest.approx([(0.2 + 2 * 0.75) / 3])


def test_of_a_cell_with_stopped_settings_the_best_of_all_is_known_and_no_more(tmp_path):
    tried(tmp_path, "gru", [0.2, [0.5], [0.6, 0.4], [0.3]])
    tried(tmp_path, "lstm", [0.35, 0.3, 0.5, 0.4, 0.6])
    (search,) = found(tmp_path)
    gru, lstm = search.cell("gru"), search.cell("lstm")
    assert sorted(gru.scores) == [0.2, 0.3, 0.4, 0.5]
    assert [gru.expected_at(draws) for draws in (1, 3, 4)] == [None, None, 0.2]
    assert (gru.interval_at(1), gru.interval_at(4), gru.unfinished) == (None, None, 0)
    assert lstm.expected_at(1) == pytest.approx(0.43)
    assert [search.standing(cell) for cell in search.cells] == [0.2, 0.3], "both by the best of all"
    assert verdict(search).startswith("Of all settings that ended, gru has the best, with a test error of 0.2000; lstm")
    (halving, *_) = cautions(search)
    assert halving.startswith("3 of 9 settings were stopped early at step 100 or 200 by successive halving")
    console = Console(file=io.StringIO(), width=120)
    page = write_search([tmp_path], tmp_path / "out", None, console).read_text()
    assert halving in " ".join(console.file.getvalue().split()) and halving in Reader(page).text
    curve = [row for row in rows(tmp_path / "out/expected_best.csv") if row["cell"] == "gru"]
    assert [(row["draws"], float(row["expected"])) for row in curve] == [("4", 0.2)]


def test_a_search_of_stopped_settings_alone_has_no_curves(tmp_path):
    tried(tmp_path, "gru", [0.2, [0.5], 0.3])
    assert "Best of" not in write_search([tmp_path]).read_text()
    assert not (tmp_path / "report/expected_best.svg").exists()


def test_a_run_without_scores_of_its_end_counts_with_its_best_on_the_way(tmp_path):
    cell = {"name": "gru", "hidden": 50, "layers": 1, "parameters": 0, "options": {}}
    for n, state in enumerate(("done", "stopped")):
        overrides = {"cell": cell, "optimiser.learning_rate": n + 1.0}
        run = make_run(tmp_path, overrides, scores=(0.4, 0.2 + n / 10, 0.5), measure=SIMPLE, title="t", state=state)
        rewrite(run, [record for record in run.metrics.read() if record["kind"] != "final"])
    tried(tmp_path, "lstm", [0.6])
    (search,) = found(tmp_path)
    assert search.reported == "test"
    assert sorted(search.cell("gru").reported) == pytest.approx([0.2, 0.3])
    assert any(said.startswith("2 runs without the scores of the end") for said in cautions(search))


def test_a_test_score_that_is_not_finite_counts_as_the_trivial_answer_there(tmp_path):
    tried(tmp_path, "gru", [0.3, 0.4], tests=[math.nan, 0.45])
    (search,) = found(tmp_path)
    assert search.reported == "test"
    assert search.cells[0].scores.tolist() == [0.3, 0.4]
    assert search.cells[0].reported.tolist() == [0.75, 0.45]


def test_seeds_that_different_code_trained_are_one_setting_and_it_says_so(tmp_path):
    for seed in range(2):
        tried(tmp_path, "gru", [0.3 + seed / 100, 0.4], overrides={"seed": seed})
    assert not cautions(found(tmp_path)[0])
    for path in tmp_path.glob("*seed1*"):
        run = RunDirectory(path)
        run.write_trial({**run.trial(), "code": "other"})
    (search,) = found(tmp_path)
    assert [len(setting.runs) for setting in search.cells[0].settings] == [2, 2]
    assert cautions(search) == ["The seeds of 2 settings were trained by different code, and count all the same."]


def test_without_a_trivial_answer_a_lost_run_counts_as_the_worst(tmp_path):
    measure = {**SIMPLE, "baseline": None, "baseline_is": ""}
    for n, score in enumerate((0.2, 3.0)):
        make_run(tmp_path, {"optimiser.learning_rate": n + 1.0}, scores=(score,), measure=measure)
    make_run(tmp_path, {"optimiser.learning_rate": 9.0}, measure=measure, state="diverged")
    (search,) = found(tmp_path)
    assert sorted(search.cells[0].scores) == [0.2, 3.0, 3.0]
    assert "the worst score of all (3.0000)" in write_search([tmp_path]).read_text()


def test_runs_that_have_not_ended_are_not_counted(tmp_path):
    tried(tmp_path, "gru", [0.2])
    for cell, state in (("gru", "interrupted"), ("gru", "failed"), ("lstm", "queued")):
        overrides = {"cell": {"name": cell, "hidden": 50, "layers": 1}, "optimiser.learning_rate": len(state)}
        make_run(tmp_path, overrides, measure=SIMPLE, state=state, title="t")
    (search,) = found(tmp_path)
    assert [(cell.name, len(cell.settings), cell.unfinished) for cell in search.cells] == [
        ("gru", 1, 2),
        ("lstm", 0, 1),
    ]
    page = write_search([tmp_path], baseline="lstm").read_text()
    assert "Not counted: 3 runs not ended yet; 1 of them failed, and" in page


def test_a_cell_does_not_win_by_more_settings(tmp_path):
    """Both draw from one distribution, the second four times as often: its best is better, and says nothing."""
    random = np.random.default_rng(0)
    tried(tmp_path, "gru", np.sort(random.uniform(0.1, 0.7, 8)))
    tried(tmp_path, "lstm", [*np.sort(random.uniform(0.1, 0.7, 31)), 0.01])
    (search,) = found(tmp_path)
    gru, lstm = search.cell("gru"), search.cell("lstm")
    assert lstm.best.score < gru.best.score
    assert (search.all_draws, search.draws) == (8, 2)
    assert abs(lstm.expected_at(2) - gru.expected_at(2)) < 0.1
    assert "Their intervals overlap" in verdict(search)


def test_cells_are_compared_in_pairs_of_one_setting_and_one_seed(tmp_path):
    tried(tmp_path, "lstm", [0.5, 0.4, 0.6, 0.3])
    tried(tmp_path, "gru", [0.4, 0.5, 0.3])
    tried(tmp_path, "rnn", [0.6], overrides={"seed": 1})
    (search,) = found(tmp_path)
    pair = search.paired(search.cell("gru"), "lstm")
    assert (pair.pairs, pair.better, pair.worse) == (3, 2, 1)
    assert pair.mean == pytest.approx((-0.1 + 0.1 - 0.3) / 3)
    assert search.paired(search.cell("rnn"), "lstm") is None, "no seed in common"
    assert search.paired(search.cell("lstm"), "lstm") is None


def test_pairs_are_of_the_scores_that_are_reported(tmp_path):
    tried(tmp_path, "lstm", [0.3, 0.4, 0.5], tests=[0.3, 0.4, 0.5])
    tried(tmp_path, "gru", [0.2, 0.3, None], tests=[0.6, 0.6, None])
    (search,) = found(tmp_path)
    assert search.paired(search.cell("gru"), "lstm").mean == pytest.approx((0.3 + 0.2 + 0.25) / 3)
    assert "the mean difference of test scores" in write_search([tmp_path], baseline="lstm").read_text()


def test_a_run_that_was_stopped_is_compared_with_what_the_other_was_at_that_step(tmp_path):
    """Both learn alike: the second is not the worse cell for having been stopped."""
    tried(tmp_path, "lstm", [0.3, 0.3, 0.3], before=(0.6, 0.5, 0.55))
    tried(tmp_path, "gru", [[0.6, 0.5, 0.52], [0.59], None])
    (search,) = found(tmp_path)
    gru, lstm = search.cell("gru"), search.cell("lstm")
    assert search.paired(gru, "lstm").mean == pytest.approx((0.0 - 0.01 + 0.45) / 3)
    assert search.paired(lstm, "gru").mean == pytest.approx(-(0.0 - 0.01 + 0.45) / 3)
    assert "up to the last step at which both were evaluated" in write_search([tmp_path], baseline="lstm").read_text()


def test_of_one_setting_seeds_are_the_pairs(tmp_path):
    for seed, (first, second) in enumerate(((0.5, 0.4), (0.6, 0.3), (0.5, 0.45))):
        tried(tmp_path, "lstm", [first], overrides={"seed": seed})
        tried(tmp_path, "gru", [second], overrides={"seed": seed})
    (search,) = found(tmp_path)
    assert search.paired(search.cell("gru"), "lstm").pairs == 3


def placed(runs, length, order):
    """Runs of a task, four settings for each cell, the best cell first."""
    for n, cell in enumerate(order):
        for k in range(4):
            overrides = {"cell": {"name": cell, "hidden": 50, "layers": 1, "options": {}}, "task.length": length}
            overrides |= {"optimiser.learning_rate": k + 1.0}
            make_run(runs, overrides, scores=(0.1 * n + 0.01 * k + 0.01,), measure=SIMPLE)


def test_ranks_are_over_tasks_with_a_score_among_cells_that_all_of_them_have(tmp_path):
    """Among all cells the LSTM would be third, first and second: 2 in the mean, and the GRU 4 / 3."""
    placed(tmp_path, 20, ("gru", "rnn", "lstm"))
    placed(tmp_path, 50, ("lstm", "gru"))
    placed(tmp_path, 80, ("gru", "lstm", "rnn"))
    cell = {"name": "gru", "hidden": 50, "layers": 1, "options": {}}
    make_run(tmp_path, {"cell": cell, "task.length": 99}, scores=(), measure=SIMPLE, state="queued")
    found_ranks = ranking(found(tmp_path))
    assert found_ranks.ranks == {"gru": [1.0, 2.0, 1.0], "lstm": [2.0, 1.0, 2.0]}
    assert (len(found_ranks.tasks), found_ranks.left_out) == (3, ["rnn"])
    console = Console(file=io.StringIO(), width=120)
    page = write_search([tmp_path], None, None, console).read_text()
    assert "Rank over tasks" in page and "Not ranked, as no run has ended on some of these tasks: rnn." in page
    assert "mean rank over 3 tasks: gru 1.33, lstm 1.67" in console.file.getvalue()


def test_cells_that_tie_share_a_place_and_one_task_has_no_ranks(tmp_path):
    placed(tmp_path, 20, ("gru",))
    placed(tmp_path, 20, ("lstm",))
    assert ranking(found(tmp_path)) is None
    placed(tmp_path, 50, ("lstm", "gru"))
    assert ranking(found(tmp_path)).ranks == {"lstm": [1.5, 1.0], "gru": [1.5, 2.0]}


def test_where_settings_were_stopped_ranks_are_by_the_best_of_all(tmp_path):
    tried(tmp_path, "gru", [0.2, 0.6, 0.6, 0.6])
    tried(tmp_path, "lstm", [0.3, 0.3, 0.3, [0.3]])
    placed(tmp_path, 80, ("gru", "lstm"))
    assert ranking(found(tmp_path)).ranks == {"gru": [1.0, 1.0], "lstm": [2.0, 2.0]}


def test_published_numbers_are_those_of_the_paper_in_our_measures(tmp_path):
    assert PUBLISHED["arithmetic", "", "mut1"].score == pytest.approx(1 - 0.92135)
    assert PUBLISHED["xml", "", "gru"].score == pytest.approx(1 - 0.45963)
    assert PUBLISHED["music", "nottingham", "lstm_j_bias"].score == 3.419
    assert PUBLISHED["music", "piano_midi", "rnn"].score == 6.809
    tried(tmp_path, "mut1", [0.2], overrides={"task": {"name": "arithmetic", "length": 1, "symbols": 2, "batch": 20}})
    write_search([tmp_path])
    (row,) = rows(tmp_path / "report/search.csv")
    assert float(row["published"]) == pytest.approx(0.07865)
    assert float(row["difference_to_published"]) == pytest.approx(0.2 - 0.07865)
    assert row["published_in"].startswith("Jozefowicz et al. (2015), Table 1")


@pytest.mark.parametrize(
    "cell, parameters, dropout, known",
    [
        ("mut3", 5_000_000, 0.0, 4.692),
        ("mut3", 5_000_000, 0.3, None),
        ("mut3", 9_000_000, 0.0, None),
        ("lstm_j_bias", 20_000_000, 0.5, 4.380),
        ("lstm", 4_652_400, 0.0, math.log(115)),
        ("lstm", 4_652_400, 0.5, None),
    ],
)
def test_published_numbers_of_words_are_of_networks_of_that_size_and_dropout(cell, parameters, dropout, known):
    config = {"data": {"source": "ptb", "symbols": "words"}, "task": {"name": "char_lm"}}
    settings = {"model.dropout": dropout}
    run = SimpleNamespace(cell=cell, layers=2, hidden=200, parameters=parameters, config=config, settings=settings)
    number = published(run)
    assert number is None if known is None else number.score == pytest.approx(known, abs=1e-3)
    config["data"]["symbols"] = "characters"
    assert published(run) is None


def test_importance_finds_known_shares_whatever_the_scale_of_the_values():
    """Of 2 a + b, with a and b from U[0, 1], a explains 4/5 of the variance and b 1/5; a enters as a learning rate."""
    pytest.importorskip("optuna")
    random = np.random.default_rng(0)
    a, b = random.uniform(size=(2, 150))
    names = random.choice(["sgd", "adam"], 150)
    settings = [
        {"rate": float(10 ** (4 * x - 5)), "b": float(y), "name": str(name), "layers": 1 + n % 3}
        for n, (x, y, name) in enumerate(zip(a, b, names, strict=True))
    ]
    shares = importance(settings, 2 * a + b)
    assert list(shares)[:2] == ["rate", "b"]
    assert shares["rate"] == pytest.approx(0.8, abs=0.06)
    assert shares["b"] == pytest.approx(0.2, abs=0.06)
    assert max(shares["name"], shares["layers"]) < 0.02


def test_hyperparameters_that_always_change_together_are_one():
    """Two of a kind would be given half of their share each, whichever of them the network heeds."""
    pytest.importorskip("optuna")
    random = np.random.default_rng(0)
    scales, rates = random.choice([0.3, 1.0, 2.8], 60), random.choice([0.1, 0.5, 2.0], 60)
    settings = [
        {"init.kernel_scale": float(a), "init.recurrent_scale": float(2 - a), "optimiser.rate": float(b)}
        for a, b in zip(scales, rates, strict=True)
    ]
    shares = importance(settings, scales)
    assert list(shares) == ["kernel_scale = recurrent_scale", "optimiser.rate"]
    assert shares["kernel_scale = recurrent_scale"] > 0.95


def test_importance_of_a_choice_among_names():
    pytest.importorskip("optuna")
    names = ["sgd", "adam", "rmsprop"] * 20
    settings = [{"name": name, "seed": float(n)} for n, name in enumerate(names)]
    shares = importance(settings, [len(name) for name in names])
    assert shares["name"] > 0.95


def test_few_settings_have_no_importance_and_without_optuna_it_says_so(tmp_path, monkeypatch):
    tried(tmp_path, "gru", [0.2, 0.3, 0.4])
    assert importances(found(tmp_path)[0]) == (
        {},
        ["Which hyperparameters matter takes 20 settings to tell: gru has 3."],
    )
    tried(tmp_path / "more", "gru", np.linspace(0.1, 0.3, 20))
    monkeypatch.setitem(sys.modules, "optuna", None)
    page = write_search([tmp_path / "more"]).read_text()
    assert "needs optuna: pip install &#x27;seqjax[search]&#x27;" in page


def test_the_page_holds_what_it_needs_and_shows_text_as_text(tmp_path):
    tried(tmp_path, "gru", np.linspace(0.1, 0.5, 8), title=HOSTILE)
    tried(tmp_path, "lstm", np.linspace(0.2, 0.5, 8), title=HOSTILE)
    page = write_search([tmp_path], baseline="lstm").read_text()
    reader = Reader(page)
    assert not {"script", "link", "img", "iframe"} & set(reader.tags)
    assert not re.search(r"@import|url\((?!#)", page)
    assert "</script><script>alert(1)</script>" in reader.text
    ids = [value for name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_a_cell_has_one_colour_on_the_page_whatever_cells_the_tasks_have(tmp_path):
    for length, cells in ((50, ("lru", "nas", "lstm_j")), (99, ("nas", "lstm_j"))):
        for cell in cells:
            tried(tmp_path, cell, np.linspace(0.1, 0.5, 4), overrides={"task.length": length})
    page = write_search([tmp_path], baseline="nas").read_text()
    found = set(re.findall(r'style="background:(#\w+)"></i>(\w+)</th>', page))
    assert len(found) == 3, found
    assert len({colour for colour, _ in found}) == 3


def test_settings_that_learned_nothing_are_not_ranked(tmp_path):
    tried(tmp_path, "gru", [0.9, 0.95])
    assert "No setting that has ended is better than the trivial answer" in write_search([tmp_path]).read_text()


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_command_prints_the_page_and_the_files_hold_the_numbers(tmp_path, capsys):
    tried(tmp_path / "runs", "gru", np.linspace(0.1, 0.5, 8))
    tried(tmp_path / "runs", "lstm", np.linspace(0.2, 0.6, 12))
    out = tmp_path / "out"
    assert search_command.main([str(tmp_path / "runs"), "--baseline=lstm", f"--out={out}"]) == 0
    said = capsys.readouterr().out.strip().splitlines()
    assert said[-1] == str(out / "search.html")
    names = {path.name for path in out.iterdir()}
    assert {"search.html", "search.csv", "expected_best.csv", "expected_best.svg", "expected_best.png"} <= names
    gru, lstm = rows(out / "search.csv")
    (search,) = found(tmp_path / "runs")
    assert (gru["cell"], lstm["cell"]) == ("gru", "lstm")
    assert float(gru["expected_trusted"]) == search.cell("gru").expected_at(2)
    assert (gru["pairs"], lstm["pairs"]) == ("8", "")
    curve = [row for row in rows(out / "expected_best.csv") if row["cell"] == "lstm"]
    assert [int(row["draws"]) for row in curve] == list(range(1, 13))
    assert float(curve[-1]["expected"]) == pytest.approx(0.2)


def test_the_terminal_shows_no_more_than_fits(tmp_path):
    for cell in ("lstm_j_no_forget", "gru"):
        tried(tmp_path, cell, np.linspace(0.1, 0.5, 8))
    console = Console(file=io.StringIO(), width=300)
    write_search([tmp_path], tmp_path / "out", "gru", console)
    lines = console.file.getvalue().splitlines()
    assert all(len(line) <= 120 for line in itertools.takewhile(lambda line: not line.startswith("With"), lines))
    assert any("lstm_j_no_forget" in line for line in lines)


def test_an_unknown_baseline_is_answered_with_the_nearest_name(tmp_path):
    tried(tmp_path, "gru", [0.2])
    with pytest.raises(UserError, match="no run is of the baseline cell 'gur'; did you mean 'gru'"):
        write_search([tmp_path], baseline="gur")


def test_it_does_not_import_jax():
    code = "import sys, seqjax.report.search_write, seqjax.sweeps.spaces; assert 'jax' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
