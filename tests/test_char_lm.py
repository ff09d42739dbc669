"""Texts as symbols, scores of a text, and samples."""

import logging
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from flax import nnx

from seqjax.errors import UserError
from seqjax.models import build
from seqjax.models.sampling import generate
from seqjax.tasks import find_task
from seqjax.tasks.char_lm import CharLM, cut
from seqjax.tasks.vocabulary import Vocabulary

TEXTS = {
    "ascii": b"hello\r\nworld",
    "unicode": "naïve 日本 🙂\ufeff".encode(),
    "bytes": bytes(range(256)),
    "nul": b"a\0b\0",
    "one": b"aaaa",
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("kind", ["characters", "bytes"])
def test_every_text_has_symbols_and_they_spell_it(name, kind):
    raw = TEXTS[name]
    vocabulary = Vocabulary.of(raw, kind, 512)
    symbols = vocabulary.encode(raw)
    assert symbols.max() < len(vocabulary)
    assert vocabulary.decode(symbols) == raw.decode("utf-8", "replace")
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


def test_a_text_that_is_not_utf8_falls_back_to_bytes_and_says_so(caplog):
    assert Vocabulary.of(b"abc\xff", "characters", 512).kind == "bytes"
    assert "the text is not UTF-8 (byte 3); its symbols are bytes" in caplog.text


def test_a_vocabulary_that_would_explode_falls_back_to_bytes_and_says_so(caplog):
    raw = "".join(map(chr, range(0x4E00, 0x4E00 + 600))).encode()
    with caplog.at_level(logging.WARNING):
        assert Vocabulary.of(raw, "characters", 512).kind == "bytes"
    assert "600 distinct characters, more than 512" in caplog.text
    assert Vocabulary.of(raw, "characters", 600).kind == "characters"


def test_symbols_outside_the_vocabulary_are_named():
    vocabulary = Vocabulary.of(b"abc", "characters", 512)
    with pytest.raises(UserError, match="the prompt 'xyz' holds 'x', 'y', 'z', which the training text did not"):
        vocabulary.encode("xyz", "the prompt 'xyz'")
    with pytest.raises(UserError, match="holds byte 0x78"):
        Vocabulary.of(b"abc", "bytes", 512).encode("x")
    with pytest.raises(UserError, match="the text is not UTF-8"):
        vocabulary.encode(b"\xff")


def test_splits_are_contiguous_and_cover_the_text():
    symbols = np.arange(1000)
    splits = cut(symbols, 0.1, 0.05)
    assert [len(splits[name]) for name in ("train", "validation", "test")] == [850, 100, 50]
    np.testing.assert_array_equal(np.concatenate(list(splits.values())), symbols)
    with pytest.raises(UserError, match="leaves nothing to train on"):
        cut(symbols, 0.5, 0.5)


def network(task, seed=0):
    return task.network(nnx.Rngs(seed))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("size", [2, 3, 70, 300, 3000])
def test_a_short_text_scores_as_read_in_one_piece(size):
    """Lanes are an approximation where there are several; one lane, and a cell that forgets at once, are exact."""
    task = tiny.task(tiny.config())
    model = network(task)
    symbols = np.random.default_rng(1).integers(0, len(task.vocabulary), size).astype(np.uint8)
    _, logits = model(jnp.asarray(symbols[:-1], jnp.int32)[:, None])
    log_p = jax.nn.log_softmax(logits[:, 0])
    exact = -np.asarray(log_p)[np.arange(size - 1), symbols[1:]].mean()
    scores = task.score(model, symbols)
    if size <= 300:
        np.testing.assert_allclose(scores["nats"], exact, rtol=1e-12)
    np.testing.assert_allclose(scores["nats"], exact, rtol=1e-4)
    assert scores["bits"] == scores["nats"] / math.log(2)
    assert scores["perplexity"] == math.exp(scores["nats"])


@pytest.mark.usefixtures("float64")
def test_a_text_of_many_windows_carries_its_state_through_them(monkeypatch):
    """The same score whether the text goes to the device in one piece or in several."""
    import functools

    from seqjax.tasks import char_lm

    task = tiny.task(tiny.config())
    model, symbols = network(task), tiny.task(tiny.config()).splits["train"]
    whole = task.score(model, symbols)["nats"]
    monkeypatch.setattr(char_lm, "_windows", functools.partial(char_lm._windows, windows_per_call=3))
    np.testing.assert_allclose(task.score(model, symbols)["nats"], whole, rtol=1e-12)


def test_a_text_with_nothing_to_predict():
    task = tiny.task(tiny.config())
    with pytest.raises(UserError, match="a text of 1 symbols has nothing to predict"):
        task.score(network(task), np.zeros(1, np.uint8))


def test_the_text_must_hold_a_chunk_for_every_lane():
    with pytest.raises(UserError, match=r"has 24 symbols; 4 lanes of at least one chunk of 10 \+ 1 symbols need 44"):
        tiny.task(tiny.config(), tiny.text(30))


class Deterministic(nnx.Module):
    """Always predicts the symbol after the last one with certainty."""

    def __call__(self, symbols, state=None):
        return 0, jax.nn.one_hot((symbols + 1) % 5, 5) * 100.0


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, 0), (0.0, 0), (0.5, 3), (100.0, 1)])
def test_a_certain_network_writes_its_certainty(temperature, top_k):
    written = generate(Deterministic(), jnp.asarray([3]), jax.random.key(0), temperature, length=6, top_k=top_k)
    np.testing.assert_array_equal(written, [4, 0, 1, 2, 3, 4])


