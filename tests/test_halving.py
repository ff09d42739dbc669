"""Successive halving: who goes on, who is stopped, and that nothing is lost by it."""

import math
import os

import pytest
import tiny

from experiments import launch
from seqjax.errors import UserError
from seqjax.results import RunDirectory
from seqjax.sweeps import halving


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("halving")
    (folder / "text.txt").write_bytes(tiny.text())
    (folder / "rates.py").write_text(
        "from configs import char_lm\n"
        "def get_config(variant=None):\n    return char_lm.get_config('text')\n"
        "def sweep_rates():\n"
        "    return [{'optimiser.learning_rate': rate} for rate in (0.02, 0.0, 0.002, 1e30, 0.005)]\n"
    )
    return folder


@pytest.fixture
def launched(folder, monkeypatch):
    """Launch the five rates, of which one never learns and one diverges; returns the exit code."""
    monkeypatch.setenv("SEQJAX_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.getcwd())

    def run(runs, *options, **settings):
        settings = tiny.arguments(folder / "text.txt", optimiser__name="sgd", clip__name="none", **settings)
        settings[0] = f"--config={folder / 'rates.py'}"
        return launch.main([*settings, "--sweep=rates", "--workers=2", f"--runs={folder / runs}", *options])

    return run


def states(folder):
    runs = [RunDirectory(path.parent) for path in folder.glob("*/config.json")]
    return {run.trial()["config"]["optimiser"]["learning_rate"]: run.status() for run in runs}


def measured(folder):
    return {path.parent.name: path.read_bytes() for path in folder.glob("*/metrics.jsonl")}


@pytest.mark.parametrize("hidden", [8, 80], ids=["stacked", "one after another"])
def test_the_worse_are_stopped_and_taken_up_again_and_lose_nothing(folder, launched, capsys, hidden):
    whole, halved = f"whole{hidden}", f"halved{hidden}"
    launched(whole, cell__hidden=hidden)
    everything = measured(folder / whole)
    assert launched(halved, "--rungs=10,20", "--keep=0.5", cell__hidden=hidden) == 0
    told = capsys.readouterr().out
    assert "step 10: 3 of 5 go on" in told
    assert "step 20: 2 of 3 go on" in told
    found = states(folder / halved)
    assert sorted(status["state"] for status in found.values()) == ["diverged", "done", "done", "stopped", "stopped"]
    assert found[0.0]["why"] == "at step 10 by successive halving: place 4 of 5"
    done = [rate for rate, status in found.items() if status["state"] == "done"]
    for name, lines in measured(folder / halved).items():
        rate = RunDirectory(folder / halved / name).trial()["config"]["optimiser"]["learning_rate"]
        assert (lines == everything[name]) == (rate in done or rate == 1e30)
        assert b'"final"' in lines or rate == 1e30
    before = measured(folder / halved)
    assert launched(halved, "--rungs=10,20", "--keep=0.5", cell__hidden=hidden) == 0
    assert (measured(folder / halved), states(folder / halved)) == (before, found)
    assert launched(halved, cell__hidden=hidden) == 0
    assert measured(folder / halved) == everything


def made(path, scores, state="interrupted", why=""):
    run = RunDirectory(path)
    run.create({"measure": {"name": "nats"}})
    with run.metrics.appending() as metrics:
        for step, score in scores.items():
            metrics.add({"kind": "validation", "step": step, "nats": score})
    run.set_status(state, why)
    return run


def test_the_best_score_up_to_the_rung_counts(tmp_path):
    runs = [
        made(tmp_path / "a", {10: 2.0, 20: 1.5}),
        made(tmp_path / "b", {10: 1.8, 20: 1.9}),
        made(tmp_path / "c", {10: 1.7}),
        made(tmp_path / "d", {10: 1.0}, "diverged"),
        made(tmp_path / "e", {20: 1.6, 30: 1.0}),
        made(tmp_path / "f", {10: 1.4}, "done", "stopped early"),
        made(tmp_path / "g", {10: math.nan, 20: 1.7}),
        made(tmp_path / "h", {10: math.nan, 20: math.inf}),
        made(tmp_path / "i", {10: 1.1, 20: 1.1}, "failed", "no room"),
    ]
    scores = [1.5, 1.8, math.inf, math.inf, 1.6, 1.4, 1.7, math.inf, 1.1]
    assert [halving.score(run, 20) for run in runs] == scores
    kept = halving.going_on(runs, 20, keep=2 / 9)
    assert [run.name for run in kept] == ["f", "a", "e"]  # e was beyond the rung before
    assert runs[1].status() == {"state": "stopped", "why": "at step 20 by successive halving: place 5 of 9"}
    assert runs[2].status()["state"] == "interrupted"  # it has yet to reach the rung
    assert [run.status()["state"] for run in runs[6:]] == ["stopped", "stopped", "failed"]


def test_rungs_need_validation_data(launched):
    with pytest.raises(UserError, match="and --rungs need validation data"):
        launched("unjudged", "--rungs=10", data__validation=0.0)


def test_trials_are_compared_within_a_value_of_a_key(tmp_path):
    runs = []
    for name, cell in (("a", "rnn"), ("b", "lstm"), ("c", "rnn")):
        run = RunDirectory(tmp_path / name)
        run.create({"config": tiny.config(cell__name=cell).to_dict()})
        runs.append(run)
    assert halving.groups(runs, "cell.name") == {"rnn": [runs[0], runs[2]], "lstm": [runs[1]]}
    assert halving.groups(runs, None) == {"": runs}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--rungs=10,5"], "--rungs takes growing numbers of steps"),
        (["--rungs=ten"], "--rungs takes growing numbers of steps"),
        (["--rungs=15"], "--rungs: 15 is not a multiple of train.eval_every, 10; take another step"),
        (["--rungs=15"], "or evaluate oftener with --config.train.eval_every=5"),
        (["--rungs=10", "--within=cell.nme"], "there is no config key 'cell.nme'; did you mean 'cell.name'"),
        (["--rungs=10", "--keep=0"], "--keep is 0.0"),
    ],
)
def test_rungs_that_make_no_sense_are_refused(launched, arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        launched("refused", *arguments)
