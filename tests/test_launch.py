"""The commands as people use them: processes, signals, run directories."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tiny

import seqjax
from experiments import evaluate, export, launch, sample
from seqjax.config import load_config, override
from seqjax.errors import UserError
from seqjax.results import RunDirectory, find_runs, read_json, write_json
from seqjax.sweeps.expand import expand
from seqjax.sweeps.launch import plan

LAUNCH = [sys.executable, "-m", "experiments.launch"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a text, and a cache of prepared texts and compiled programs for all tests here."""
    folder = tmp_path_factory.mktemp("launch")
    (folder / "text.txt").write_bytes(tiny.text())
    before = os.environ.get("SEQJAX_CACHE_DIR")
    os.environ["SEQJAX_CACHE_DIR"] = str(folder / "cache")
    yield folder
    os.environ.pop("SEQJAX_CACHE_DIR")
    if before:
        os.environ["SEQJAX_CACHE_DIR"] = before


def command(folder, runs, *extra, **settings):
    return [*LAUNCH, *tiny.arguments(folder / "text.txt", **settings), f"--runs={folder / runs}", *extra]


def environment():
    return {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_PLATFORMS")}


def call(arguments):
    return subprocess.run(arguments, capture_output=True, text=True, env=environment(), check=False, timeout=300)


@pytest.fixture(scope="module")
def swept(folder):
    """A finished sweep of two cells and two seeds."""
    config = folder / "two.py"
    config.write_text(
        "from configs import char_lm\n"
        "def get_config(variant=None):\n    return char_lm.get_config('text')\n"
        "def sweep_cells():\n    yield {'cell.name': 'rnn'}\n    yield {'cell.name': 'gru'}\n"
        "sweep_seeds = char_lm.sweep_seeds\n"
    )
    arguments = command(folder, "swept", "--sweep=cells", "--sweep=seeds", "--workers=2")
    arguments[3] = f"--config={config}"
    return arguments, call(arguments)


def test_a_sweep_ends_with_a_leaderboard_and_a_report(folder, swept):
    _, ended = swept
    assert ended.returncode == 0, ended.stderr
    runs = find_runs([folder / "swept"])
    assert [run.status()["state"] for run in runs] == ["done"] * 4
    assert {(r.trial()["config"]["cell"]["name"], r.trial()["config"]["seed"]) for r in runs} == {
        (cell, seed) for cell in ("rnn", "gru") for seed in (0, 1)
    }
    assert "[4/4]" in ended.stdout
    last = ended.stdout.strip().splitlines()[-1]
    assert last.startswith("report: ")
    assert pathlib.Path(last.removeprefix("report: ")).is_file()
    for run in runs:  # the two seeds of a cell share a process
        environment = run.environment()
        stack = environment["stack"]["names"]
        assert run.name in stack
        assert {name.partition("-")[0] for name in stack} == {run.trial()["config"]["cell"]["name"]}
        assert environment["allocation"] == {"cores": 1, "host_devices": 1, "gpu": False}
    assert not (folder / "swept" / "rnn").exists()


def test_finished_trials_are_not_run_again(folder, swept):
    arguments, _ = swept
    before = {run.name: run.metrics.path.stat().st_mtime_ns for run in find_runs([folder / "swept"])}
    again = call(arguments)
    assert "4 trials: 0 to run, 4 finished before" in again.stdout
    assert before == {run.name: run.metrics.path.stat().st_mtime_ns for run in find_runs([folder / "swept"])}


def trial(folder, runs, **settings) -> RunDirectory:
    """A run directory made and queued by the launcher's own planning."""
    return planned(folder, runs, **settings).runs[0]


def planned(folder, runs, **settings):
    """The launcher's plan for one trial."""
    config, _ = load_config("configs/char_lm.py:text")
    for argument in tiny.arguments(folder / "text.txt", **settings)[1:]:
        key, _, value = argument.removeprefix("--config.").partition("=")
        override(config, key, value)
    return plan([config], folder / runs, rerun=False)


def train(run, kill=None, at_step=0):
    """Run the trial's process; send it a signal once it has passed a step. Returns its exit code."""
    arguments = [sys.executable, "-m", "seqjax.training", str(run.path), "--cores=0"]
    variables = {**environment(), "JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": f"{run.path.parent}/../compiled"}
    process = subprocess.Popen(arguments, env=variables, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while kill and process.poll() is None and time.monotonic() < deadline:
        if (run.timing.last() or {"step": -1})["step"] >= at_step:
            process.send_signal(kill)
            break
        time.sleep(0.001)
    return process.wait(120)


def outcome(run):
    newest = max(path for path in run.checkpoints.iterdir() if path.name.isdecimal())
    weights = seqjax.load(run.path).weights()
    return run.metrics.path.read_bytes(), run.samples(), newest.name, {k: v.tobytes() for k, v in weights.items()}


def test_killed_at_any_moment_and_started_again_gives_the_same_bits(folder):
    settings = {"train.steps": 100, "cell.name": "lstm"}
    whole = trial(folder, "whole", **settings)
    assert train(whole) == 0
    killed = trial(folder, "killed", **settings)
    codes = [train(killed, signal.SIGKILL, 5), train(killed, signal.SIGTERM, 40), train(killed, signal.SIGKILL, 65)]
    assert codes == [-9, 3, -9]
    assert killed.status() == {"state": "interrupted", "why": "its process is gone"}
    assert train(killed) == 0
    assert outcome(killed) == outcome(whole)


def test_ctrl_c_saves_and_the_same_command_goes_on(folder):
    arguments = command(folder, "interrupted", **{"train.steps": 3000, "train.eval_every": 1000})
    process = subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        runs = list((folder / "interrupted").glob("*/config.json"))
        if runs and (RunDirectory(runs[0].parent).timing.last() or {"step": 0})["step"] >= 20:
            break
        time.sleep(0.05)
    second = call(command(folder, "interrupted", **{"train.steps": 3000}))
    assert second.returncode == 2
    assert "another launch is at work on" in second.stderr
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.strip() == "stopped; the same command goes on from here"
    (run,) = find_runs([folder / "interrupted"])
    step = run.timing.last()["step"]
    assert run.status()["state"] == "interrupted"
    assert 20 <= step < 3000
    assert (run.checkpoints / f"{step:08d}" / "manifest.json").exists()


def test_a_trial_whose_process_is_killed_goes_on_in_another(folder):
    arguments = command(folder, "dying", "--sweep=seeds", "--workers=1", "--stack=1", **{"train.steps": 300})
    process = subprocess.Popen(
        arguments, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    deadline, victim = time.monotonic() + 120, None
    while victim is None and time.monotonic() < deadline:
        found = [RunDirectory(p.parent) for p in (folder / "dying").glob("*seed0*/config.json")]
        if found and (found[0].timing.last() or {"step": 0})["step"] >= 20:
            children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            victim = int(children[0])
            os.kill(victim, signal.SIGKILL)
        time.sleep(0.02)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert [run.status()["state"] for run in find_runs([folder / "dying"])] == ["done", "done"]
    assert "ended by SIGKILL (out of memory?); it is started again" in output


def test_a_run_that_failed_before_its_first_checkpoint_is_made_by_the_code_that_trains_it(folder):
    run = trial(folder, "mended", **{"train.steps": 5})
    code = run.trial()["code"]
    write_json(run.path / "config.json", {**read_json(run.path / "config.json"), "code": "with a bug"})
    run.set_status("failed", "a bug")
    again = planned(folder, "mended", **{"train.steps": 5})
    assert (again.notes, [r.path for r in again.todo]) == ([], [run.path])
    assert run.trial()["code"] == code


def test_a_process_waits_for_the_one_before_it_to_end(folder):
    run = trial(folder, "waiting", **{"train.steps": 5})
    arguments = [sys.executable, "-m", "seqjax.training", str(run.path), "--cores=0", f"--parent={os.getpid()}"]
    with run.lock():
        process = subprocess.Popen(arguments, env={**environment(), "JAX_PLATFORMS": "cpu"}, stderr=subprocess.DEVNULL)
        time.sleep(3)
        assert process.poll() is None
        assert run.timing.last() is None
    assert process.wait(120) == 0
    assert run.status()["state"] == "done"


def test_a_process_whose_launcher_is_gone_saves_itself_and_ends(folder):
    run = trial(folder, "orphan", **{"train.steps": 50})
    arguments = [sys.executable, "-m", "seqjax.training", str(run.path), "--cores=0", "--parent=1"]
    ended = subprocess.run(arguments, env={**environment(), "JAX_PLATFORMS": "cpu"}, check=False, capture_output=True)
    assert ended.returncode == 3
    assert run.status()["state"] == "interrupted"


def test_trials_of_other_code_are_stale_until_rerun(folder):
    arguments = command(folder, "stale", **{"train.steps": 10})
    assert call(arguments).returncode == 0
    (run,) = find_runs([folder / "stale"])
    record = read_json(run.path / "config.json")
    write_json(run.path / "config.json", {**record, "code": "other"})
    told = call(arguments)
    assert f"{run.name} is stale: it was trained by other code than today's; --rerun trains it again" in told.stdout
    assert "0 to run, 1 finished before" in told.stdout
    assert "1 to run" in call([*arguments, "--rerun"]).stdout
    (again,) = find_runs([folder / "stale"])
    assert again.trial()["code"] == record["code"]
    assert list((folder / "stale").glob(f".{run.name}.old*/config.json"))


def test_a_changed_text_is_another_trial_and_a_longer_run_the_same(folder):
    run = trial(folder, "identity", **{"train.steps": 10})
    assert trial(folder, "identity", **{"train.steps": 20}).path == run.path
    assert run.trial()["config"]["train"]["steps"] == 20
    with pytest.raises(UserError, match=r"is the same trial with train\.steps = 20, more than the 10 asked for"):
        trial(folder, "identity", **{"train.steps": 10})
    assert trial(folder, "identity", **{"optimiser.learning_rate": 0.1}).path != run.path
    cosine = {"schedule.name": "cosine"}
    assert trial(folder, "identity", **cosine).path != trial(folder, "identity", **cosine, **{"train.steps": 9}).path
    (folder / "text.txt").write_bytes(tiny.text(seed=1))
    try:
        changed = planned(folder, "identity", **{"train.steps": 20})
        assert changed.runs[0].path != run.path
        assert changed.notes == [
            f"{run.name} is stale: it was trained on other data than today's; a new run replaces it"
        ]
    finally:
        (folder / "text.txt").write_bytes(tiny.text())


def test_a_finished_run_can_be_loaded_sampled_scored_exported_and_started_from(folder, swept, capsys, tmp_path):
    run = next(r for r in find_runs([folder / "swept"]) if r.name.startswith("gru") and "seed0" in r.name)
    loaded = seqjax.load(run.path)
    assert loaded.config.cell.name == "gru"
    _, logits = loaded.model(loaded.vocabulary.encode("the cat"))
    assert logits.shape == (7, len(loaded.vocabulary))

    sample.main([str(run.path), "--prompt=the ", "--length=15", "--seed=2", "--temperature=0.5", "--top-k=3"])
    assert capsys.readouterr().out.rstrip("\n") == loaded.sample("the ", seed=2, length=15, temperature=0.5, top_k=3)

    evaluate.main([str(run.path)])
    final = {r["split"]: r["nats"] for r in run.metrics.read() if r["kind"] == "final"}
    assert f"symbols: nats {final['validation']:.4f}, bits" in capsys.readouterr().out
    text = tmp_path / "other.txt"
    text.write_text("the cat sat on a mat.\n")
    evaluate.main([str(run.path), f"--text={text}"])
    assert f"{text}, 22 symbols: nats " in capsys.readouterr().out

    export.main([str(run.path), f"--out={tmp_path / 'w.npz'}"])
    with np.load(tmp_path / "w.npz", allow_pickle=False) as saved:
        assert dict(saved.items()).keys() == loaded.weights().keys()
        for name, value in loaded.weights().items():
            np.testing.assert_array_equal(saved[name], value)

    still = {"cell.name": "gru", "init_from": run.path, "train.steps": 5, "optimiser.learning_rate": 0}
    started = trial(folder, "started", **still)
    assert train(started) == 0
    assert [r["nats"] for r in started.metrics.read() if r.get("split") == "validation"] == [final["validation"]]
    unlike = folder / "unlike.txt"
    unlike.write_bytes(tiny.text().replace(b"c", b"k"))
    with pytest.raises(UserError, match="whose vocabulary is not that of this run's text"):
        trial(folder, "started", **{"cell.name": "gru", "init_from": run.path, "data.path": unlike})
    with pytest.raises(UserError, match="init_from names a run whose network has another shape"):
        trial(folder, "started", **{"cell.name": "gru", "cell.hidden": 9, "init_from": run.path})


WRONG = {
    "--config=configs/char_ln.py": "there is no config file 'configs/char_ln.py'",
    "--config=README.md": "the config file 'README.md' is not a Python file",
    "--config=configs/char_lm.py:defalt": "has no variant 'defalt'; did you mean 'default'?",
    "--config=configs/char_lm.py --config.cell.nme=gru": "no config key 'cell.nme'; did you mean 'cell.name'?",
    "--config=configs/char_lm.py --config.cell=gru": "config key 'cell' is a group of keys: set one of",
    "--config=configs/char_lm.py --config.cell.name=gruu": "unknown cell 'gruu'; did you mean 'gru'?",
    "--config=configs/char_lm.py --config.task.name=charlm": "unknown task 'charlm'; did you mean 'char_lm'?",
    "--config=configs/char_lm.py --config.optimiser.name=adm": "unknown optimiser.name 'adm'; did you mean 'adam'?",
    "--config=configs/char_lm.py --config.cell.hidden=0": "'cell.hidden' is 0; it should be at least 1",
    "--config=configs/char_lm.py --config.cell.hidden=big": "'cell.hidden' takes a whole number, not 'big'",
    "--config=configs/char_lm.py --config.optimiser.learning_rate=fast": "takes a number, not 'fast'",
    "--config=configs/char_lm.py --config.model.tied=maybe": "takes true or false, not 'maybe'",
    "--config=configs/char_lm.py --config.cell.hidden": "--config.cell.hidden needs a value",
    "--config=configs/char_lm.py --sweep=cell": "this config has no sweep 'cell'; did you mean 'cells'?",
    "--config=configs/char_lm.py --sweep=seeds --sweep=seeds": "the sweep 'seeds' is asked for twice",
    "--config=configs/char_lm.py --workers=0": "--workers is 0; it should be at least 1",
    "--config=configs/char_lm.py --wrkers=2": "unrecognized arguments: --wrkers=2",
    "--config=configs/char_lm.py:text": "needs",
    "--config=configs/char_lm.py:text --config.data.path=no.txt": "no.txt",
    "--config=configs/char_lm.py --config.data.source=python": "did you mean 'python_stdlib'?",
    "--config=configs/char_lm.py --config.sample.prompt=日本": "holds '日', '本', which the training text did not",
    "--config=configs/char_lm.py --config.init_from=nowhere": "there is no run directory",
    "--config=configs/char_lm.py --config.train.patience=2 --config.data.validation=0": "need validation data",
    "--config=configs/char_lm.py --config.cell.parameters=5": "cell.parameters is 5, but lstm has",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_input_is_one_sentence(folder, arguments):
    with pytest.raises(UserError) as raised:
        launch.main([*arguments.split(), f"--runs={folder / 'wrong'}"])
    assert WRONG[arguments] in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not list((folder / "wrong").glob("*/config.json"))


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"", "empty"), (b"short", "the training text has 4 symbols; 4 lanes of at least")]
)
def test_texts_too_short(folder, content, sentence):
    path = folder / "short.txt"
    path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        launch.main([*tiny.arguments(path), f"--runs={folder / 'wrong'}"])
    assert sentence in str(raised.value)


def test_a_runs_directory_that_cannot_be_written(folder):
    (folder / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        launch.main([*tiny.arguments(folder / "text.txt"), f"--runs={folder / 'file' / 'runs'}"])


def test_errors_are_printed_without_a_traceback_and_exit_with_2(folder):
    ended = call([*LAUNCH, "--config=nowhere.py"])
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: there is no config file 'nowhere.py'")
    assert "Traceback" not in ended.stderr
    assert "Traceback" in call([*LAUNCH, "--config=nowhere.py", "--debug"]).stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--prompt=XYZ"], "the prompt 'XYZ' holds 'X', 'Y', 'Z'"),
        (["--temperature=-1"], "--temperature is -1.0; it should be at least 0"),
        (["--length=0"], "--length is 0; it should be at least 1"),
        (["--temperature=warm"], "invalid float value: 'warm'"),
    ],
)
def test_wrong_input_to_sample(folder, swept, arguments, sentence):
    with pytest.raises(UserError) as raised:
        sample.main([str(find_runs([folder / "swept"])[0].path), *arguments])
    assert sentence in str(raised.value)


