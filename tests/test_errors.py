"""The command that breaks errors down by kind, on networks that were never trained."""

import csv
import html
import re

import jax
import numpy as np
import pytest
import tiny
from flax import nnx

from experiments.errors import main
from seqjax.config import load_config, override
from seqjax.errors import UserError
from seqjax.interpret import surprise as surprise_module
from seqjax.interpret.surprise import surprise
from seqjax.loading import load
from seqjax.models import parameters
from seqjax.results import RunDirectory
from seqjax.sweeps.launch import plan
from seqjax.training import checkpoints
from seqjax.training.trial import open_task

pytestmark = pytest.mark.usefixtures("quick_compilation")
FIGURES = (
    "loss_by_class",
    "loss_by_place",
    "loss_on_closing",
    "beside_ngrams",
    "beyond_ngrams",
    "error_categories",
    "errors_between",
)


HOSTILE = "<img src=x onerror=alert(1)>$x^2&\"'"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a text of all kinds of symbols, and a cache."""
    folder = tmp_path_factory.mktemp("errors")
    words = tiny.text(6000).decode().replace("cat", '"c<t"').replace("mat", "(m&t)").replace("Dogs", "D😀gs\t")
    (folder / "text.txt").write_bytes(words.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQJAX_CACHE_DIR", str(folder / "cache"))
        yield folder


def planned(folder, **settings):
    """A run directory as the launcher plans it, without a checkpoint."""
    config, _ = load_config("configs/char_lm.py:text")
    for argument in tiny.arguments(folder / "text.txt", **settings)[1:]:
        key, _, value = argument.removeprefix("--config.").partition("=")
        override(config, key, value)
    return plan([config], folder / "runs", rerun=False).runs[0]


def fresh(folder, times=1.0, best_step=1, **settings):
    """A run of a network with its first weights, or so many times those, which are said to be of `best_step`."""
    run = planned(folder, **settings)
    config, task = open_task(run.trial())
    network = task.network(nnx.Rngs(config.seed))
    weights = {f"best.{name}": times * np.asarray(value) for name, value in parameters.flatten(network).items()}
    checkpoints.save(run.checkpoints, 1, weights, {"best_step": best_step})
    return run


@pytest.fixture(scope="module")
def runs(folder):
    """Two runs, the second under a hostile name."""
    second = fresh(folder, cell__name="gru", seed=1)
    return fresh(folder), RunDirectory(second.path.rename(second.path.with_name(f"{HOSTILE}{second.name}")))


@pytest.fixture(scope="module")
def out(folder, runs):
    out = folder / "out"
    assert main([*(str(run.path) for run in runs), "--orders=10", f"--out={out}"]) == 0
    return out


def rows(out, name) -> list[dict]:
    with (out / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_its_files_and_its_place_on_the_page(out, name):
    assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert (out / f"{name}.svg").read_text().rstrip().endswith("</svg>")
    assert rows(out, name)
    assert f'<figure id="{name}">' in (out / "index.html").read_text()


def test_the_page_asks_for_nothing_from_the_network(out):
    page = (out / "index.html").read_text()
    assert "default-src 'none'" in html.unescape(page)
    assert "<script" not in page
    assert not re.findall(r'\bsrc="(?!data:)', page)
    links = re.findall(r'\bhref="([^"#]+)"', page)
    assert all(link.startswith("https://arxiv.org/abs/") for link in links)


def test_hostile_names_are_shown_as_text(out):
    page = (out / "index.html").read_text()
    assert "<img" not in page
    assert html.escape(HOSTILE) in page
    drawn = (out / "beside_ngrams.svg").read_text()
    assert "<img" not in drawn
    assert html.escape(HOSTILE[:20]) in drawn


def test_the_tables_agree_with_the_evaluation_of_each_run(out, runs):
    for run in runs:
        loaded = load(run.path)
        symbols = open_task(run.trial())[1].splits["test"]
        expected = loaded.task.score(loaded.model, symbols)["nats"]
        (row,) = (r for r in rows(out, "beside_ngrams") if (r["network"], r["model"]) == (run.path.name, "network"))
        assert float(row["nats"]) == pytest.approx(expected, abs=0.02)  # evaluation reads in lanes
        classes = [row for row in rows(out, "loss_by_class") if row["model"] == run.path.name]
        assert sum(int(row["symbols"]) for row in classes) == len(symbols) - 1
        assert sum(float(row["share_of_loss"]) for row in classes) == pytest.approx(1)
        found = [row for row in rows(out, "error_categories") if row["network"] == run.path.name]
        assert sum(float(row["share_of_errors"]) for row in found) == pytest.approx(1)


def test_one_run_of_bytes_has_a_page_without_a_comparison_in_its_own_directory(folder):
    run = fresh(folder, data__symbols="bytes")
    assert main([str(run.path), "--orders=3", "--symbols=200"]) == 0
    assert (run.path / "errors" / "error_categories.csv").is_file()
    assert not (run.path / "errors" / "errors_between.csv").exists()


def test_surprise_is_that_of_the_text_read_in_one_go(runs, monkeypatch):
    monkeypatch.setattr(surprise_module, "WINDOW", 64)
    network = load(runs[0].path).model
    symbols = open_task(runs[0].trial())[1].splits["test"][:200]
    _, logits = network(symbols[:-1])
    expected = -np.take_along_axis(np.asarray(jax.nn.log_softmax(logits)), symbols[1:, None].astype(int), 1)[:, 0]
    found = surprise(network, symbols)
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (["--split=tset"], "unknown split 'tset'; did you mean 'test'?"),
        (["--split=train"], "n-gram models are made of the train split"),
        (["--orders=0"], "--orders is 0; it should be at least 1"),
        (["--symbols=1"], "--symbols is 1; it should be at least 2"),
        (["--out=/dev/null/here"], "cannot be written to /dev/null/here"),
        (["/nowhere"], "there is no run directory /nowhere"),
    ],
)
def test_wrong_input_is_one_sentence(runs, extra, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        main([str(runs[0].path), *extra])


def test_runs_on_other_data_are_not_compared(folder, runs):
    others = {
        "different vocabularies": fresh(folder, data__symbols="bytes"),
        "different texts or splits": fresh(folder, data__test=0.2),
    }
    for sentence, other in others.items():
        with pytest.raises(UserError, match=sentence):
            main([str(runs[0].path), str(other.path)])


def test_a_run_is_not_compared_with_itself(runs):
    path = runs[0].path
    with pytest.raises(UserError, match="are the same directory"):
        main([str(path), str(path.parent / "." / path.name) + "/"])


def test_the_step_of_the_weights_is_named_and_a_run_that_was_never_evaluated_refused(folder, runs, capsys):
    first, second = runs
    assert main([str(first.path), "--orders=1", "--symbols=200", f"--out={folder / 'step'}"]) == 0
    assert f"weights, {first.path.name}: of step 1" in capsys.readouterr().out
    assert "<dd>of step 1</dd>" in (folder / "step" / "index.html").read_text()
    with pytest.raises(UserError, match="was never evaluated"):
        main([str(second.path), str(fresh(folder, best_step=0, seed=6).path)])


def test_captions_are_sentences(folder, runs):
    """One network is not named in them."""
    assert main([str(runs[0].path), "--orders=2", f"--out={folder / 'one'}"]) == 0
    captions = re.findall("<figcaption>(.)", (folder / "one" / "index.html").read_text())
    assert len(captions) == 6
    assert [first for first in captions if not first.isupper()] == [runs[0].path.name[0]]  # the run's own name


def test_a_network_that_diverged_is_named(folder, runs):
    diverged = fresh(folder, times=np.float32("nan"), seed=5)
    with pytest.raises(UserError, match=f"the losses of {re.escape(str(diverged.path))} are not all finite"):
        main([str(runs[0].path), str(diverged.path), "--symbols=50", "--orders=1"])


def test_a_run_without_what_is_needed_is_one_sentence(folder):
    with pytest.raises(UserError, match="has no checkpoint"):
        main([str(planned(folder, seed=7).path)])
    with pytest.raises(UserError, match="no test split to measure; use --split=validation"):
        main([str(fresh(folder, data__test=0.0).path)])
