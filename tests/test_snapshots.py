"""Snapshots: which steps they are of, exact resume, damage, and reading them."""

import logging

import numpy as np
import pytest
import tiny

from seqjax import loading
from seqjax.config import completed
from seqjax.errors import UserError
from seqjax.interpret.through_training import moments
from seqjax.results import RunDirectory
from seqjax.training import checkpoints
from seqjax.training.loop import Loop
from seqjax.training.trial import identity, resolve

DUE = [0, 5, 10, 20, 40]


def start(path, **settings) -> Loop:
    """A run that keeps five snapshots and, unless told otherwise, no checkpoint before it is stopped."""
    made = tiny.config(**{"train__snapshots": 5, "train__checkpoint_seconds": 1e6, **settings})
    run, task = RunDirectory(path), tiny.task(made)
    if not run.exists():
        run.create({"config": made.to_dict(), "task": {**task.description()}})
    return Loop(run, task, made)


def stop_after(dispatches):
    left = iter(range(dispatches))
    return lambda: next(left, None) is None


def kept(run) -> dict[int, dict[str, bytes]]:
    steps = checkpoints.candidates(run.snapshots)
    restored = {step: checkpoints.restore(run.snapshots, step)[0] for step in steps}
    return {step: {name: value.tobytes() for name, value in arrays.items()} for step, arrays in restored.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run never stopped."""
    loop = start(tmp_path_factory.mktemp("snapshots") / "run")
    assert loop.train() == "done"
    return loop


@pytest.mark.parametrize(
    ("snapshots", "steps", "dispatch", "due"),
    [
        (0, 400, 25, []),
        (2, 400, 25, [0, 400]),
        (3, 400, 25, [0, 25, 400]),
        (6, 400, 25, [0, 25, 50, 100, 200, 400]),
        (6, 8000, 50, [0, 50, 200, 650, 2250, 8000]),  # 50 * 160^(k / 4) is 177.8, 632.5, 2249.4
        (8, 160, 20, [0, 20, 40, 60, 80, 100, 120, 160]),  # the first are nearer to each other than a dispatch is long
        (9, 12, 5, [0, 5, 10, 12]),  # no more than there are, and the end between two dispatches
        (4, 1, 25, [0, 1]),
    ],
)
def test_snapshots_are_due_at_the_start_the_end_and_geometrically_between(snapshots, steps, dispatch, due):
    made = tiny.config(train__snapshots=snapshots, train__steps=steps, train__steps_per_dispatch=dispatch)
    assert checkpoints.snapshot_steps(made) == due


@pytest.mark.parametrize("snapshots", [2, 3, 5, 20, 64])
@pytest.mark.parametrize("dispatches", [1, 2, 7, 63, 1000])
def test_as_many_snapshots_as_asked_for_or_as_there_are(snapshots, dispatches):
    made = tiny.config(train__snapshots=snapshots, train__steps=5 * dispatches)
    due = checkpoints.snapshot_steps(made)
    assert len(due) == min(snapshots, dispatches + 1)
    assert (due[0], due[-1]) == (0, 5 * dispatches)
    assert (np.diff(due) > 0).all() and not np.any(np.array(due) % 5)


def test_a_snapshot_holds_the_weights_of_its_step(whole):
    assert sorted(kept(whole.run)) == DUE
    first, last = (checkpoints.restore(whole.run.snapshots, step)[0] for step in (0, 40))
    for name, value in whole.trainer.initialise().parameters.items():
        np.testing.assert_array_equal(first[name], value)
        np.testing.assert_array_equal(last[name], whole.state.parameters[name])


@pytest.mark.parametrize("dispatches", [1, 3])
def test_a_run_stopped_and_gone_on_with_has_the_snapshots_of_the_run_never_stopped(tmp_path, whole, dispatches):
    while (loop := start(tmp_path / "run")).train(stop_after(dispatches)) != "done":
        pass
    assert kept(loop.run) == kept(whole.run)


def test_snapshots_after_the_checkpoint_are_written_again(tmp_path, whole):
    """As after SIGKILL: the run had gone on, and the checkpoint of step 20 was not whole."""
    loop = start(tmp_path / "run", train__checkpoint_seconds=0.0)
    loop.train(stop_after(4))
    (loop.run.checkpoints / "00000020" / "manifest.json").unlink()
    checkpoints.save(loop.run.snapshots, 20, {"never": np.zeros(3)})
    loop = start(tmp_path / "run")
    assert int(loop.state.step) == 15
    assert sorted(kept(loop.run)) == [0, 5, 10]
    loop.train()
    assert kept(loop.run) == kept(whole.run)


def test_a_run_that_starts_over_forgets_its_snapshots(tmp_path, whole):
    run = RunDirectory(tmp_path / "run")
    checkpoints.save(run.snapshots, 35, {"never": np.zeros(3)})
    loop = start(tmp_path / "run")
    loop.train()
    assert kept(loop.run) == kept(whole.run)


def test_a_run_that_stops_early_keeps_its_end(tmp_path):
    loop = start(tmp_path / "run", train__patience=1, schedule__name="constant")
    loop.task.evaluate = lambda network, split, mesh: {"nats": 3.0} if split == "validation" else {}
    assert loop.train() == "done"
    assert int(loop.state.step) == 20
    assert sorted(kept(loop.run)) == [0, 5, 10, 20]


def test_runs_keep_no_snapshots_unless_asked(tmp_path):
    loop = start(tmp_path / "run", train__snapshots=0, train__steps=5)
    loop.train()
    assert not loop.run.snapshots.exists()
    with pytest.raises(UserError, match=r"has no snapshots: train one with --config\.train\.snapshots=8"):
        loading.snapshots(loop.run.path)
    with pytest.raises(UserError, match="has no snapshots"):
        loading.load(loop.run.path, step=5)


def test_one_snapshot_is_refused():
    with pytest.raises(UserError, match=r"'train\.snapshots' is 1; it should be 0, or 2 and more"):
        resolve(tiny.config(train__snapshots=1), {})


def test_snapshots_make_no_other_trial():
    record = {"corpus": None}
    of_before = tiny.config()
    of_before.unlock()
    del of_before.train["snapshots"]
    assert identity(tiny.config(train__snapshots=5), record) == identity(of_before, record)


def test_a_snapshot_is_loaded_by_its_step(whole):
    path = whole.run.path
    assert loading.snapshots(path) == DUE
    for step in (0, 20):
        weights = loading.load(path, step=step).weights()
        assert {name: value.tobytes() for name, value in weights.items()} == kept(whole.run)[step]
    best = loading.load(path).weights()
    assert all(np.array_equal(best[name], value) for name, value in whole.best.items())
    with pytest.raises(UserError, match="has no snapshot of step 7; it has 0, 5, 10, 20, 40"):
        loading.load(path, step=7)


def test_a_run_made_before_there_were_snapshots_has_none_due():
    """Its saved config lacks the key."""
    values = tiny.config(train__snapshots=4).to_dict()
    del values["train"]["snapshots"], values["regulariser"]
    config = completed(values)
    assert checkpoints.snapshot_steps(config) == []
    assert config.regulariser.name == "none"
    assert "snapshots" not in values["train"]


def test_damaged_snapshots_are_named_and_passed_over(tmp_path, caplog):
    loop = start(tmp_path / "run")
    loop.train()
    place = loop.run.snapshots
    damaged = max((place / "00000010").rglob("d/*"), key=lambda file: file.stat().st_size)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(bytes(content))
    with caplog.at_level(logging.WARNING):
        assert loading.snapshots(loop.run.path) == [0, 5, 20, 40]
    assert f"the snapshot of step 10 is passed over: {damaged} is damaged" in caplog.text
    with pytest.raises(UserError, match="is damaged"):
        loading.load(loop.run.path, step=10)


def test_a_network_is_seen_at_each_of_its_snapshots(whole):
    path, task = whole.run.path, whole.task
    networks = ((step, loading.load(path, step).model) for step in loading.snapshots(path))
    made = moments(task, networks, task.splits["validation"][:200], (0, "h", 0), length=5)
    assert [moment.step for moment in made] == DUE
    losses = [moment.loss for moment in made]
    assert losses[0] == pytest.approx(np.log(len(task.vocabulary)), abs=0.3)
    assert losses[-1] == min(losses) < losses[0]