def test_runs_that_cannot_be_used(folder, swept, tmp_path):
    queued = trial(folder, "queued")
    with pytest.raises(UserError, match="has no checkpoint to read weights from"):
        seqjax.load(queued.path)
    with pytest.raises(UserError, match=r"is no run directory: .*config\.json is missing"):
        seqjax.load(tmp_path)
    with pytest.raises(UserError, match="there is no run directory"):
        sample.main([str(tmp_path / "none")])
    run = find_runs([folder / "swept"])[0]
    with pytest.raises(UserError, match=r"unknown split 'tests'; did you mean 'test'\?"):
        evaluate.main([str(run.path), "--split=tests"])
    with pytest.raises(UserError, match=r"there is no file"):
        evaluate.main([str(run.path), "--text=nowhere.txt"])


def test_sweeps_combine_as_a_product_the_last_slowest():
    config, sweeps = load_config("configs/char_lm.py")
    points = [(c.cell.name, c.seed) for c in expand(config, sweeps, ["cells", "seeds"])]
    assert points == [(cell, seed) for seed in (0, 1) for cell in ("rnn", "lstm", "gru", "mut1", "mut2", "mut3")]
    assert len(expand(config, sweeps, [])) == 1


def test_sweeps_that_do_not_fit():
    config, _ = load_config("configs/char_lm.py")
    ones, twos = (lambda: [{"seed": 1}]), (lambda: [{"seed": 2}])
    with pytest.raises(UserError, match="the sweeps 'ones' and 'twos' both set seed"):
        expand(config, {"ones": ones, "twos": twos}, ["ones", "twos"])
    with pytest.raises(UserError, match="the sweep 'none' yields nothing"):
        expand(config, {"none": list}, ["none"])
    with pytest.raises(UserError, match="the sweep 'bare' yields 3; it should yield overrides"):
        expand(config, {"bare": lambda: [3]}, ["bare"])


def test_metrics_hold_no_wall_clock(folder, swept):
    run = find_runs([folder / "swept"])[0]
    assert not [r for r in run.metrics.read() if {"seconds", "time"} & r.keys()]
    assert json.loads((run.path / "status.json").read_text())["state"] == "done"
