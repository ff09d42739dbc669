"""The training loop and its files: exact resume, early stopping, plateau, divergence, damaged checkpoints."""

import json
import logging
import shutil

import jax
import numpy as np
import pytest
import tiny

from seqjax.errors import UserError
from seqjax.results import RunDirectory
from seqjax.training import checkpoints
from seqjax.training.loop import Loop


def start(path, config, task=None) -> Loop:
    run = RunDirectory(path)
    if not run.exists():
        run.create({"config": config.to_dict()})
    return Loop(run, task or tiny.task(config), config)


def stop_after(dispatches):
    left = iter(range(dispatches))
    return lambda: next(left, None) is None


def outcome(loop):
    """All that must be the same to the bit."""
    arrays = checkpoints.to_arrays({"state": loop.state, "best": loop.best})
    return loop.run.metrics.path.read_bytes(), loop.run.samples(), {k: v.tobytes() for k, v in arrays.items()}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    loop = start(tmp_path_factory.mktemp("whole") / "run", tiny.config(cell__layers=2, model__dropout=0.1))
    assert loop.train() == "done"
    return outcome(loop)


@pytest.mark.parametrize("dispatches", [1, 2, 3, 7])
def test_a_run_stopped_and_gone_on_with_is_the_run_never_stopped(tmp_path, uninterrupted, dispatches):
    config = tiny.config(cell__layers=2, model__dropout=0.1)
    for _ in range(20):
        loop = start(tmp_path / "run", config)
        if loop.train(stop_after(dispatches)) == "done":
            break
        assert loop.run.status()["state"] == "interrupted"
    lines = {"metrics.jsonl": len(loop.run.metrics.read()), "timing.jsonl": len(loop.run.timing.read())}
    assert loop.run.status() == {"state": "done", "why": "", "lines": lines}
    assert outcome(loop) == uninterrupted


def test_what_was_written_after_the_checkpoint_is_written_again(tmp_path, uninterrupted):
    """As after SIGKILL: lines, a torn line and a sample that the checkpoint does not know of."""
    config = tiny.config(cell__layers=2, model__dropout=0.1)
    loop = start(tmp_path / "run", config)
    loop.train(stop_after(3))
    with loop.run.metrics.appending() as metrics:
        metrics.add({"kind": "train", "step": 20, "nats": 1.0})
    with open(loop.run.metrics.path, "ab") as file:
        file.write(b"0badf00d {tor")
    loop.run.write_sample(20, "never written")
    loop = start(tmp_path / "run", config)
    assert loop.train() == "done"
    assert outcome(loop) == uninterrupted


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damaged_ways():
    return {
        "flipped bit": lambda place: flip(max(place.rglob("d/*"), key=lambda f: f.stat().st_size)),
        "flipped bit in the manifest": lambda place: flip(place / "manifest.json"),
        "missing array file": lambda place: max(place.rglob("d/*"), key=lambda f: f.stat().st_size).unlink(),
        "no manifest": lambda place: (place / "manifest.json").unlink(),
        "empty": lambda place: (shutil.rmtree(place), place.mkdir()),
    }


@pytest.mark.parametrize("way", damaged_ways())
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, uninterrupted, caplog, way):
    config = tiny.config(cell__layers=2, model__dropout=0.1)
    loop = start(tmp_path / "run", config)
    loop.train(stop_after(4))
    newest, before = checkpoints.candidates(loop.run.checkpoints)
    assert (newest, before) == (20, 15)
    damaged_ways()[way](loop.run.checkpoints / f"{newest:08d}")
    with caplog.at_level(logging.INFO):
        loop = start(tmp_path / "run", config)
    assert "the checkpoint of step 20 is passed over" in caplog.text
    assert "going on from step 15" in caplog.text
    assert loop.train() == "done"
    assert outcome(loop) == uninterrupted


