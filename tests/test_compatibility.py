"""Runs of earlier versions stay readable: tests/data has one of each version, made by it and never changed."""

import pathlib
import shutil

import numpy as np
import pytest
import tiny

import seqjax
from experiments import compare, evaluate, export, look_inside, sample
from seqjax.errors import UserError
from seqjax.loading import load, snapshots
from seqjax.tasks.char_lm import cut

FROZEN = sorted((pathlib.Path(__file__).parent / "data").glob("runs-*/*"))
SCORES = {"runs-0.1.0": {"validation": 2.9275821886564555, "test": 2.931629498799642}}


@pytest.fixture(params=FROZEN, ids=lambda run: run.parent.name)
def run(request, tmp_path):
    """A copy: reading leaves an index and reports."""
    copy = tmp_path / request.param.parent.name / request.param.name
    shutil.copytree(request.param, copy)
    return copy


def test_there_is_a_run_of_this_version():
    assert f"runs-{seqjax.__version__}" in {run.parent.name for run in FROZEN}


def test_its_network_scores_what_it_scored(run):
    loaded = load(run)
    raw = tiny.text()
    data = loaded.config.data
    splits = cut(loaded.vocabulary.encode(raw), data.validation, data.test)
    for split, score in SCORES[run.parent.name].items():
        assert loaded.task.score(loaded.model, splits[split])["nats"] == pytest.approx(score, rel=1e-5)


def test_it_is_compared(run, capsys):
    assert compare.main([str(run.parent)]) == 0
    out = capsys.readouterr().out
    assert "2.9276" in out
    assert "20/20" in _listed(run.parent, capsys)


def _listed(runs, capsys):
    assert compare.main([str(runs), "--list"]) == 0
    return capsys.readouterr().out


def test_it_writes_and_is_exported(run, tmp_path, capsysbinary):
    sample.main([str(run), "--prompt=the ", "--length=20"])
    assert len(capsysbinary.readouterr().out) == len(b"the \n") + 20
    export.main([str(run), f"--out={tmp_path / 'weights.npz'}"])
    with np.load(tmp_path / "weights.npz") as exported:
        assert {name: exported[name].shape for name in exported} == {
            name: value.shape for name, value in load(run).weights().items()
        }
    assert snapshots(run) == [0, 20]


def test_without_its_text_it_says_what_is_missing(run):
    with pytest.raises(UserError, match=r"/texts/text\.txt"):
        evaluate.main([str(run)])


def test_one_looks_inside(run, tmp_path):
    (tmp_path / "text.txt").write_bytes(tiny.text(1500))
    look_inside.main([str(run), f"--text={tmp_path / 'text.txt'}", f"--out={tmp_path / 'inside'}"])
    assert (tmp_path / "inside" / "index.html").is_file()