class Fixed(nnx.Module):
    """Predicts the same distribution always."""

    def __init__(self, p):
        self.logits = nnx.Param(jnp.log(jnp.asarray(p)))

    def __call__(self, symbols, state=None):
        return 0, jnp.broadcast_to(self.logits[...], (*symbols.shape, self.logits.shape[0]))


@pytest.mark.parametrize(
    ("temperature", "top_k", "expected"),
    [
        (1.0, 0, [0.5, 0.3, 0.2]),
        (0.5, 0, np.array([0.25, 0.09, 0.04]) / 0.38),
        (1.0, 2, [0.625, 0.375, 0]),
        (0.0, 0, [1, 0, 0]),
    ],
)
def test_samples_have_the_distribution_asked_for(temperature, top_k, expected):
    network = Fixed([0.5, 0.3, 0.2])
    drawn = generate(network, jnp.asarray([0]), jax.random.key(1), temperature, length=20_000, top_k=top_k)
    frequencies = np.bincount(np.asarray(drawn), minlength=3) / 20_000
    np.testing.assert_allclose(frequencies, expected, atol=0.015)  # four standard errors


def test_a_sample_starts_with_its_prompt_and_repeats_with_its_seed():
    task = tiny.task(tiny.config())
    model = network(task)
    text = task.sample(model, 3, prompt="the cat", length=30)
    assert text.startswith("the cat")
    assert len(text) == 37
    assert text == task.sample(model, 3, prompt="the cat", length=30)
    assert text != task.sample(model, 4, prompt="the cat", length=30)
    assert len(task.sample(model, 3, prompt="", length=5)) == 5


def test_hidden_size_for_a_budget_is_the_largest_that_fits():
    task = tiny.task(tiny.config())
    for cell in ("rnn", "lstm", "mut1"):
        config = tiny.config(cell__name=cell)
        config.cell.hidden = build.hidden_for_budget(config, task.network_of, 5000)

        def count(hidden, config=config):
            config.cell.hidden = hidden
            return sum(leaf.size for leaf in jax.tree.leaves(task.network_of(config, rngs=nnx.Rngs(0))))

        assert count(config.cell.hidden) <= 5000 < count(config.cell.hidden + 1)
    narrow = tiny.config(cell__name="mut1")  # as wide as the vocabulary it would lose its widening matrix
    narrow.cell.hidden = len(task.vocabulary)
    dip = sum(leaf.size for leaf in jax.tree.leaves(task.network_of(narrow, rngs=nnx.Rngs(0))))
    assert build.hidden_for_budget(narrow, task.network_of, dip) != len(task.vocabulary)
    with pytest.raises(UserError, match=r"cell\.parameters is 10, but lstm has"):
        build.hidden_for_budget(tiny.config(), task.network_of, 10)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"cell__name": "lstn"}, "unknown cell 'lstn'; did you mean 'lstm'?"),
        ({"cell__hidden": 0}, "'cell.hidden' is 0; it should be at least 1"),
        ({"cell__layers": 0}, "'cell.layers' is 0"),
        ({"init__kernel": "glorat"}, "unknown initialiser 'glorat'; did you mean 'glorot'?"),
        ({"model__tied": True}, "tied weights need a learned embedding"),
        ({"model__tied": True, "model__embedding": 5}, "5 is not 8"),
        ({"cell__options__forget": 1}, "the cell lstm has no option 'forget'; did you mean 'forget_bias'?"),
        ({"cell__options__forget_bias": "high"}, "the option 'forget_bias' of lstm is like 1.0, not 'high'"),
    ],
)
def test_networks_that_cannot_be_built(settings, sentence):
    config = tiny.config(**settings)
    with pytest.raises(UserError) as raised:
        network(tiny.task(config))
    assert sentence in str(raised.value)


def test_cell_options_reach_the_cell():
    config = tiny.config(cell__options__forget_bias="2.5")
    cell = network(tiny.task(config)).stack.layers[0]
    np.testing.assert_array_equal(cell.b[8:16], 2.5)


def test_unknown_task():
    with pytest.raises(UserError, match=r"unknown task 'char_ln'; did you mean 'char_lm'\?"):
        find_task("char_ln")
    assert find_task("char_lm") is CharLM