def test_lost_timing_is_named(tmp_path, caplog):
    config = tiny.config()
    start(tmp_path / "run", config).train(stop_after(4))
    (tmp_path / "run" / "timing.jsonl").unlink()
    start(tmp_path / "run", config)
    assert f"{tmp_path / 'run' / 'timing.jsonl'} has lost lines" in caplog.text


def test_without_a_checkpoint_that_verifies_the_run_starts_over(tmp_path, uninterrupted, caplog):
    config = tiny.config(cell__layers=2, model__dropout=0.1)
    loop = start(tmp_path / "run", config)
    loop.train(stop_after(4))
    for step in checkpoints.candidates(loop.run.checkpoints):
        (loop.run.checkpoints / f"{step:08d}" / "manifest.json").unlink()
    loop = start(tmp_path / "run", config)
    assert "the run starts over" in caplog.text
    loop.train()
    assert outcome(loop) == uninterrupted


def test_a_run_that_started_over_keeps_its_own_checkpoints(tmp_path, uninterrupted):
    """Those passed over have higher numbers; kept as the newest, they would push out every new one."""
    config = tiny.config(cell__layers=2, model__dropout=0.1)
    loop = start(tmp_path / "run", config)
    loop.train(stop_after(5))
    for step in checkpoints.candidates(loop.run.checkpoints):
        (loop.run.checkpoints / f"{step:08d}" / "manifest.json").unlink()
    start(tmp_path / "run", config).train(stop_after(2))
    assert checkpoints.candidates(loop.run.checkpoints) == [10, 5]
    loop = start(tmp_path / "run", config)
    assert int(loop.state.step) == 10
    loop.train()
    assert outcome(loop) == uninterrupted


def test_damaged_metrics_go_back_to_the_checkpoint_before_the_damage(tmp_path, uninterrupted, caplog):
    config = tiny.config(cell__layers=2, model__dropout=0.1)
    loop = start(tmp_path / "run", config)
    loop.train(stop_after(4))
    lines = loop.run.metrics.path.read_bytes().splitlines(keepends=True)
    lines[-2] = lines[-2].replace(b"nats", b"mats")
    loop.run.metrics.path.write_bytes(b"".join(lines))
    loop = start(tmp_path / "run", config)
    assert f"line {len(lines) - 1} of" in caplog.text
    assert "metrics before it are lost" in caplog.text
    loop.train()
    assert outcome(loop) == uninterrupted


def test_a_sample_that_is_damaged_or_gone_is_named_in_its_place(tmp_path):
    run = start(tmp_path / "run", tiny.config()).run
    for step in (10, 20, 30):
        with run.metrics.appending() as metrics:
            metrics.add(run.write_sample(step, f"text {step}"))
    (run.samples_folder / "00000010.txt").write_text("text 11")
    (run.samples_folder / "00000020.txt").unlink()
    (run.samples_folder / "00000040.txt").write_text("a text of a run that kept no checksums")
    found = run.samples()
    assert "00000010.txt is damaged: its checksum" in found[10]
    assert "00000020.txt cannot be read: No such file" in found[20]
    assert (found[30], found[40]) == ("text 30", "a text of a run that kept no checksums")


def test_a_journal_that_lost_whole_lines_is_noticed(tmp_path):
    """Each line that is left is intact: only the status knows how many they were."""
    run = start(tmp_path / "run", tiny.config(train__steps=10)).run
    loop = start(run.path, tiny.config(train__steps=10))
    loop.train()
    assert run.damage() is None
    whole = run.metrics.path.read_bytes()
    run.metrics.path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    lines = len(whole.splitlines())
    assert run.damage() == f"{run.metrics.path} is damaged: it has {lines - 1} of its {lines} lines"
    start(run.path, tiny.config(train__steps=10)).train()
    assert run.metrics.path.read_bytes() == whole


