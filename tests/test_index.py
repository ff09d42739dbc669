"""An index changes how long reading runs takes and nothing else; and runs are chosen and listed by their settings."""

import os
import shutil
import subprocess
import sys

import pytest
from test_report_tasks import ERROR, make_run, probes

from experiments import compare as compare_command
from seqjax.errors import UserError
from seqjax.report import index
from seqjax.report.listing import listed, select
from seqjax.results import Journal, write_json

NAMES = {"rnn-length50-seed0-000", "gru-length50-seed1-001", "lstm-length50-seed2-002"}


@pytest.fixture
def read(monkeypatch):
    """The names of the runs whose files were read, in order; files are trusted however young they are."""
    names = []

    def recorded(directory):
        names.append(directory.name)
        return extract(directory)

    extract = index.extract
    monkeypatch.setattr(index, "extract", recorded)
    monkeypatch.setattr(index, "SETTLED", 0.0)
    return names


@pytest.fixture
def runs(tmp_path, read):
    """A directory of three runs, of which one is done, read once."""
    folder = tmp_path / "runs"
    make_run(folder, scores=(0.7, 0.5), probes=probes())
    going = {"cell.name": "gru", "seed": 1, "train.steps": 300}
    make_run(folder, going, scores=(0.7, 0.1 + 0.2, float("nan")), state="interrupted")
    make_run(folder, {"cell.name": "lstm", "seed": 2}, scores=(0.6,), state="diverged", why="the loss is not finite")
    index.read_runs([folder])
    assert set(read) == NAMES
    read.clear()
    return folder


def known(folder):
    """All that is known of runs, by name, and what was said about them. Without an index, the same is found."""
    found, notes = index.read_runs([folder])
    kept = folder / index.FILE
    aside = folder.parent / "aside"
    if kept.is_file():
        kept.rename(aside)
        assert index.read_runs([folder]) == (found, notes)
        aside.replace(kept)
    return {run.name: (run, run.samples) for run in found}, notes


def test_runs_are_read_once(runs, read):
    first, notes = index.read_runs([runs])
    assert read == []
    (runs / index.FILE).unlink()
    assert index.read_runs([runs]) == (first, notes)
    assert set(read) == NAMES
    assert first[0].validation == {100: 0.7, 200: 0.1 + 0.2}
    assert first[2].probes["layer0.gradient.hidden.lag1"] == {100: 0.5, 200: 0.5}


def append(run):
    with run.metrics.appending() as metrics:
        metrics.add({"kind": "validation", "step": 900, "error": 0.01, "accuracy": 0.99})


