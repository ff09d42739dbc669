"""The command on small trained runs, from the text to the files; wrong input is one sentence."""

import argparse
import csv
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tiny

import seqjax
from experiments import look_inside
from seqjax.config import load_config, override
from seqjax.errors import UserError
from seqjax.interpret import features, units
from seqjax.interpret.reading import read
from seqjax.loading import Loaded
from seqjax.results import RunDirectory
from seqjax.sweeps.launch import plan
from seqjax.training import checkpoints
from seqjax.training.trial import open_task

HOSTILE = 'A "cat" <b>&amp;\ttab 🐈 é.\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with texts, and a cache of prepared texts."""
    folder = tmp_path_factory.mktemp("inside")
    (folder / "text.txt").write_bytes(tiny.text(20_000) + HOSTILE.encode() * 3)
    before = os.environ.get("SEQJAX_CACHE_DIR")
    os.environ["SEQJAX_CACHE_DIR"] = str(folder / "cache")
    yield folder
    os.environ.pop("SEQJAX_CACHE_DIR")
    if before:
        os.environ["SEQJAX_CACHE_DIR"] = before


def queued(folder, **settings) -> RunDirectory:
    made, _ = load_config("configs/char_lm.py:text")
    for argument in tiny.arguments(folder / "text.txt", **settings)[1:]:
        key, _, value = argument.removeprefix("--config.").partition("=")
        override(made, key, value)
    return plan([made], folder / "runs", rerun=False).runs[0]


def trained(folder, **settings) -> RunDirectory:
    run = queued(folder, **settings)
    arguments = [sys.executable, "-m", "seqjax.training", str(run.path), "--cores=0"]
    variables = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"} | {"JAX_PLATFORMS": "cpu"}
    subprocess.run(arguments, env=variables, check=True, capture_output=True, timeout=300)
    return run


@pytest.fixture(scope="module")
def lstm(folder):
    return trained(folder, **{"cell.name": "lstm", "cell.layers": 2, "train.snapshots": 3})


@pytest.fixture(scope="module")
def of_bytes(folder):
    return trained(
        folder, **{"cell.name": "gru", "train.steps": 5, "data.symbols": "bytes", "data.validation": 0, "data.test": 0}
    )


def test_from_a_run_to_its_page(lstm, capsys):
    look_inside.main([str(lstm.path), "--length=300"])
    printed = capsys.readouterr().out
    out = lstm.path / "inside"
    assert printed.strip().splitlines()[-1] == str(out / "index.html")
    assert "position in the word" in printed and "untrained" in printed
    assert "weights: of step 40" in printed and "read as prose (a guess; --language says otherwise)" in printed
    page = (out / "index.html").read_text(encoding="utf-8")
    assert lstm.name in page and "lstm, 2 x 8 units" in page and "read as prose" in page and "of step 40" in page
    assert set(re.findall('href="#([a-z-]+)"', page)) == set(re.findall('<section id="([a-z-]+)"', page)) - {"viewer"}

    loaded = seqjax.load(lstm.path)
    splits = open_task(lstm.trial())[1].splits
    held_out = np.concatenate([splits["validation"], splits["test"]])
    with np.load(out / "activations.npz", allow_pickle=False) as saved:
        np.testing.assert_array_equal(saved["symbols"], held_out[:300])
        state = loaded.model.stack.initial_state()
        for step, symbol in enumerate(held_out[:20]):  # one symbol at a time, by the network itself
            state, _ = loaded.model(np.array([symbol], np.int32), state)
            for layer, (c, h) in enumerate(state, 1):
                np.testing.assert_allclose(saved[f"layer{layer}.c"][step], c, rtol=1e-4, atol=1e-5)
                np.testing.assert_allclose(saved[f"layer{layer}.h"][step], h, rtol=1e-4, atol=1e-5)
        assert {"layer2.input", "layer2.forget", "layer2.output"} <= set(saved)
    rows = list(csv.DictReader((out / "units.csv").open(encoding="utf-8")))
    features = {row["feature"] for row in rows}
    assert {"position in the line", "first of its word"} <= features
    assert len(rows) == len(features) * 2 * 2 * 8
    assert {row["part"] for row in rows} == {"h", "c"}
    for row in rows:
        assert row["part"] in ("h", "c") and row["layer"] in ("1", "2") and float(row["score"]) <= 1