def test_a_checkpoint_written_on_two_devices_restores_on_one(tmp_path, monkeypatch):
    config = tiny.config(schedule__name="constant")
    loop = start(tmp_path / "run", config)
    assert loop.trainer.mesh.size == 2
    loop.train(stop_after(2))
    two = jax.device_get(loop.state.parameters)
    one_device = jax.devices()[:1]
    monkeypatch.setattr(jax, "devices", lambda *_: one_device)
    loop = start(tmp_path / "run", config)
    assert loop.trainer.mesh.size == 1
    for name, value in two.items():
        np.testing.assert_array_equal(value, loop.state.parameters[name])
    assert loop.train() == "done"


def test_more_steps_go_on_from_where_the_run_ended(tmp_path):
    short, long = (tiny.config(schedule__name="constant", train__steps=steps) for steps in (20, 40))
    loop = start(tmp_path / "a", short)
    loop.train()
    loop = start(tmp_path / "a", long)
    assert int(loop.state.step) == 20
    loop.train()
    whole = start(tmp_path / "b", long)
    whole.train()
    assert outcome(loop) == outcome(whole)


def test_more_steps_after_an_end_between_two_dispatches(tmp_path):
    """Evaluations stay at the multiples where they are due."""
    loop = start(tmp_path / "run", tiny.config(schedule__name="constant", train__steps=12))
    loop.train()
    loop = start(tmp_path / "run", tiny.config(schedule__name="constant", train__steps=40))
    loop.train()
    validated = [record["step"] for record in loop.run.metrics.read() if record["kind"] == "validation"]
    assert validated == [10, 12, 20, 30, 40]


def test_a_diverged_run_started_again_says_the_same(tmp_path):
    config = tiny.config(optimiser__learning_rate=float("inf"))
    first = start(tmp_path / "run", config)
    first.train()
    before = first.run.metrics.path.read_bytes(), first.run.status()
    first.run.set_status("running")
    again = start(tmp_path / "run", config)
    assert again.train() == "diverged"
    assert (again.run.metrics.path.read_bytes(), again.run.status()) == before


def test_fewer_steps_than_were_taken_are_refused(tmp_path):
    start(tmp_path / "a", tiny.config(schedule__name="constant")).train()
    with pytest.raises(UserError, match="trained for 40 steps already"):
        start(tmp_path / "a", tiny.config(schedule__name="constant", train__steps=20))


def scripted(config, scores):
    """The task, its validation scores replaced by a script."""
    task, left = tiny.task(config), iter(scores)
    task.evaluate = lambda network, split, mesh: {"nats": next(left)} if split == "validation" else {}
    return task


def test_early_stopping_keeps_the_best(tmp_path):
    config = tiny.config(train__patience=2, train__steps=100, schedule__name="constant")
    loop = start(tmp_path / "run", config, scripted(config, [3.0, 2.0, 2.5, float("nan"), 9.0]))
    assert loop.train() == "done"
    assert int(loop.state.step) == 40
    assert loop.run.status()["why"] == "stopped early: no better since step 20"
    final = [record for record in loop.run.metrics.read() if record["kind"] == "final"]
    assert final[0]["step"] == 20


def test_fall_lowers_the_rate_at_every_evaluation_after_its_patience_and_ends_the_run(tmp_path):
    """Jozefowicz et al. (2015): some epochs without improvement, then the rate is halved each epoch, so many more."""
    settings = {"schedule__patience": 2, "schedule__falls": 3, "schedule__decay": 0.5, "optimiser__learning_rate": 0.0}
    loop = start(tmp_path / "run", tiny.config(schedule__name="fall", train__steps=200, **settings))
    loop.trainer.numbers["learning_rate"] = 1e-30  # too small to change a weight: only the first evaluation is better
    assert loop.train() == "done"
    rates = {r["step"]: r["learning_rate"] for r in loop.run.metrics.read() if r["kind"] == "train"}
    assert [rates[step] / 1e-30 for step in range(10, 61, 10)] == pytest.approx([1, 1, 1, 0.5, 0.25, 0.125])
    assert int(loop.state.step) == 60
    assert loop.run.status()["why"] == "stopped early: its rate has fallen to the last"