def replace(run):
    """By a file of the same size and modification time."""
    old, new = run.metrics.path, Journal(run.path / "new")
    with new.appending() as metrics:
        for record in run.metrics.read():
            metrics.add({**record, "error": 0.6 if record.get("error") == 0.5 else record["error"]})
    status = old.stat()
    os.utime(new.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.path.replace(old)
    assert (old.stat().st_size, old.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)


def change_config(run):
    trial = run.trial()
    trial["config"]["optimiser"]["learning_rate"] = 0.02
    run.write_trial(trial)


def add_half_a_step(run):
    with run.metrics.appending() as metrics:
        metrics.add({"kind": "validation", "step": 0.5, "error": 0.01})


def damage(run):
    contents = bytearray(run.metrics.path.read_bytes())
    contents[-20] ^= 1
    run.metrics.path.write_bytes(contents)


CHANGES = {
    "metrics appended": append,
    "replaced by another of equal size": replace,
    "config changed": change_config,
    "metrics damaged": damage,
    "a step that is none": add_half_a_step,
    "metrics cut": lambda run: run.metrics.cut(2),
    "timing gone": lambda run: run.timing.path.unlink(),
    "config damaged": lambda run: (run.path / "config.json").write_text("{"),
    "of another seqjax": lambda run: write_json(run.path / "config.json", {**run.trial(), "format": 1, "task": None}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_whose_files_changed_is_read_again(tmp_path, read, change):
    kept = make_run(tmp_path / "runs", {"seed": 1})
    run = make_run(tmp_path / "runs", scores=(0.7, 0.5, 0.3))
    before = index.read_runs([tmp_path / "runs"])
    read.clear()
    CHANGES[change](run)
    after = index.read_runs([tmp_path / "runs"])
    assert read == [run.name]
    assert after != before
    known(tmp_path / "runs")
    read.clear()
    index.read_runs([tmp_path / "runs"])
    assert kept.name not in read


def test_runs_come_and_go(runs, read):
    new = make_run(runs, {"cell.name": "mut1"})
    assert known(runs)[0].keys() == {*NAMES, new.name}
    assert read[0] == new.name
    shutil.rmtree(new.path)
    assert known(runs)[0].keys() == NAMES
    assert new.name.encode() not in (runs / index.FILE).read_bytes()


def test_a_directory_that_was_copied_is_read_anew(runs, read, tmp_path):
    copy = shutil.copytree(runs, tmp_path / "copy")
    found, _ = index.read_runs([copy])
    assert set(read) == NAMES
    assert {run.path.parent for run in found} == {copy}


def test_the_state_is_as_it_is_now(tmp_path, read):
    run = make_run(tmp_path)
    for state in ("failed", "done"):
        run.set_status(state, "so it is")
        ((found,), _) = index.read_runs([tmp_path])
        assert (found.state, found.why) == (state, "so it is")
    run.set_status("running")
    with run.lock():
        assert index.read_runs([tmp_path])[0][0].state == "running"
    assert index.read_runs([tmp_path])[0][0].state == "interrupted"
    assert read == [run.name]


def test_half_a_line_of_a_running_run_is_nothing_to_complain_about(tmp_path, read):
    run = make_run(tmp_path)
    whole, _ = index.read_runs([tmp_path])
    with open(run.metrics.path, "a") as file:
        file.write('0123abcd {"kind"')
    run.set_status("running")
    with run.lock():
        for _ in range(2):
            (found,), notes = index.read_runs([tmp_path])
            assert (found.final, notes) == (whole[0].final, [])
    (_, (said,)) = index.read_runs([tmp_path])
    assert f"{run.metrics.path} is damaged: it and what follows are left out" in said


def test_files_that_are_young_are_not_trusted(tmp_path, read, monkeypatch):
    """What is written within the clock's grain may have the size and the time of what was read."""
    monkeypatch.setattr(index, "SETTLED", 60.0)
    run = make_run(tmp_path)
    for _ in range(2):
        index.read_runs([tmp_path])
    assert read == [run.name] * 2


def test_a_damaged_index_changes_nothing(runs, read):
    expected, file = index.read_runs([runs]), runs / index.FILE
    whole = file.read_bytes()
    places = [*range(24), *range(24, len(whole), 97), *range(len(whole) - 16, len(whole))]
    for place in places:
        for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]):
            file.write_bytes(damaged)
            read.clear()
            assert index.read_runs([runs]) == expected
            assert read
            assert file.read_bytes() == whole


@pytest.mark.parametrize("content", [b"", b"\n", b"\x00" * 100, b"ab [1]\n", b"00000000 \n", b"8d2a8a1c [[]]\n"])
def test_what_is_no_index_is_replaced(runs, read, content):
    expected, whole = index.read_runs([runs]), (runs / index.FILE).read_bytes()
    (runs / index.FILE).write_bytes(content)
    assert index.read_runs([runs]) == expected
    assert (runs / index.FILE).read_bytes() == whole


def test_an_index_of_other_code_is_not_used(runs, read, monkeypatch):
    expected = index.read_runs([runs])
    monkeypatch.setattr(index, "CODE", "another version")
    assert index.read_runs([runs]) == expected
    assert set(read) == NAMES


def test_a_directory_that_cannot_be_written_is_read_all_the_same(runs, read):
    expected = index.read_runs([runs])
    (runs / index.FILE).unlink()
    (runs / index.FILE).mkdir()  # in its way even for those whom permissions do not stop
    runs.chmod(0o555)
    try:
        names = sorted(os.listdir(runs))
        assert index.read_runs([runs]) == expected
        assert sorted(os.listdir(runs)) == names
    finally:
        runs.chmod(0o755)


def test_runs_named_one_by_one_use_the_index_and_leave_none(runs, read, tmp_path):
    paths = sorted(path.parent for path in runs.glob("*/config.json"))
    assert index.read_runs(paths) == index.read_runs([runs])
    assert index.read_runs([*paths, runs]) == index.read_runs([runs])
    assert read == []
    alone = make_run(tmp_path / "elsewhere")
    index.read_runs([alone.path])
    assert not (tmp_path / "elsewhere" / index.FILE).exists()


def test_several_directories_have_an_index_each(tmp_path, read):
    for name in ("first", "second"):
        make_run(tmp_path / name, {"cell.name": "gru"})
    paths = [tmp_path / "first", tmp_path / "second"]
    expected = index.read_runs(paths)
    read.clear()
    assert index.read_runs(paths) == expected
    assert read == []


def test_two_commands_at_once_do_no_harm(runs, read):
    expected = known(runs)
    code = f"""
import pathlib
from seqjax.report import index
index.SETTLED = 0.0
for _ in range(20):
    assert len(index.read_runs([{str(runs)!r}])[0]) == 3
    pathlib.Path({str(runs / index.FILE)!r}).unlink(missing_ok=True)
index.read_runs([{str(runs)!r}])
"""
    commands = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [command.wait() for command in commands] == [0, 0]
    read.clear()
    assert index.read_runs([runs])[0] == [run for run, _ in expected[0].values()]
    assert read == []
    assert {path.name for path in runs.iterdir()} == {*NAMES, index.FILE}


def chosen(folder, *conditions):
    return {run.name for run in select(index.read_runs([folder])[0], list(conditions))}


def test_runs_are_chosen_by_settings_and_state(runs):
    rnn, gru, lstm = "rnn-length50-seed0-000", "gru-length50-seed1-001", "lstm-length50-seed2-002"
    assert chosen(runs) == NAMES
    assert chosen(runs, "cell.name=gru") == {gru}
    assert chosen(runs, "optimiser.learning_rate=1e-2") == NAMES
    assert chosen(runs, "train.steps=1000") == {rnn, lstm}
    assert chosen(runs, "train.steps=1000", "state=done") == {rnn}
    assert chosen(runs, "init_from=", "seed=2") == {lstm}
    assert chosen(runs, "train.stop_when_solved=false") == NAMES, "a key that was added after these runs"


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        (["cel.name=gru"], "no run has a config key 'cel.name'; did you mean 'cell.name'.$"),
        (["zzz=1"], "no run has a config key 'zzz'; it may be a KEY of --config.KEY, or state"),
        (["cell.name=grx"], "none of 3 runs has cell.name=grx; did you mean 'gru'. Known: gru, lstm, rnn"),
        (["seed=1", "state=diverged"], "none of 1 run with seed=1 has state=diverged; did you mean 'interrupted'"),
        (["train.steps=many"], "none of 3 runs has train.steps=many; known: 1000, 300"),
        (["gru"], "KEY=VALUE, such as cell.name=gru or state=done, not 'gru'"),
    ],
)
def test_a_wrong_condition_is_answered_with_what_would_be_right(runs, conditions, said):
    with pytest.raises(UserError, match=said):
        chosen(runs, *conditions)


