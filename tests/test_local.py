"""Training processes that are killed, hang, or cannot be started: a shell script stands in for each."""

import pytest

from seqjax.allocation import Allocation
from seqjax.results import RunDirectory
from seqjax.sweeps import local

EXECUTED = "echo once >> {run}/executed; "


def run_all(tmp_path, monkeypatch, scripts: dict[str, str], hanging: float = 60.0) -> list[RunDirectory]:
    """Run directories, each "trained" by its script."""
    runs = [RunDirectory(tmp_path / name) for name in scripts]
    for run in runs:
        run.create({})

    monkeypatch.setattr(local, "training", lambda stack, share: _shell(scripts, stack))
    local.run_all([[run] for run in runs], [Allocation((0,))], lambda *_: None, every=0.01, hanging=hanging)
    return runs


def _shell(scripts, stack):
    (run,) = stack
    script = scripts[run.name]
    return (["/nowhere/python"] if script is None else ["/bin/sh", "-c", script.format(run=run.path), "sh"]), {}


def executed(run: RunDirectory) -> int:
    return len((run.path / "executed").read_text().splitlines())


@pytest.mark.parametrize(
    ("script", "times", "why"),
    [
        (EXECUTED + "kill -9 $$", local.TRIES, "the process was ended by SIGKILL (out of memory?)"),
        (EXECUTED + "kill -40 $$", local.TRIES, "the process was ended by signal 40"),
        (EXECUTED + "kill -11 $$", local.TRIES, "the process was ended by SIGSEGV"),
        (EXECUTED + "exec sleep 60", local.TRIES, "the process wrote nothing for too long, and was ended"),
        (EXECUTED + "echo no; exit 1", 1, "the process ended with code 1; {run}/log.txt tells more"),
        (EXECUTED + "echo error: no; exit 1", 1, "no"),
        (EXECUTED + "printf n; exit 1", 1, "the process ended, and {run}/log.txt cannot be written to tell why"),
        (EXECUTED + "exit 1", 1, "the process ended without a word in {run}/log.txt, which perhaps cannot be written"),
    ],
)
def test_what_kills_a_process_may_pass_and_its_own_errors_do_not(tmp_path, monkeypatch, script, times, why):
    run, other = run_all(tmp_path, monkeypatch, {"a": script, "b": EXECUTED + "exit 1"}, hanging=0.5)
    assert executed(run) == times
    assert run.status() == {"state": "failed", "why": why.format(run=run.path)}
    assert executed(other) == 1


def test_a_process_that_cannot_be_started_fails_and_the_others_go_on(tmp_path, monkeypatch):
    run, other = run_all(tmp_path, monkeypatch, {"a": None, "b": EXECUTED + "exit 1"})
    assert run.status()["why"].startswith("a training process cannot be started: ")
    assert executed(other) == 1


@pytest.mark.parametrize(("refusals", "state"), [(2, "queued"), (3, "failed")])
def test_a_process_for_which_there_is_no_room_is_tried_again(tmp_path, monkeypatch, refusals, state):
    real, refused = local.subprocess.Popen, []

    def start(*arguments, **options):
        if len(refused) < refusals:
            refused.append(arguments)
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return real(*arguments, **options)

    monkeypatch.setattr(local.subprocess, "Popen", start)
    (run,) = run_all(tmp_path, monkeypatch, {"a": EXECUTED + "exit 3"})
    assert (run.status()["state"], (run.path / "executed").exists()) == (state, state == "queued")


def test_a_process_that_writes_now_and_then_does_not_hang(tmp_path, monkeypatch):
    script = EXECUTED + "for n in 1 2 3 4 5 6; do sleep 0.2; echo still there; done; exit 1"
    (run,) = run_all(tmp_path, monkeypatch, {"a": script}, hanging=0.8)
    assert executed(run) == 1
