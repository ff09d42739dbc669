"""What a run directory says of itself when something in it is not what seqjax wrote."""

import json
import logging
import os
import shutil
import zlib

import pytest
import tiny

from seqjax import results
from seqjax.errors import UserError
from seqjax.results import RunDirectory, find_runs, write_json
from seqjax.sweeps import launch
from seqjax.training import checkpoints
from seqjax.training.loop import Loop
from seqjax.training.trial import best_weights


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create({"config": tiny.config().to_dict()})
    run.metrics.cut(0)
    run.timing.cut(0)
    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    config = tiny.config()
    run = RunDirectory(tmp_path_factory.mktemp("trained") / "run")
    run.create({"config": config.to_dict()})
    assert Loop(run, tiny.task(config), config).train() == "done"
    return run


@pytest.fixture
def done(trained, tmp_path):
    shutil.copytree(trained.path, tmp_path / "done")
    return RunDirectory(tmp_path / "done")


@pytest.mark.parametrize(
    "content", [{}, {"state": "x", "why": ""}, {"state": "done"}, {"state": "done", "why": "", "lines": []}]
)
def test_a_status_of_another_shape_is_damaged(run, content):
    write_json(run.path / "status.json", content)
    status = run.status()
    assert status["state"] == "interrupted"
    assert "status.json is damaged" in status["damage"]


@pytest.mark.parametrize("content", [{}, {"allocation": 3}, {"allocation": {"cores": 1}}])
def test_an_environment_of_another_shape_is_damaged(run, content):
    write_json(run.path / "environment.json", content)
    with pytest.raises(UserError, match=r"environment\.json is damaged"):
        run.environment()


@pytest.mark.parametrize("text", ["[" * 100_000, "3", "[]", "{"])
def test_a_line_that_is_no_record_is_damaged_whatever_its_checksum(run, text):
    run.metrics.path.write_text(f"{zlib.crc32(text.encode()):08x} {text}\n")
    assert run.metrics.read() == []
    assert run.metrics.damage() == f"line 1 of {run.metrics.path} is damaged"


@pytest.mark.parametrize(
    "name", ["metrics.jsonl", "timing.jsonl", "status.json", "config.json", "samples/00000010.txt"]
)
def test_nobody_waits_for_a_pipe(run, name):
    (run.path / name).unlink(missing_ok=True)
    os.mkfifo(run.path / name)
    said = [run.status().get("damage", ""), *run.samples({}).values()] if name != "metrics.jsonl" else []
    for read in (run.trial, run.metrics.read, run.timing.read):
        try:
            read()
        except UserError as error:
            said.append(str(error))
    assert any(name in sentence and "it is no regular file" in sentence for sentence in said)


def test_a_lock_that_is_a_pipe_is_refused(run):
    os.mkfifo(run.path / ".lock")
    with pytest.raises(UserError, match="cannot be written"), run.lock():
        pass
    run.status()


def test_a_file_system_without_locks_is_not_another_process(run, monkeypatch):
    def no_locks(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(results.fcntl, "flock", no_locks)
    with pytest.raises(UserError, match=r"\.lock cannot be locked: No locks available"), run.lock():
        pass


def test_strangers_among_samples_and_checkpoints_are_let_be(run):
    run.write_sample(10, "ten")
    stranger = run.samples_folder / "00000010 (copy).txt"
    stranger.write_text("ten")
    (run.checkpoints / "00000040").write_text("no folder")
    assert list(run.samples({})) == [10]
    run.cut_samples(5)
    checkpoints.discard_after(run.checkpoints, 5)
    assert (list(run.samples({})), stranger.exists(), checkpoints.candidates(run.checkpoints)) == ([], True, [])


def test_a_folder_of_checkpoints_that_cannot_be_read_is_not_empty(done, monkeypatch):
    """A run that took it for empty would start over, and delete what was measured."""
    before = done.metrics.path.read_bytes()

    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(checkpoints.os, "listdir", refused)
    config = tiny.config()
    with pytest.raises(UserError, match="checkpoints cannot be read: Permission denied"):
        Loop(done, tiny.task(config), config)
    assert done.metrics.path.read_bytes() == before


def test_the_last_checkpoint_of_a_finished_run_is_missed(done, trained, caplog):
    assert checkpoints.lost_end(done) is None
    step, last = checkpoints.candidates(done.checkpoints)[0], done.checkpoints / "00000040"
    assert step == 40
    shutil.rmtree(last)
    assert checkpoints.lost_end(done) == f"{last / 'manifest.json'} is missing"
    with caplog.at_level(logging.WARNING):
        best_weights(done)
    assert f"{last / 'manifest.json'} is missing: these are the best weights up to an earlier step" in caplog.text
    config = tiny.config()
    assert Loop(done, tiny.task(config), config).train() == "done"  # mended
    assert checkpoints.lost_end(done) is None
    assert done.metrics.path.read_bytes() == trained.metrics.path.read_bytes()
    shutil.rmtree(done.checkpoints)  # by someone who wants the room
    assert checkpoints.lost_end(done) is None


def test_what_a_killed_process_left_is_deleted_and_what_a_living_one_writes_is_not(run):
    left, written = run.path / ".metrics.jsonl.4194304", run.path / f".status.json.{os.getppid()}"
    for path in (left, written):
        path.write_text("half")
    run.clean()
    assert (left.exists(), written.exists()) == (False, True)


def test_old_files_are_set_aside_under_a_free_name(tmp_path):
    run = RunDirectory(tmp_path / "run")
    for _ in range(2):
        run.create({})
        launch.start_over(run, {})
    shutil.rmtree(tmp_path / ".run.old0")
    for _ in range(2):
        launch.start_over(run, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == [".run.old0", ".run.old1", ".run.old2", "run"]


def test_a_run_that_cannot_be_looked_into_is_named(tmp_path, run, monkeypatch):
    real = os.stat

    def refused(path, *arguments, **options):
        if str(path).startswith(str(run.path) + "/"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(results.os, "stat", refused)
    (found,) = find_runs([tmp_path])
    with pytest.raises(UserError, match=r"config\.json cannot be read: Permission denied"):
        found.trial()


def test_a_name_too_long_is_refused_in_a_sentence():
    with pytest.raises(UserError, match="cannot be read: File name too long"):
        find_runs(["a" * 300])


def test_a_trial_that_lost_its_config_is_of_unknown_code(tmp_path, monkeypatch):
    record = {"identity": "0" * 64, "settings": "s", "code": "today", "config": {"train": {"steps": 10}}}
    monkeypatch.setattr(launch, "resolve", lambda *_: dict(record))
    monkeypatch.setattr(launch, "run_name", lambda _: "run-00000000")
    first = launch.plan([None], tmp_path, rerun=False)
    (run,) = first.todo
    (run.checkpoints / "00000010").mkdir()
    (run.path / "config.json").unlink()
    plan = launch.plan([None], tmp_path, rerun=False)
    assert f"{run.path / 'config.json'} is missing: which code began the run is not known" in plan.notes
    assert "began with other code than today's" in plan.notes[-1]
    assert json.loads((run.path / "config.json").read_text())["code"] == "unknown"