def test_a_network_that_learned_words_has_a_unit_for_them(lstm):
    """On text that had no part in the choice, and above what the best of all units reaches by chance."""
    rows = list(csv.DictReader((lstm.path / "inside" / "units.csv").open(encoding="utf-8")))
    of_words = [row for row in rows if row["feature"] == "first of its word"]
    best = max(of_words, key=lambda row: float(row["chosen"]))
    assert float(best["score"]) > float(best["chance"]) + 0.02


def test_scores_stand_beside_those_of_the_run_s_first_snapshot(lstm):
    rows = list(csv.DictReader((lstm.path / "inside" / "units.csv").open(encoding="utf-8")))
    loaded = seqjax.load(lstm.path, 0)
    _, symbols = look_inside.text_of(argparse.Namespace(text=None, run=lstm.path), loaded)
    measured = features.measure(loaded.vocabulary.decode(symbols), {"first of its word": features.first_of_word})
    (found,) = units.score(read(loaded.model, symbols, gates=False), measured).found()
    beside = [float(row["untrained"]) for row in rows if row["feature"] == "first of its word"]
    assert beside == pytest.approx([found.score] * 32)


def test_a_text_language_and_features_of_ones_own(folder, lstm, capsys):
    text, features = folder / "own.txt", folder / "own.py"
    text.write_text("the cat sat on a mat.\n" * 60 + HOSTILE)
    features.write_text("FEATURES = {'a vowel': lambda text: [s in 'aeiou' for s in text]}")
    out = folder / "elsewhere" / "page"
    look_inside.main([str(lstm.path), f"--text={text}", "--language=c", f"--features={features}", f"--out={out}"])
    printed = capsys.readouterr().out
    assert "a vowel" in printed
    assert "no score for 'inside a comment': it does not vary in both halves of the text" in printed
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "own.txt" in page and "read as c" in page
    assert "<b>&amp;" not in page


def test_snapshots_are_shown_and_where_none_can_be_read_the_page_does_without(lstm, folder, capsys, caplog):
    out = folder / "through_training"
    look_inside.main([str(lstm.path), "--length=200", f"--out={out}"])
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count("<h4>step ") == 3
    assert (out / "gates_through_training.csv").is_file()

    damaged = folder / "damaged"
    shutil.copytree(lstm.path, damaged)
    for manifest in damaged.glob("snapshots/*/manifest.json"):
        manifest.write_text("{}")
    look_inside.main([str(damaged), "--length=200", f"--out={out}"])
    capsys.readouterr()
    assert "has no snapshot that is not damaged" in caplog.text
    assert "<h4>step " not in (out / "index.html").read_text(encoding="utf-8")
    assert not (out / "gates_through_training.csv").exists(), "a figure of the page before it"


def test_titles_of_ones_own_become_names_of_files(folder, lstm, capsys):
    text, features, out = folder / "own.txt", folder / "long.py", folder / "long"
    text.write_bytes(tiny.text(4000, seed=1))
    features.write_text(
        "def blank(text):\n    return [symbol == ' ' for symbol in text]\n"
        "FEATURES = {'x' * 300: blank, 'a+b': blank, 'a-b': blank}"
    )
    look_inside.main([str(lstm.path), f"--text={text}", f"--features={features}", f"--out={out}"])
    capsys.readouterr()
    names = {file.stem for file in (out / "pictures").glob("*.svg")}
    assert {"x" * 60, "a_b", "a_b_"} <= names


def test_a_network_that_is_not_finite_is_refused_before_anything_is_written(folder, lstm, monkeypatch):
    from flax import nnx

    loaded = seqjax.load(lstm.path)
    broken = nnx.clone(loaded.model)
    broken.readout.b[...] = np.nan
    monkeypatch.setattr("seqjax.loading.load", lambda run: dataclasses.replace(loaded, model=broken))
    with pytest.raises(UserError, match="numbers that are not finite"):
        look_inside.main([str(lstm.path), f"--out={folder / 'nan'}"])
    assert not list((folder / "nan").iterdir())


def test_what_comes_after_the_scored_symbols_need_not_be_known(monkeypatch):
    monkeypatch.setattr(look_inside, "MOST_SCORED", 5)
    assert look_inside.beginning("ééé 12 猫".encode(), "characters") == "ééé 12 猫".encode(), "short: all of it"
    assert look_inside.beginning(("é" * 20 + "猫").encode(), "characters").decode() == "é" * 5
    assert look_inside.beginning("猫".encode() * 20, "characters").decode() == "猫" * 5
    assert look_inside.beginning(b"a" * 40, "bytes") == b"a" * 20


