"""The report's numbers, and that whatever a run holds is shown as what it is."""

import copy
import csv
import html.parser
import io
import json
import math
import re
import subprocess
import sys
import warnings

import numpy as np
import pyarrow.parquet
import pytest
from rich.console import Console

from experiments import compare as compare_command
from experiments import tensorboard as tensorboard_command
from seqjax.errors import UserError
from seqjax.report import compare, write_report
from seqjax.report.page_samples import MOST_STEPS, few
from seqjax.report.palette import group_styles
from seqjax.report.tables import group_rows, run_rows
from seqjax.report.terminal import print_comparison
from seqjax.report.text import duration, visible
from seqjax.results import RunDirectory, write_json

CONFIG = {
    "seed": 0,
    "init_from": "",
    "cell": {"name": "lstm", "hidden": 32, "layers": 1, "parameters": 0, "options": {}},
    "optimiser": {"name": "adam", "learning_rate": 0.002, "decay": 0.95},
    "schedule": {"name": "constant", "decay": 0.97},
    "train": {"steps": 100, "epochs": 0, "eval_every": 25, "checkpoint_seconds": 60.0},
    "task": {"name": "char_lm", "batch": 32},
    "data": {"source": "tiny", "path": "", "validation": 0.1},
}
CORPUS = {"source": "tiny", "directory": "/somewhere", "sha256": "ab" * 32, "size": 1234}
SYMBOLS = {"train": 1000, "validation": 100, "test": 100}
HOSTILE = "</script><script>alert(1)</script> <img src=http://x.y/z> & \" ' \x00\x1b[31m \ufffd </pre> \u202e"


def make_run(
    runs, overrides=None, *, final=None, state="done", why="", corpus=CORPUS, symbols=SYMBOLS, code="c0de", **more
):
    """A run directory with losses that fall to `final`; without it there are no final scores. `more`: `samples`,
    `evaluations` (how many), `seconds` (of a step), `parameters`.
    """
    config = copy.deepcopy(CONFIG)
    for key, value in (overrides or {}).items():
        *parents, leaf = key.split(".")
        node = config
        for name in parents:
            node = node[name]
        node[leaf] = value
    cell = config["cell"]
    count = sum(path.is_dir() for path in runs.iterdir()) if runs.exists() else 0
    run = RunDirectory(runs / f"{cell['name']}-{count:03d}-seed{config['seed']}")
    parameters = more.get("parameters", 100 * cell["hidden"])
    task = {"symbols": symbols, "vocabulary": {"kind": "characters", "symbols": [65, 66]}}
    run.create({"config": config, "corpus": corpus, "task": task, "parameters": parameters, "code": code})
    evaluations, of_step = more.get("evaluations", 4), more.get("seconds", 0.01)
    every = config["train"]["eval_every"]
    with run.metrics.appending() as metrics, run.timing.appending() as timing:
        for n in range(1, evaluations + 1):
            step, nats = n * every, (final or 2.0) + math.exp(-4 * n / evaluations)
            metrics.add({"kind": "train", "step": step, "nats": nats, "loss": nats, "smoothed_nats": nats + 0.5})
            if symbols["validation"]:
                metrics.add({"kind": "validation", "step": step, **scores(nats)})
            run.write_sample(step, more.get("samples", f"after {step} steps"))
            total = every * of_step + (5.0 if n == 1 else 0.0)
            timing.add({"step": step, "seconds": 5 + step * of_step, "dispatch": total, "steps": every, "total": total})
        for split in symbols:
            if state == "done" and symbols["validation"] and final is not None:
                shift = {"train": -0.1, "validation": 0.0, "test": 0.1}[split]
                metrics.add({"kind": "final", "split": split, "step": evaluations * every, **scores(final + shift)})
    run.set_status(state, why)
    return run


def scores(nats):
    return {"nats": nats, "bits": nats / math.log(2), "perplexity": math.exp(nats)}


