"""Reports of tasks without a text: their own measures, baselines, success, lengths and probes."""

import copy
import csv
import io
import math
import re
import warnings
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet
import pytest
from rich.console import Console

from seqjax.report import compare, write_report
from seqjax.report.figures import group_curve, to_the_end
from seqjax.report.length_figure import success_figure
from seqjax.report.lengths import families
from seqjax.report.probes import panels
from seqjax.report.rows import wilson
from seqjax.report.tables import group_rows, run_rows
from seqjax.report.terminal import print_comparison
from seqjax.report.text import score
from seqjax.results import RunDirectory
from seqjax.sweeps.progress import Progress

CONFIG = {
    "seed": 0,
    "init_from": "",
    "cell": {"name": "rnn", "hidden": 50, "layers": 1, "parameters": 0, "options": {}},
    "optimiser": {"name": "sgd", "learning_rate": 0.01},
    "train": {"steps": 1000, "epochs": 0, "checkpoint_seconds": 60.0},
    "task": {"name": "temporal_order", "length": 50, "symbols": 2, "batch": 20},
    "probe": {"every": 0},
}
ERROR = {
    "name": "error",
    "unit": "of sequences wrong",
    "baseline": 0.75,
    "baseline_is": "guessing among 4 classes",
    "solved_below": 0.01,
    "solved_is": "under 1% of 10,000 sequences wrong",
}
MSE = {
    "name": "mse",
    "unit": "mean squared error",
    "baseline": 1 / 6,
    "baseline_is": "always answering 1",
    "solved_below": None,
    "solved_is": "",
}
YARDSTICKS = "baseline 0.75: guessing among 4 classes; solved: under 1% of 10,000 sequences wrong"


def make_run(runs, overrides=None, *, scores=(0.75, 0.4, 0.2), measure=ERROR, state="done", every=100, **more):
    """A run whose validation score is one of `scores` after each `every` steps; the last is final where it is done.
    `more`: `probes` (a dictionary), `corpus`, `task`, `title`, `why`, `seconds` (of a step).
    """
    config = copy.deepcopy(CONFIG)
    for key, value in (overrides or {}).items():
        group, _, leaf = key.rpartition(".")
        (config[group] if group else config)[leaf] = value
    length, cell = config["task"]["length"], config["cell"]
    name = f"{cell['name']}-length{length}-seed{config['seed']}"
    count = sum(path.is_dir() for path in runs.iterdir()) if runs.exists() else 0
    run = RunDirectory(runs / f"{name}-{count:03d}")
    trial = {
        "config": config,
        "corpus": more.get("corpus"),
        "task": more.get("task", {"problem": "temporal_order", "length": length, "symbols": 2}),
        "title": more.get("title", f"temporal order, 2 symbols, length {length}"),
        "measure": measure,
        "parameters": 60 * cell["hidden"],
        "code": "c0de",
    }
    run.create(trial)
    metric, solved, of_step = measure["name"], False, more.get("seconds", 0.01)
    with run.metrics.appending() as metrics, run.timing.appending() as timing:
        for n, value in enumerate(scores, 1):
            step, measured = n * every, {metric: value, "accuracy": 1 - value}
            metrics.add({"kind": "train", "step": step, "loss": 1.0, **measured, f"smoothed_{metric}": value})
            if more.get("probes"):
                metrics.add({"kind": "probe", "step": step, **more["probes"]})
            metrics.add({"kind": "validation", "step": step, **measured})
            if not solved and measure["solved_below"] is not None and value < measure["solved_below"]:
                solved = True
                metrics.add({"kind": "solved", "step": step})
            seconds = every * of_step
            timing.add({"step": step, "seconds": n * seconds, "dispatch": seconds, "steps": every, "total": seconds})
            run.write_sample(step, f"ccAcBc\ntarget AB, answer {n}")
        if state == "diverged":
            metrics.add({"kind": "diverged", "step": len(scores) * every + 1, "cause": "the loss"})
        if state == "done":
            for split in ("validation", "test"):
                metrics.add({"kind": "final", "split": split, "step": step, **measured})
    run.set_status(state, more.get("why", ""))
    return run


def fall(step, last, count=10):
    """Scores that fall from 0.75 to `last`, most quickly at `step` of `count`."""
    return [last + (0.75 - last) / (1 + math.exp(2 * (n - step))) for n in range(1, count + 1)]


