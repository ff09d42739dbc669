"""Stacked trials: each is the trial alone, however the others fare; what is stopped goes on to the same bits."""

import copy
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import tiny

from seqjax.results import RunDirectory
from seqjax.sweeps.stacks import stacked
from seqjax.training.loop import Loop, train
from seqjax.training.stack import Stack, program
from seqjax.training.step import Trainer
from seqjax.training.trial import resolve

# Members that differ in everything in which members may.
DIFFERENT = [
    {},
    {"seed": 1},
    {"optimiser__learning_rate": 0.02, "clip__value": 0.1},
    {"model__dropout": 0.5, "init__recurrent_scale": 0.5},
    {"seed": 2, "cell__options__forget_bias": 3.0, "init__kernel": "normal"},
]
ONE_DEVICE = jax.devices()[:1]
SHARE = {"cores": 1, "gpu": None, "host_devices": 1}


def configs(**settings):
    return [tiny.config(**{"model__dropout": 0.1, "cell__layers": 2, **settings, **own}) for own in DIFFERENT]


def trainers(members):
    first = Trainer(tiny.task(members[0]), members[0], ONE_DEVICE)
    return [first, *[first.twin(config) for config in members[1:]]]


def distances(members, steps):
    """The largest differences in any parameter between each member and the same trial alone, by steps taken."""
    together = trainers(members)
    program = Stack(together)
    states = [trainer.initialise() for trainer in together]
    alone = trainers(members)
    single = [trainer.initialise() for trainer in alone]
    alone[0].compile(single[0])  # for all: a twin has the bits of a trainer of its own, as the killed sweep below shows
    found = {}
    for stop in steps:
        while int(states[0].step) < stop:
            states = [state for state, _ in program.advance(states, [stop] * len(members))]
            single = [trainer.run(state, stop)[0] for trainer, state in zip(alone, single, strict=True)]
        found[stop] = [
            max(float(np.abs(a.parameters[name] - b.parameters[name]).max()) for name in a.parameters)
            for a, b in zip(states, single, strict=True)
        ]
    return found


def test_in_float64_every_member_is_the_trial_alone_over_a_thousand_steps(float64):
    (largest,) = distances(configs(train__steps_per_dispatch=50), [1000]).values()
    assert max(largest) < 1e-8


def test_in_float32_every_member_is_the_trial_alone_over_fifty_steps():
    (largest,) = distances(configs(), [50]).values()
    assert max(largest) < 1e-4


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "nas"])
def test_the_bits_of_a_member_do_not_depend_on_how_many_there_are(cell):
    """So that they do not depend on how many workers a sweep is divided among."""
    members = trainers([tiny.config(cell__name=cell, seed=seed, train__steps=10) for seed in range(5)])
    found = []
    for size, chosen in ((2, [0]), (2, [0, 1]), (3, [0, 1, 2]), (5, [0, 1, 2, 3, 4])):
        program = Stack([members[number] for number in chosen], chosen, size)
        ((state, _), *_) = program.advance([members[number].initialise() for number in chosen], [10] * len(chosen))
        found.append({name: np.asarray(value).tobytes() for name, value in state.parameters.items()})
    assert all(each == found[0] for each in found)


@pytest.mark.parametrize("cell", ["rnn", "gru", "mut1"])
def test_other_cells_and_the_regulariser_are_stacked_too(float64, cell):
    settings = {"cell__name": cell, "train__steps_per_dispatch": 25}
    if cell == "rnn":
        settings |= {"regulariser__name": "pascanu", "clip__name": "element", "optimiser__name": "momentum"}
    members = [tiny.config(**settings, seed=seed, regulariser__weight=1.0 + seed) for seed in range(3)]
    (largest,) = distances(members, [100]).values()
    assert max(largest) < 1e-9