def cells_and_seeds(runs):
    """lstm at 1.8, 1.9, 2.1 and gru at 1.7, 1.75."""
    for seed, nats in enumerate((1.8, 1.9, 2.1)):
        make_run(runs, {"seed": seed}, final=nats, seconds=0.01 * (seed + 1))
    for seed, nats in enumerate((1.7, 1.75)):
        make_run(runs, {"cell.name": "gru", "seed": seed}, final=nats)
    return runs


def labels(comparison):
    return [[group.label for group in board.groups] for board in comparison.boards]


class Reader(html.parser.HTMLParser):
    """The tags and attributes of a page, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def test_means_and_deviations_are_those_of_numpy(tmp_path):
    (board,) = compare([cells_and_seeds(tmp_path)]).boards
    gru, lstm = board.groups
    assert (gru.label, gru.seeds, lstm.label, lstm.seeds) == ("gru", 2, "lstm", 3)
    for group, values in ((gru, [1.7, 1.75]), (lstm, [1.8, 1.9, 2.1])):
        assert group.mean == pytest.approx(np.mean(values), abs=1e-12)
        assert group.deviation == pytest.approx(np.std(values, ddof=1), abs=1e-12)
        assert np.mean(group.split("test")) == pytest.approx(np.mean(values) + 0.1)


def test_time_per_step_leaves_compilation_out(tmp_path):
    (board,) = compare([cells_and_seeds(tmp_path)]).boards
    assert [run.ms_per_step for run in board.groups[1].runs] == pytest.approx([10, 20, 30])
    assert board.groups[1].ms_per_step == pytest.approx(20)
    assert board.groups[1].first.training_seconds == pytest.approx(6)


def test_one_seed_has_no_deviation(tmp_path):
    make_run(tmp_path, final=1.5)
    ((group,),) = (board.groups for board in compare([tmp_path]).boards)
    assert (group.mean, group.deviation, group.seeds) == (1.5, None, 1)


def test_groups_differ_in_anything_but_the_seed_and_are_named_by_what_varies(tmp_path):
    for seed in (0, 1):
        for rate in (0.002, 0.01):
            make_run(tmp_path, {"seed": seed, "optimiser.learning_rate": rate}, final=2 - rate)
        make_run(tmp_path, {"seed": seed, "cell.name": "gru", "train.checkpoint_seconds": 5.0 + seed}, final=3.0)
    assert labels(compare([tmp_path])) == [
        ["lstm  learning_rate=0.01", "lstm  learning_rate=0.002", "gru  learning_rate=0.002"]
    ]


def test_a_key_whose_end_is_not_unique_is_named_in_full(tmp_path):
    for n, decay in enumerate((0.9, 0.95)):
        make_run(tmp_path, {"schedule.decay": decay}, final=1.5 + n)
    assert labels(compare([tmp_path])) == [["lstm  schedule.decay=0.9", "lstm  schedule.decay=0.95"]]


def test_sizes_found_for_a_budget_are_named_by_the_budget(tmp_path):
    for n, (cell, hidden) in enumerate((("lstm", 40), ("gru", 47))):
        make_run(tmp_path, {"cell.name": cell, "cell.hidden": hidden, "cell.parameters": 9000}, final=1.5 + n)
    assert labels(compare([tmp_path])) == [["lstm", "gru"]]


def test_cell_options_that_only_some_runs_have(tmp_path):
    make_run(tmp_path, {"cell.options": {"forget_bias": 1.0}}, final=1.5)
    make_run(tmp_path, final=1.6)
    assert labels(compare([tmp_path])) == [["lstm  forget_bias=1.0", "lstm"]]


def test_runs_of_other_code_are_another_group(tmp_path):
    make_run(tmp_path, final=1.5, code="0123456789")
    make_run(tmp_path, {"seed": 1}, final=1.6, code="abcdef0123")
    assert labels(compare([tmp_path])) == [["lstm  code=01234567", "lstm  code=abcdef01"]]


def test_each_text_has_its_own_leaderboard(tmp_path):
    make_run(tmp_path, final=1.5)
    make_run(tmp_path, {"cell.name": "gru"}, final=1.2, corpus={**CORPUS, "sha256": "cd" * 32, "source": "other"})
    comparison = compare([tmp_path])
    assert sorted(labels(comparison)) == [["gru"], ["lstm"]]
    page = write_report([tmp_path]).read_text()
    assert Reader(page).tags.count("table") == 2
    assert (tmp_path / "report/board2-learning_curves.svg").exists()


def test_training_loss_is_never_ranked_among_validation_losses(tmp_path):
    make_run(tmp_path, final=1.5)
    make_run(tmp_path, {"cell.name": "gru"}, final=1.0, symbols={"train": 1200, "validation": 0, "test": 0})
    comparison = compare([tmp_path])
    scored_on = {board.groups[0].label: board.scored_on for board in comparison.boards}
    assert scored_on == {"lstm": "validation", "gru": "training"}
    assert next(run for run in comparison.runs if run.cell == "gru").score == pytest.approx(1.5 + math.exp(-4))
    assert "there is no validation text" in write_report([tmp_path]).read_text()


@pytest.mark.parametrize("state", ["queued", "running", "interrupted", "diverged", "failed"])
def test_only_runs_that_are_done_count(tmp_path, state):
    cells_and_seeds(tmp_path)
    runs = [
        make_run(tmp_path, {"cell.name": "gru", "seed": 2}, final=0.1, state=state, why="the reason is this"),
        make_run(tmp_path, {"cell.name": "rnn"}, state=state, evaluations=0),
    ]
    with runs[0].lock(), runs[1].lock():  # a run whose process is gone does not count as running
        assert_not_counted(tmp_path, state)


def assert_not_counted(tmp_path, state):
    (board,) = compare([tmp_path]).boards
    assert [group.label for group in board.groups] == ["gru", "lstm", "rnn"]
    assert board.groups[0].mean == pytest.approx(1.725)
    assert board.groups[0].states == {"done": 2, state: 1}
    assert (board.groups[2].mean, board.groups[2].seeds) == (None, 0)
    assert "the reason is this" in write_report([tmp_path]).read_text()
    console = Console(file=io.StringIO())
    print_comparison(compare([tmp_path]), console)
    printed = console.file.getvalue()
    assert f"2 done, 1 {state}" in printed
    assert f"gru-005-seed2 {state}: the reason is this" in printed


def test_a_run_given_twice_counts_once(tmp_path):
    run = make_run(tmp_path / "a", final=1.5)
    make_run(tmp_path / "b", final=1.5)
    comparison = compare([tmp_path / "a", run.path, tmp_path / "b"])
    assert len(comparison.runs) == 1
    assert len(comparison.notes) == 1
    assert "given twice" in comparison.notes[0]


def test_damaged_runs_are_named_and_the_others_go_on(tmp_path):
    cells_and_seeds(tmp_path)
    good = make_run(tmp_path, {"cell.name": "rnn"}, final=1.9).trial()
    for name, content in (("truncated", '{"a"'), ("not_a_dict", "[1]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(content)
    for name, content in (("version", {**good, "format": 99}), ("lacking", {"format": 1, "config": {}})):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "config.json", content)
    comparison = compare([tmp_path])
    assert len(comparison.runs) == 6
    assert len(comparison.notes) == 4
    page = write_report([tmp_path]).read_text()
    for name in ("truncated", "not_a_dict", "version", "lacking"):
        assert sum(name in note for note in comparison.notes) == 1
        assert name in page


def test_damaged_metrics_are_named(tmp_path):
    run = make_run(tmp_path, final=1.5)
    run.metrics.path.write_bytes(run.metrics.path.read_bytes()[:-20])
    comparison = compare([tmp_path])
    assert "metrics.jsonl is damaged" in comparison.notes[0]
    assert comparison.runs[0].score == 1.5


def test_tables_say_what_the_rows_say(tmp_path):
    cells_and_seeds(tmp_path)
    make_run(tmp_path, {"cell.name": "rnn", "optimiser.learning_rate": 0.5}, state="failed", why='a "quoted",\nreason')
    comparison = compare([tmp_path])
    out = write_report([tmp_path]).parent
    for name, rows in (("runs", run_rows(comparison)), ("leaderboard", group_rows(comparison))):
        assert pyarrow.parquet.read_table(out / f"{name}.parquet").to_pylist() == rows
        with open(out / f"{name}.csv", newline="") as file:
            written = list(csv.DictReader(file))
        assert written == [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]
    assert {row["config.optimiser.learning_rate"] for row in run_rows(comparison)} == {0.002, 0.5}


def test_the_page_loads_nothing_and_runs_its_own_script_alone(tmp_path):
    page = write_report([cells_and_seeds(tmp_path)]).read_text()
    reader = Reader(page)
    types = ["module", "application/json"]
    assert reader.tags.count("script") == 2
    assert [value for name, value in reader.attributes if name == "type" and value in types] == types
    assert not {"link", "img", "iframe", "object", "embed"} & set(reader.tags)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg\b)|@import", page)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    linked = [value for name, value in reader.attributes if name in ("href", "src", "xlink:href")]
    assert linked
    assert all(value.startswith("#") for value in linked)
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert ("http-equiv", "Content-Security-Policy") in reader.attributes
    ids = [value for name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in linked} <= set(ids)


def test_hostile_text_is_shown_as_text(tmp_path):
    make_run(tmp_path, {"data.path": HOSTILE, "optimiser.name": "$x_{$^"}, final=1.5, samples=HOSTILE)
    make_run(tmp_path, {"cell.name": "gru", "optimiser.name": HOSTILE}, state="failed", why=HOSTILE)
    corpus = {**CORPUS, "source": HOSTILE}
    make_run(tmp_path, {"cell.name": "_odd<b>"}, final=1.4, corpus=corpus)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = write_report([tmp_path]).read_text()
    reader = Reader(page)
    assert not {"img", "b<b>"} & set(reader.tags)
    assert reader.tags.count("script") == 2
    assert "</script><script>alert(1)</script> <img src=http://x.y/z> & \" '" in reader.text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", page)
    assert "\u2400\u241b[31m" in page


def test_the_same_runs_give_the_same_files(tmp_path):
    cells_and_seeds(tmp_path / "runs")
    first = write_report([tmp_path / "runs"], tmp_path / "first").parent
    second = write_report([tmp_path / "runs"], tmp_path / "second").parent
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    assert {"report.html", "learning_curves.png", "learning_curves.svg", "loss_by_time.svg"} < set(names)
    assert "loss_by_parameters.svg" not in names, "all are of one size"
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_runs_without_evaluations_draw_without_warnings(tmp_path):
    make_run(tmp_path, evaluations=0, state="queued")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = write_report([tmp_path]).read_text()
    assert "nothing to rank" in page
    assert "nothing to draw" in page


def test_groups_of_one_cell_share_a_colour_and_differ_in_style(tmp_path):
    for n in range(24):
        make_run(tmp_path, {"optimiser.learning_rate": 0.001 * (n + 1)}, final=1.5 + 0.01 * n, evaluations=1)
    (board,) = compare([tmp_path]).boards
    assert len({(colour, str(line)) for colour, line, _ in group_styles(board.groups)}) == 24
    assert len({marker for _, _, marker in group_styles(board.groups)}) == 1
    four = group_styles(board.groups[:4])
    assert {colour for colour, _, _ in four} == {"#0072b2"}


def test_samples_of_many_steps_are_thinned():
    steps = list(range(0, 10_000, 50))
    chosen = few(steps)
    assert len(chosen) == MOST_STEPS
    assert (chosen[0], chosen[-1]) == (steps[0], steps[-1])
    assert few(steps[:5]) == steps[:5]
    assert all(len(set(few(list(range(n))))) == min(n, MOST_STEPS) for n in range(1, 60))


def test_words_for_people():
    assert [duration(s) for s in (None, 4.21, 190, 7500)] == ["—", "4.2 s", "3 min 10 s", "2 h 05 min"]
    assert visible("a\tb\n\x00\ud800") == "a\tb\n\u2400?"


@pytest.mark.parametrize("command", ["compare", "tensorboard"])
def test_nothing_to_compare_is_one_sentence(tmp_path, command):
    (tmp_path / "empty").mkdir()
    main = {"compare": compare_command, "tensorboard": tensorboard_command}[command].main
    for path in ("empty", "missing"):
        with pytest.raises(UserError, match=path):
            main([str(tmp_path / path), f"--out={tmp_path / 'out'}"])
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "config.json").write_text("{")
    if command == "compare":
        with pytest.raises(UserError, match=r"no run can be read: .*damaged"):
            main([str(tmp_path / "bad")])


def test_a_report_that_cannot_be_written_is_one_sentence(tmp_path):
    cells_and_seeds(tmp_path / "runs")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_report([tmp_path / "runs"], tmp_path / "file" / "report")


def test_the_command_prints_the_leaderboard_and_ends_with_the_path_without_jax(tmp_path):
    cells_and_seeds(tmp_path)
    program = (
        "import sys; from experiments.compare import main; main(sys.argv[1:]); "
        "assert not {'jax', 'flax'} & set(sys.modules), 'jax was imported'"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == str(tmp_path / "report" / "report.html")
    assert re.search(r"1 +gru +1\.7250 ± 0\.0354", done.stdout)
    assert done.stderr == ""


def test_tensorboard_files_hold_the_metrics(tmp_path):
    pytest.importorskip("tensorboardX")
    run = make_run(tmp_path / "a", final=1.5)
    make_run(tmp_path / "b", final=1.6)
    for _ in range(2):  # the second conversion replaces the first
        tensorboard_command.main([str(tmp_path / "a"), str(tmp_path / "b"), f"--out={tmp_path / 'out'}"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{side}-{run.name}" for side in "ab"]
    (file,) = (tmp_path / "out" / f"a-{run.name}").iterdir()
    values = read_events(file)
    assert values["validation/nats", 100] == pytest.approx((1.5 + math.exp(-4), 6.0), rel=1e-6)
    assert values["train/smoothed_nats", 50][0] == pytest.approx(2.0 + math.exp(-2), rel=1e-6)
    assert values["final/test/perplexity", 100][0] == pytest.approx(math.exp(1.6), rel=1e-6)
    numbers = sum(len(record.keys() - {"kind", "step", "split"}) for record in run.metrics.read())
    assert len(values) == numbers


def read_events(file):
    """`{(tag, step): (value, time)}`; a record is a length, its checksum, the event, its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data, place, found = file.read_bytes(), 0, {}
    while place < len(data):
        size = int.from_bytes(data[place : place + 8], "little")
        event = Event.FromString(data[place + 12 : place + 12 + size])
        place += 16 + size
        for value in event.summary.value:
            found[value.tag, event.step] = value.simple_value, event.wall_time
    return found


def test_tensorboard_missing_is_one_sentence(tmp_path, monkeypatch):
    make_run(tmp_path, final=1.5)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r"pip install 'seqjax\[tensorboard\]'"):
        tensorboard_command.main([str(tmp_path), f"--out={tmp_path / 'out'}"])


def test_configs_are_in_the_page(tmp_path):
    run = make_run(tmp_path, final=1.5)
    page = Reader(write_report([run.path]).read_text())
    assert json.dumps(run.trial()["config"], indent=2, sort_keys=True) in page.text