def printed(runs, width=120):
    console = Console(file=io.StringIO(), width=width)
    print_comparison(compare([runs]), console)
    return console.file.getvalue()


def test_runs_of_another_length_or_measure_have_their_own_leaderboard(tmp_path):
    for length in (100, 20):
        make_run(tmp_path, {"task.length": length})
    make_run(tmp_path, measure={**ERROR, "name": "accuracy_loss"}, task={"problem": "temporal_order", "length": 20})
    boards = compare([tmp_path]).boards
    assert [(board.title[-3:].strip(), board.measure.name) for board in boards] == [
        ("20", "error"),
        ("100", "error"),
        ("50", "accuracy_loss"),
    ]


def test_generated_data_has_no_corpus_and_a_description_may_count_symbols(tmp_path):
    """The description of temporal order has a *number* of symbols where that of a text has one for each split."""
    make_run(tmp_path, scores=(), state="queued")
    (board,) = compare([tmp_path]).boards
    assert (board.corpus, board.first.counts, board.scored_on) == ({}, {}, "validation")
    assert "SHA-256" not in write_report([tmp_path]).read_text()


def test_bits_and_perplexity_are_of_texts_alone(tmp_path):
    make_run(tmp_path, scores=(0.5, 0.4), measure={**ERROR, "name": "nats", "unit": "nats per step"})
    page = write_report([tmp_path]).read_text()
    assert "perplexity" not in page
    assert ">bits<" not in page
    assert not {"mean_bits", "perplexity_of_mean"} & set(group_rows(compare([tmp_path]))[0])
    assert "train_bits" not in run_rows(compare([tmp_path]))[0]
    assert "bits" not in printed(tmp_path)


def test_other_metrics_that_all_runs_have_are_columns(tmp_path):
    make_run(tmp_path, scores=(0.5, 0.2))
    make_run(tmp_path, {"seed": 1}, scores=(0.5, 0.4))
    (board,) = compare([tmp_path]).boards
    assert board.other_metrics == ["accuracy"]
    assert re.search(r">accuracy</th>.*>0\.7000</td>", write_report([tmp_path]).read_text(), re.DOTALL)
    assert [row["validation_accuracy"] for row in run_rows(compare([tmp_path]))] == [0.8, 0.6]


def test_small_scores_keep_their_digits():
    assert [score(value) for value in (None, 0.0, 1.58734, 0.0123, 0.0012, 3.1234e-5)] == [
        "—",
        "0.0000",
        "1.5873",
        "0.0123",
        "0.0012",
        "3.12e-05",
    ]
    assert score(3.1234e-5, 1.44e-6) == "3.12e-05 ± 1.4e-06"


def successes(runs):
    """gru solves 2 of 3, lstm 3 of 3 with a worse mean, rnn diverges, mut1 still runs after it was solved."""
    for seed, last in enumerate((0.001, 0.001, 0.012)):
        make_run(runs, {"cell.name": "gru", "seed": seed}, scores=(0.75, last))
        make_run(runs, {"cell.name": "lstm", "seed": seed}, scores=(0.75, 0.5, 0.009)[seed - 3 :])
        make_run(runs, {"cell.name": "rnn", "seed": seed}, scores=(0.75, 0.009, 0.75), state="diverged")
    make_run(runs, {"cell.name": "mut1"}, scores=(0.75, 0.001), state="interrupted")
    return runs


def test_those_solved_most_often_come_first_and_diverged_runs_count(tmp_path):
    (board,) = compare([successes(tmp_path)]).boards
    said = [(group.label, group.solved, group.judged, group.seeds) for group in board.groups]
    assert said == [("lstm", 3, 3, 3), ("gru", 2, 3, 3), ("rnn", 0, 3, 0), ("mut1", 0, 0, 0)]
    assert board.groups[0].mean > board.groups[1].mean
    rows = group_rows(compare([tmp_path]))
    assert [(row["solved"], row["ended"], row["median_step_solved"]) for row in rows] == [
        (3, 3, 200.0),
        (2, 3, 200.0),
        (0, 3, None),
        (0, 0, None),
    ]
    assert {(row["metric"], row["scored_on"], row["baseline"], row["solved_below"]) for row in rows} == {
        ("error", "validation", 0.75, 0.01)
    }