def test_plateau_lowers_the_rate_after_its_patience(tmp_path):
    config = tiny.config(schedule__name="plateau", schedule__decay=0.5, schedule__patience=2, train__steps=60)
    loop = start(tmp_path / "run", config, scripted(config, [3.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]))
    loop.train()
    rates = {r["step"]: r["learning_rate"] for r in loop.run.metrics.read() if r["kind"] == "train"}
    np.testing.assert_allclose([rates[s] for s in (30, 35, 50, 55)], [0.005, 0.0025, 0.0025, 0.00125], rtol=1e-6)


def test_a_diverged_run_says_why_and_keeps_the_last_good_state(tmp_path):
    config = tiny.config(optimiser__learning_rate=float("inf"))
    loop = start(tmp_path / "run", config)
    assert loop.train() == "diverged"
    assert loop.run.status()["why"] == "the update of step 1 is not finite; the state before it is kept"
    assert loop.run.metrics.read()[-1] == {"kind": "diverged", "step": 1, "cause": "the update"}
    arrays = checkpoints.restore_newest(loop.run.checkpoints)[1]
    assert all(np.isfinite(value).all() for name, value in arrays.items() if "parameters" in name)


def test_a_text_without_validation_is_judged_by_its_training_loss(tmp_path):
    config = tiny.config(data__validation=0.0, data__test=0.0)
    loop = start(tmp_path / "run", config)
    assert loop.train() == "done"
    kinds = {record["kind"] for record in loop.run.metrics.read()}
    assert kinds == {"train", "sample"}
    assert loop.record.smoothed < loop.task.measure.baseline
    np.testing.assert_array_equal(loop.best["readout.w"], loop.state.parameters["readout.w"])


def test_the_smoothed_loss_is_an_exponential_mean_over_steps(tmp_path):
    config = tiny.config(train__steps_per_dispatch=1, train__eval_every=40)
    loop = start(tmp_path / "run", config)
    loop.train()
    expected = loop.task.measure.baseline
    for record in loop.run.metrics.read():
        if record["kind"] == "train":
            expected = 0.999 * expected + 0.001 * record["nats"]
            np.testing.assert_allclose(record["smoothed_nats"], expected, rtol=1e-12)


def test_the_two_newest_checkpoints_are_kept(tmp_path):
    loop = start(tmp_path / "run", tiny.config())
    loop.train()
    assert checkpoints.candidates(loop.run.checkpoints) == [40, 35]


def test_a_checkpoint_that_cannot_be_written_is_one_sentence(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.write_text("a file where the folder should be")
    with pytest.raises(UserError, match="the checkpoint of step 3 cannot be written to"):
        checkpoints.save(folder, 3, {"a": np.zeros(3)}, {})


def test_run_directories_refuse_what_is_not_theirs(tmp_path):
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(UserError, match="there is no run directory"):
        run.trial()
    run.create({"config": {}})
    flip(run.path / "config.json")
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        run.trial()
    run.write_trial({"config": {}})
    content = json.loads((run.path / "config.json").read_text())
    from seqjax.results import write_json

    content.pop("sha256")
    write_json(run.path / "config.json", {**content, "format": 99})
    with pytest.raises(UserError, match="is of another version: this seqjax reads format 1"):
        run.trial()
    (run.path / "status.json").write_text('{"state": "do')
    assert run.status()["state"] == "interrupted"


def test_a_lock_is_for_one(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create({})
    with run.lock(), pytest.raises(UserError, match="another process is training the run"), run.lock():
        pass
    with run.lock():
        pass


def test_the_newest_record_is_found_however_long_it_is(tmp_path):
    journal = RunDirectory(tmp_path).metrics
    with journal.appending() as appender:
        appender.add({"kind": "probe", **{f"layer0.gradient.hidden.lag{lag}": 1.0 for lag in range(500)}})
    assert journal.last()["kind"] == "probe"