def test_of_many_values_the_nearest_is_named(tmp_path, read):
    for n in range(14):
        make_run(tmp_path, {"cell.hidden": 3**n}, scores=(), state="queued")
    with pytest.raises(UserError, match=r"none of 14 runs has cell\.hidden=5; there are 14 other values$"):
        chosen(tmp_path, "cell.hidden=5")
    with pytest.raises(UserError, match=r"did you mean '177147'\?$"):
        chosen(tmp_path, "cell.hidden=177148")


def test_the_list_says_name_state_step_and_score(runs):
    make_run(runs, {"cell.name": "mut1", "train.steps": 12345}, scores=(), measure=ERROR, state="queued")
    assert listed(index.read_runs([runs])[0]) == [
        "gru-length50-seed1-001   interrupted    300/300  (0.3000 error)",
        "lstm-length50-seed2-002  diverged     100/1,000  (0.6000 error)",
        "mut1-length50-seed0-003  queued        0/12,345",
        "rnn-length50-seed0-000   done         200/1,000  0.5000 error",
    ]


def test_the_command_lists_and_compares_what_was_chosen(runs, capsys):
    assert compare_command.main([str(runs), "--list", "--where=train.steps=1000"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "lstm-length50-seed2-002",
        "rnn-length50-seed0-000",
    ]
    (runs / "torn").mkdir()
    (runs / "torn" / "config.json").write_text("{")
    assert compare_command.main([str(runs), "--where=train.steps=1000", "--where", "cell.name=rnn"]) == 0
    page = (runs / "report" / "report.html").read_text()
    assert "rnn-length50-seed0-000" in page and "lstm-length50-seed2-002" not in page
    printed = capsys.readouterr().out
    for note in ("only runs with train.steps=1000 and cell.name=rnn: 1 of 3", "torn/config.json is damaged"):
        assert note in page and note in printed
    assert "<h2>Notes</h2>" in page and "Not in the means" not in page
    compare_command.main([str(runs), "--where=train.steps=1000"])
    assert "<h2>Not in the means</h2>" in (runs / "report" / "report.html").read_text()  # one has diverged