def loops(place, members):
    """Of the runs under `place` that are not finished, made where they are not there; and their places."""
    found, slots = [], []
    for number, config in enumerate(members):
        run = RunDirectory(place / f"run{number}")
        if not run.exists():
            run.create({"config": config.to_dict()})
        if run.status()["state"] in ("done", "diverged"):
            continue
        trainer = found[0].trainer.twin(config) if found else Trainer(tiny.task(config), config, ONE_DEVICE)
        found.append(Loop(run, trainer.task, config, trainer=trainer))
        slots.append(number)
    return found, slots


def run_stack(place, members, stop_requested=lambda: False):
    """Train what is not finished, as the training process does; returns whether all is finished then."""
    found, slots = loops(place, members)
    outcomes = train(found, Stack([loop.trainer for loop in found], slots, len(members)), stop_requested)
    return "interrupted" not in outcomes, found


def files(place):
    """Metrics and samples of every run, to the byte."""
    paths = sorted([*place.glob("*/metrics.jsonl"), *place.glob("*/samples/*")])
    return {path.relative_to(place): path.read_bytes() for path in paths}


def troubled():
    """One that diverges in its first steps, one that stops early, one that goes on to its end."""
    members = [
        tiny.config(seed=seed, optimiser__name="sgd", clip__name="none", init__kernel="normal") for seed in (0, 1, 2)
    ]
    members[0].optimiser.learning_rate = 1e30
    members[1].optimiser.learning_rate = 0.0
    for config in members:
        config.train.patience = 2
    return members