def test_success_and_baseline_are_on_the_terminal_and_the_page(tmp_path):
    said = printed(successes(tmp_path))
    for line in (r"1 +lstm +3/3 +200 ", r"2 +gru +2/3 +200 ", r"\n +rnn +0/3 .*3 diverged", re.escape(YARDSTICKS)):
        assert re.search(line, said), line
    page = write_report([tmp_path]).read_text()
    for piece in ("solves the task in <strong>3 of 3 trials</strong>", ">0/3</td>", ">3 diverged</span>"):
        assert piece in page
    assert f'<p class="note">{YARDSTICKS}</p>' in page
    assert "<h3>Samples</h3>" in page
    assert "What they write" not in page


def test_nobody_solved_it(tmp_path):
    make_run(tmp_path)
    make_run(tmp_path, {"seed": 1}, state="diverged")
    assert "None of 2 trials that ended solved the task." in write_report([tmp_path]).read_text()


def test_only_diverged_runs_still_make_a_report(tmp_path):
    for seed in range(5):
        make_run(tmp_path, {"seed": seed}, scores=(), state="diverged", why="the loss is not finite")
    assert re.search(r"rnn +0/5 .*5 diverged", printed(tmp_path))
    assert ">0/5</td>" in write_report([tmp_path]).read_text()


def test_texts_have_no_column_of_success(tmp_path):
    make_run(tmp_path, measure={**MSE, "name": "nats", "unit": "nats per symbol"})
    assert "solved" not in printed(tmp_path)
    (row,) = group_rows(compare([tmp_path]))
    assert (row["solved"], row["ended"], row["mean_bits"]) == (None, None, pytest.approx(0.2 / math.log(2)))


@pytest.mark.parametrize(
    ("solved", "ended", "low", "high"), [(0, 5, 0.0, 0.4345), (5, 5, 0.5655, 1.0), (3, 10, 0.1078, 0.6032)]
)
def test_intervals_are_those_of_wilson(solved, ended, low, high):
    assert wilson(solved, ended) == pytest.approx((low, high), abs=1e-4)


def svg(runs, name="learning_curves"):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return (write_report([runs]).parent / f"{name}.svg").read_text()


def test_figures_name_the_unit_the_baseline_and_the_criterion(tmp_path):
    make_run(tmp_path)
    drawn = svg(tmp_path)
    for words in (
        "Validation error while training",
        "validation error (of sequences wrong)",
        "guessing among 4 classes (0.75)",
        "solved: under 1% of 10,000 sequences wrong",
    ):
        assert words in drawn
    assert "logarithmic" not in drawn


def test_legends_name_cells_alone_where_settings_would_be_cut_and_cells_are_enough(tmp_path):
    long = {"cell.name": "gru", "cell.hidden": 37, "optimiser.learning_rate": 0.123456789}
    long |= {"optimiser.momentum": 0.123456789, "optimiser.decay": 0.123456789}
    make_run(tmp_path)
    make_run(tmp_path, long)
    assert {"rnn", "gru"} <= set(re.findall(r">\s*([a-z]+)\s*</text>", svg(tmp_path)))
    make_run(tmp_path, long | {"cell.hidden": 38})
    drawn = svg(tmp_path)
    assert "hidden=37" in drawn
    assert "hidden=38" in drawn


def test_a_baseline_far_from_the_scores_is_not_drawn(tmp_path):
    make_run(tmp_path, scores=(0.02, 0.015), measure={**ERROR, "solved_below": None, "solved_is": ""})
    assert "guessing" not in svg(tmp_path)


@pytest.mark.parametrize(
    ("last", "words"), [(2e-5, "logarithmic axis"), (0.0, "logarithmic axis, linear below 0.001 to show 0")]
)
@pytest.mark.parametrize("name", ["learning_curves", "loss_by_time"])
def test_scores_over_decades_have_a_logarithmic_axis(tmp_path, last, words, name):
    for seed in (0, 1):
        make_run(tmp_path, {"seed": seed}, scores=(0.75, 0.1 + seed, 0.002, last), measure=MSE)
    assert words in svg(tmp_path, name)


@pytest.mark.parametrize("scores", [(0.0, 0.0), (0.75, 0.75), (0.5, 0.0), (0.3, 1e30)])
def test_odd_scores_draw_without_warnings(tmp_path, scores):
    make_run(tmp_path, scores=scores)
    make_run(tmp_path, {"seed": 1}, scores=scores)
    assert "<svg" in svg(tmp_path)