def test_bytes_nothing_held_out_and_no_snapshots(of_bytes, capsys):
    look_inside.main([str(of_bytes.path), "--length=50"])
    said = "the run keeps no snapshot of step 0; train one with --config.train.snapshots=8, in another directory"
    assert said in capsys.readouterr().out
    assert said in (of_bytes.path / "inside" / "index.html").read_text(encoding="utf-8")
    with np.load(of_bytes.path / "inside" / "activations.npz") as saved:
        task = open_task(of_bytes.trial())[1]
        np.testing.assert_array_equal(saved["symbols"], task.splits["train"][-look_inside.MOST_SCORED :][:50])
        assert "layer1.update" in saved
    loaded = seqjax.load(of_bytes.path)
    labels = look_inside.labels_of(loaded.vocabulary)
    assert {"a", "\n", "\t", "c3", "a9", "f0"} <= set(labels)


def test_a_sentence_has_a_page_of_its_own_without_cells(folder, lstm, capsys):
    text, out = folder / "a b: ü!.txt", lstm.path / "inside_a_b_ü"
    text.write_text("the cat")
    page = lstm.path / "inside" / "index.html"
    if not page.exists():
        page.parent.mkdir(exist_ok=True)
        page.write_text("of the run's own text")
    before = page.read_bytes()
    for stale in (True, False):
        look_inside.main([str(lstm.path), f"--text={text}"])
        printed = capsys.readouterr().out
        assert "a text of 7 symbols is too short to find cells in; it takes 800" in printed
        assert printed.strip().splitlines()[-1] == str(out / "index.html")
        assert not (out / "units.csv").exists()
        if stale:
            (out / "units.csv").write_text("of a longer text")
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "A text of 7 symbols is too short to find cells in; it takes 800." in page
    assert (lstm.path / "inside" / "index.html").read_bytes() == before, "the page of the run's own text"


@pytest.mark.parametrize(
    ("content", "extra", "sentence"),
    [
        (b"", [], "is empty"),
        (b"t", [], "a text of 1 symbol has nothing to predict; it needs at least 2"),
        ("the 猫".encode(), [], "a network reads no symbols but those of the text it was trained on"),
        (b"the \xff", [], "is not UTF-8, and this vocabulary is of characters"),
        (b"the cat", ["--language=pyton"], "unknown language 'pyton'; did you mean 'python'?"),
        (b"the cat", ["--length=1"], "--length is 1; it should be at least 2"),
        (b"the cat", ["--features=none.py"], "there is no file of features 'none.py'"),
        (b"the cat", ["--out={file}/page"], "cannot be written"),
    ],
)
def test_wrong_input_is_one_sentence(folder, lstm, content, extra, sentence):
    text = folder / "wrong.txt"
    text.write_bytes(content)
    extra = [argument.format(file=text) for argument in extra]
    with pytest.raises(UserError) as raised:
        look_inside.main([str(lstm.path), f"--text={text}", *extra])
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_runs_that_cannot_be_looked_into(folder, lstm):
    with pytest.raises(UserError, match="has no checkpoint to read weights from"):
        look_inside.main([str(queued(folder, **{"cell.name": "rnn"}).path)])
    with pytest.raises(UserError, match="there is no run directory"):
        look_inside.main([str(folder / "none")])
    with pytest.raises(UserError, match="there is no file"):
        look_inside.main([str(lstm.path), f"--text={folder / 'none.txt'}"])


def test_a_run_that_was_never_evaluated_is_refused(lstm, monkeypatch):
    """Its best weights are the first ones: what it would show was not learned."""
    restored = checkpoints.restore_newest

    def before_the_first_evaluation(place):
        step, arrays, loop = restored(place)
        return step, arrays, loop | {"best_step": 0}

    monkeypatch.setattr(checkpoints, "restore_newest", before_the_first_evaluation)
    assert seqjax.load(lstm.path).step == 0
    with pytest.raises(UserError, match=r"was never evaluated, .* train it on to its first evaluation, at step 10"):
        look_inside.main([str(lstm.path)])


def test_a_run_of_another_task_is_no_language_model(lstm, monkeypatch):
    config, _ = load_config("configs/pathological.py:latch")
    monkeypatch.setattr("seqjax.loading.load", lambda run: Loaded(None, config, object(), 1))
    with pytest.raises(UserError, match="a run of the task latch has no vocabulary: it is no language model"):
        look_inside.main([str(lstm.path)])


def test_the_command_prints_a_sentence_and_exits_with_2(tmp_path):
    command = [sys.executable, "-m", "experiments.look_inside", str(tmp_path / "none")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=pathlib.Path(__file__).parents[1])
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: there is no run directory")
    assert "Traceback" not in ended.stderr