def test_members_diverge_and_stop_each_for_itself(tmp_path):
    _, found = run_stack(tmp_path / "stack", troubled())
    assert [loop.outcome for loop in found] == ["diverged", "done", "done"]
    assert "is not finite" in found[0].run.status()["why"]
    assert "stopped early" in found[1].run.status()["why"]
    assert int(found[1].state.step) == 30 < int(found[2].state.step) == 40
    for number, config in enumerate(troubled()):
        (alone,), _ = loops(tmp_path / f"alone{number}", [config])
        assert alone.train() == found[number].outcome
        assert int(alone.state.step) == int(found[number].state.step)
        kinds = [[(r["kind"], r["step"]) for r in loop.run.metrics.read()] for loop in (alone, found[number])]
        assert kinds[0] == kinds[1]
        for one, other in zip(alone.run.metrics.read(), found[number].run.metrics.read(), strict=True):
            numbers = [name for name, value in one.items() if isinstance(value, float)]
            np.testing.assert_allclose([one[n] for n in numbers], [other[n] for n in numbers], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dispatches", [1, 5])
def test_a_stack_stopped_and_gone_on_with_is_the_stack_never_stopped(tmp_path, dispatches):
    run_stack(tmp_path / "whole", troubled())
    for _ in range(20):
        left = iter(range(dispatches))
        finished, _ = run_stack(tmp_path / "pieces", troubled(), lambda left=left: next(left, None) is None)
        if finished:
            break
    assert files(tmp_path / "pieces") == files(tmp_path / "whole")


def test_a_member_that_cannot_be_written_fails_and_the_others_go_on(tmp_path, monkeypatch):
    members = [tiny.config(seed=seed) for seed in range(3)]
    found, _ = loops(tmp_path, members)
    found[1].run.write_sample = lambda step, text: (_ for _ in ()).throw(OSError("no room"))
    outcomes = train(found, Stack([loop.trainer for loop in found]), lambda: False)
    assert outcomes == ["done", "failed", "done"]
    assert (found[1].run.status()["state"], found[1].run.status()["why"]) == ("failed", "OSError: no room")


def named(config):
    return program(config, jax.eval_shape(lambda: Trainer(tiny.task(config), config, ONE_DEVICE).template), "text")


def test_trials_of_one_program_differ_in_numbers_alone():
    assert len({named(config) for config in configs()}) == 1
    others = {"cell__hidden": 9, "task__batch": 2, "model__dropout": 0.0, "optimiser__name": "sgd", "train__steps": 35}
    for key, value in others.items():
        assert named(tiny.config(**{"model__dropout": 0.1, key: value})) != named(tiny.config(model__dropout=0.1)), key
    relu = tiny.config(cell__name="rnn")
    relu.cell.options.activation = "relu"
    assert named(relu) != named(tiny.config(cell__name="rnn"))


def queue(place, programs, environments=(), steps=10):
    runs = [RunDirectory(place / f"run{number:02d}") for number in range(len(programs))]
    for run, name in zip(runs, programs, strict=True):
        run.create({"program": name, "config": tiny.config().to_dict()})
    for number, names in environments:
        stack = {"since": 0} | ({"names": names} if names else {})
        runs[number].write_environment({"allocation": SHARE, "stack": stack})
        (runs[number].checkpoints / f"{steps:08d}").mkdir(parents=True)
    return runs


@pytest.mark.parametrize(
    ("programs", "workers", "sizes"),
    [
        ("a" * 16, 2, [8, 8]),
        ("a" * 16, 1, [16]),
        ("ab" * 4, 2, [4, 4]),
        ("a", 2, [2]),
        ("aabbcc", 2, [2, 2, 2, 2]),
        ("abc", 2, [2, 2, 2]),
    ],
)
def test_every_worker_gets_a_stack(tmp_path, programs, workers, sizes):
    runs = queue(tmp_path, programs)
    found = stacked(runs, workers)
    assert sorted(map(len, found)) == sizes
    assert sorted(run.name for stack in found for run in stack if run) == [run.name for run in runs]
    assert all(len({run.trial()["program"] for run in stack if run}) == 1 for stack in found)
    assert max(map(len, stacked(runs, workers, largest=1))) == 1


def test_what_began_in_a_stack_goes_on_in_it_and_what_began_alone_alone(tmp_path):
    names = ["run01", "run02", "run03"]
    runs = queue(tmp_path, "aaaaaa", [(1, names), (3, names), (4, None)])
    todo = [run for run in runs if run.name not in names] + [runs[1], runs[3]]  # run02 is finished
    assert placed(stacked(todo, 1)) == [["run00", "run05"], ["run04"], ["run01", None, "run03"]]


def test_a_member_made_anew_leaves_its_slot_empty(tmp_path):
    names = ["run00", "run01", "run02"]
    runs = queue(tmp_path, "aaa", [(0, names), (2, names)])
    assert placed(stacked(runs, 1)) == [["run00", None, "run02"], ["run01", None]]


def test_what_was_never_saved_is_placed_anew(tmp_path):
    names = ["run00", "run01", "run02"]
    runs = queue(tmp_path, "aaa", [(number, names) for number in range(3)])
    for run in runs:
        (run.checkpoints / "00000010").rmdir()
    assert placed(stacked(runs, 1, largest=2)) == [["run00", "run01"], ["run02", None]]


def test_at_a_rung_stacks_are_made_anew_once(tmp_path):
    names = ["run00", "run01", "run02", "run03"]
    runs = queue(tmp_path, "aaaa", [(number, names) for number in range(4)], steps=20)
    left = [runs[0], runs[3]]
    assert placed(stacked(left, 1)) == [["run00", None, None, "run03"]]
    assert placed(stacked(left, 1, since=20)) == [["run00", "run03"]]
    assert placed(stacked(left, 1, since=10)) == [["run00", None, None, "run03"]]  # they are beyond it
    for run in left:
        run.write_environment({"allocation": SHARE, "stack": {"since": 20, "names": ["run00", "run03"]}})
    assert placed(stacked([runs[3]], 1, since=20)) == [[None, "run03"]]


def test_larger_trials_are_placed_beside_any_that_had_the_same_cores(tmp_path):
    runs = queue(tmp_path, "aaaa", [(0, None), (1, None), (2, None)])
    for run in runs:
        run.write_trial({**run.trial(), "config": tiny.config(cell__hidden=80).to_dict()})
    runs[2].write_environment({"allocation": {**SHARE, "cores": 2}, "stack": {"since": 0}})
    assert placed(stacked(runs, 1)) == [["run00", "run01"], ["run02"], ["run03"]]


def placed(stacks):
    return [[run and run.name for run in stack] for stack in stacks]


def test_a_trial_names_its_program(tmp_path):
    (tmp_path / "text.txt").write_bytes(tiny.text())
    config = tiny.config(data__source="text_file", data__path=str(tmp_path / "text.txt"))
    other = copy.deepcopy(config)
    other.seed = 5
    known = {}
    assert resolve(config, known)["program"] == resolve(other, known)["program"]


def test_a_trial_among_others_is_resolved_as_alone(tmp_path):
    (tmp_path / "text.txt").write_bytes(tiny.text())
    settings = {"data__source": "text_file", "data__path": str(tmp_path / "text.txt"), "cell__parameters": 2000}
    others = (
        {"cell__name": "gru"},
        {"cell__name": "gru", "seed": 1},
        {"cell__name": "lstm"},
        {"cell__name": "lstm", "cell__parameters": 3000},
        {"cell__name": "lstm", "cell__options__forget_bias": 0.0},
        {"model__embedding": 4},
        {"model__embedding": 4, "model__tied": True},
        {"init__recurrent": "identity"},
        {"task__chunk": 5},
        {"model__dropout": 0.5},
    )
    configs = [tiny.config(**{**settings, **other}) for other in others]
    known = {}
    assert [resolve(config, known) for config in configs] == [resolve(config, {}) for config in configs]


@pytest.fixture
def sweep(tmp_path):
    """Launch four seeds in twos, as people do; returns the process."""
    (tmp_path / "text.txt").write_bytes(tiny.text())
    config = tmp_path / "four.py"
    config.write_text(
        "from configs import char_lm\n"
        "def get_config(variant=None):\n    return char_lm.get_config('text')\n"
        "def sweep_seeds():\n    return [{'seed': seed} for seed in range(4)]\n"
    )
    variables = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_PLATFORMS")}
    variables |= {"SEQJAX_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": os.getcwd()}

    def launch(runs, *options, **settings):
        settings = {"train__steps": 100, "train__eval_every": 50, **settings}
        settings = tiny.arguments(tmp_path / "text.txt", **settings)
        command = [sys.executable, "-m", "experiments.launch", f"--config={config}", *settings[1:]]
        command += ["--sweep=seeds", "--workers=2", f"--runs={tmp_path / runs}", *options]
        return subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return launch


@pytest.mark.parametrize("hidden", [8, 80], ids=["stacked", "one after another"])
def test_a_killed_sweep_goes_on_to_the_same_bits(tmp_path, sweep, hidden):
    """And to those of another number of workers; one after another, trials have the bits of a process of their own."""
    alone = ["--stack=1"] if hidden == 80 else ["--workers=1"]
    assert sweep("whole", *alone, cell__hidden=hidden).wait(300) == 0
    launched = sweep("killed", cell__hidden=hidden)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list((tmp_path / "killed").glob("*/checkpoints/0*")):
        time.sleep(0.05)
    launched.send_signal(signal.SIGKILL)
    launched.wait()
    assert sweep("killed", cell__hidden=hidden).wait(300) == 0
    runs = [RunDirectory(path) for path in pathlib.Path(tmp_path / "killed").glob("lstm-*")]
    assert sorted(run.status()["state"] for run in runs) == ["done"] * 4
    assert {len(run.environment()["stack"].get("names", "x")) for run in runs} == {2 if hidden == 8 else 1}
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_one_damaged_run_fails_alone(tmp_path, sweep):
    assert sweep("runs").wait(300) == 0
    runs = sorted((RunDirectory(path) for path in (tmp_path / "runs").glob("lstm-*")), key=lambda run: run.name)
    content = (runs[1].path / "environment.json").read_text()
    (runs[1].path / "environment.json").write_text(content.replace("python", "pythom", 1))
    assert sweep("runs", train__steps=150).wait(300) == 1
    assert [run.status()["state"] for run in runs] == ["done", "failed", "done", "done"]
    assert "is damaged" in runs[1].status()["why"]