def test_a_run_that_stopped_when_solved_is_drawn_to_the_end(tmp_path):
    make_run(tmp_path, scores=(0.5, 0.0))
    make_run(tmp_path, {"seed": 1}, scores=(0.5, 0.5, 0.5, 0.4))
    (board,) = compare([tmp_path]).boards
    steps, means, _ = group_curve(to_the_end(board.runs, "validation"))
    assert steps.tolist() == [100, 200, 300, 400]
    assert means == pytest.approx([0.5, 0.25, 0.25, 0.2])
    assert group_curve(to_the_end(board.runs, "seconds"))[1] == pytest.approx([1, 2, 3, 4])
    assert "counts with its last score" in write_report([tmp_path]).read_text()


def lengths(runs, measure=ERROR):
    """lstm solves all of both lengths, rnn 2 of 2 short ones and none of the long, of which one diverges."""
    for length in (100, 20):
        for seed in (0, 1):
            make_run(
                runs, {"task.length": length, "cell.name": "lstm", "seed": seed}, scores=(0.7, 0.0), measure=measure
            )
            last, state = (0.001, "done") if length == 20 else (0.6, ("done", "diverged")[seed])
            make_run(runs, {"task.length": length, "seed": seed}, scores=(0.7, last), state=state, measure=measure)
    return runs


def test_success_by_length(tmp_path):
    out = write_report([lengths(tmp_path)]).parent
    with open(out / "success_by_length.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], row["length"], row["seeds"], row["solved"], row["median_step_solved"]) for row in rows] == [
        ("lstm", "20", "2", "2", "200.0"),
        ("lstm", "100", "2", "2", "200.0"),
        ("rnn", "20", "2", "2", "200.0"),
        ("rnn", "100", "2", "0", ""),
    ]
    low, high = wilson(0, 2)
    assert [float(rows[-1][name]) for name in ("fraction", "low", "high", "mean")] == [0.0, low, high, 0.6]
    assert {row["task"] for row in rows} == {"temporal order, 2 symbols"}
    assert (out / "success_by_length.png").exists()
    page = (out / "report.html").read_text()
    assert page.index("Success against length: temporal order, 2 symbols") < page.index("Leaderboard")
    assert "Length 100 is the longest that every trial of a model solved: lstm." in page
    said = printed(tmp_path)
    assert re.search(r"model +20 +100", said)
    assert re.search(r"rnn +2/2 +0/2\s", said)


def test_score_by_length_where_nothing_says_what_success_is(tmp_path):
    lengths(tmp_path, MSE)
    assert "validation mean squared error" in svg(tmp_path, "score_by_length")
    assert re.search(r"lstm +0\.0000 ± 0\.0000 +0\.0000 ± 0\.0000", printed(tmp_path))


def test_lines_that_coincide_stay_visible(tmp_path):
    for cell in ("lstm", "gru", "rnn"):
        for length in (20, 100):
            make_run(tmp_path, {"task.length": length, "cell.name": cell}, scores=(0.7, 0.0))
    (family,) = families(compare([tmp_path]))
    (axes,) = success_figure(family).axes
    lines = [tuple(line.get_ydata()) for line in axes.lines]
    assert len(set(lines)) == len(lines) == 3
    assert np.ptp(lines) < 0.05
    assert len({line.get_xdata()[0] for line in axes.lines}) == 3


def test_problems_that_differ_in_more_than_the_length_are_not_one_line(tmp_path):
    make_run(tmp_path, {"task.length": 20})
    make_run(tmp_path, {"task.length": 50}, task={"problem": "temporal_order", "length": 50, "symbols": 3})
    assert not families(compare([tmp_path]))
    assert not (write_report([tmp_path]).parent / "success_by_length.csv").exists()


def test_settings_that_vary_name_the_lines(tmp_path):
    for length in (20, 50):
        for rate in (0.1, 0.01):
            make_run(tmp_path, {"task.length": length, "optimiser.learning_rate": rate})
    (family,) = families(compare([tmp_path]))
    assert sorted(line.label for line in family.lines) == ["rnn  learning_rate=0.01", "rnn  learning_rate=0.1"]
    assert family.lengths == [20, 50]


def test_tables_of_tasks_say_what_the_rows_say(tmp_path):
    lengths(tmp_path)
    comparison = compare([tmp_path])
    out = write_report([tmp_path]).parent
    for name, rows in (("runs", run_rows(comparison)), ("leaderboard", group_rows(comparison))):
        assert pyarrow.parquet.read_table(out / f"{name}.parquet").to_pylist() == rows


