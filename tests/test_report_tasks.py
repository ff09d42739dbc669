"""Reports of tasks without a text: their own measures, baselines, success, lengths and probes."""

import copy
import io
import math
import re

from rich.console import Console

from seqjax.report import compare, write_report
from seqjax.report.tables import group_rows, print_leaderboards, run_rows
from seqjax.report.text import score
from seqjax.results import RunDirectory

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
    print_leaderboards(compare([runs]), console)
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