def probes(layers=1, lags=(0, 1, 8)):
    """Of an LSTM."""
    found = {}
    for layer in range(layers):
        for state in ("memory", "hidden"):
            found |= {f"layer{layer}.gradient.{state}.lag{lag}": 0.5**lag for lag in lags}
        found |= {f"layer{layer}.gate.{name}": 0.5 for name in ("forget", "input", "output")}
        found[f"layer{layer}.spectral_radius.u"] = 0.95
    return found


def test_probes_are_drawn(tmp_path):
    for seed in (0, 1):
        make_run(tmp_path, {"seed": seed}, probes=probes())
    assert "lag 8" in svg(tmp_path, "gradients_by_lag")
    assert "rnn, memory" in svg(tmp_path, "gradients_by_lag")
    assert "forget" in svg(tmp_path, "gates")
    assert "largest |eigenvalue|" in svg(tmp_path, "spectral_radii")
    page = write_report([tmp_path]).read_text()
    assert "the gradient vanishes" in page
    assert "first layer" not in page


def test_probes_are_means_over_seeds(tmp_path):
    for seed, value in enumerate((0.2, 0.6)):
        make_run(tmp_path, {"seed": seed}, probes={"layer0.gate.forget": value})
    (board,) = compare([tmp_path]).boards
    (panel,) = panels(board.groups[0], "gate")
    ((steps, values),) = panel.curves.values()
    assert (steps.tolist(), values.tolist()) == ([100, 200, 300], pytest.approx([0.4] * 3))


def test_too_many_lines_leave_the_first_layer(tmp_path):
    make_run(tmp_path, probes=probes(layers=3, lags=range(20)))
    page = write_report([tmp_path]).read_text()
    assert page.count("Only the first layer is shown.") == 2
    assert "8 of 20 lines are shown." in page
    assert "layer 2" not in svg(tmp_path, "gates")
    assert "layer 3" in svg(tmp_path, "spectral_radii")


@pytest.mark.parametrize("value", [0.0, math.inf, 1e-38])
def test_gradients_that_vanish_or_explode_draw_without_warnings(tmp_path, value):
    make_run(tmp_path, probes={"layer0.gradient.hidden.lag0": 1.0, "layer0.gradient.hidden.lag1": value})
    assert "lag 0" in svg(tmp_path, "gradients_by_lag")


def test_progress_names_the_measure_and_says_when_a_run_solved_the_task(tmp_path):
    console = Console(file=io.StringIO(), width=120)
    runs = [
        make_run(tmp_path, scores=(0.75, 0.005, 0.004)),
        make_run(tmp_path, {"seed": 1}, scores=(0.75, 0.005), why="solved at step 200"),
        make_run(tmp_path, {"seed": 2}, scores=(0.75, 0.5)),
        make_run(tmp_path, {"seed": 3}, scores=(0.75,), state="diverged", why="the loss is not finite"),
    ]
    Progress(console, 4).watch([], runs)
    assert [line.split(" ", 2)[2] for line in console.file.getvalue().splitlines()] == [
        "done 0.004 error (solved at step 200)",
        "done 0.005 error (solved at step 200)",
        "done 0.5000 error",
        "diverged 0.7500 error (the loss is not finite)",
    ]


def test_progress_shows_the_last_score_where_the_last_record_is_another(tmp_path):
    run = make_run(tmp_path, scores=(0.75,), state="running")
    progress = Progress(Console(file=io.StringIO()), 1)
    assert progress._row(SimpleNamespace(runs=[run]))[:3] == (run.name, "100/1000", "0.7500 error (validation)")
    with run.metrics.appending() as metrics:
        metrics.add({"kind": "probe", "step": 100, **{f"layer0.gradient.hidden.lag{n}": 1 / 3 for n in range(200)}})
    assert progress._row(SimpleNamespace(runs=[run]))[2] == "0.7500 error (validation)"


def test_progress_shows_the_trial_whose_turn_it_is(tmp_path):
    states = ("done", "interrupted", "failed", "running", "queued")
    runs = [make_run(tmp_path, {"seed": seed}, scores=(0.75,), state=state) for seed, state in enumerate(states)]
    with runs[3].lock():  # without its process it would not be running
        row = Progress(Console(file=io.StringIO()), 5)._row(SimpleNamespace(runs=runs))
    assert row[0] == f"{runs[3].name} and 1 more"
