"""The min_char_rnn preset is Karpathy's program step by step: checked against NumPy written from its recipe."""

import numpy as np
import pytest

from seqjax.config import load_config
from seqjax.models import parameters
from seqjax.tasks.char_lm import CharLM, cut
from seqjax.tasks.vocabulary import Vocabulary
from seqjax.training.step import Trainer

CHUNK = 25


def text(symbols: int) -> bytes:
    """Words drawn from a small lexicon: text with something to learn."""
    random = np.random.default_rng(0)
    words = ["the ", "cat ", "sat ", "on ", "a ", "mat.\n", "and ", "then ", "ran; ", "Dogs ", "bark!\n"]
    return "".join(random.choice(words, symbols)).encode()[:symbols]


def numpy_smoothed_losses(symbols, vocab, w, iterations):
    """float64: summed cross-entropy, gradient elements clipped to [-5, 5], Adagrad, state carried over chunks."""
    memory = {name: np.zeros_like(value) for name, value in w.items()}
    smoothed, place, h = -np.log(1.0 / vocab) * CHUNK, 0, np.zeros(w["hh"].shape[0])
    history = []
    for iteration in range(iterations):
        if place + CHUNK + 1 >= len(symbols) or iteration == 0:
            h, place = np.zeros_like(h), 0
        inputs, targets = symbols[place : place + CHUNK], symbols[place + 1 : place + CHUNK + 1]
        states, probabilities, loss = [h], [], 0.0
        for x, y in zip(inputs, targets, strict=True):
            states.append(np.tanh(w["xh"][x] + states[-1] @ w["hh"] + w["bh"]))
            logits = states[-1] @ w["hy"] + w["by"]
            p = np.exp(logits - logits.max())
            probabilities.append(p / p.sum())
            loss -= np.log(probabilities[-1][y])
        d = {name: np.zeros_like(value) for name, value in w.items()}
        dh_next = np.zeros_like(h)
        for t in reversed(range(CHUNK)):
            dy = probabilities[t].copy()
            dy[targets[t]] -= 1
            d["hy"] += np.outer(states[t + 1], dy)
            d["by"] += dy
            dz = (w["hy"] @ dy + dh_next) * (1 - states[t + 1] ** 2)
            d["bh"] += dz
            d["xh"][inputs[t]] += dz
            d["hh"] += np.outer(states[t], dz)
            dh_next = w["hh"] @ dz
        for name in w:
            gradient = np.clip(d[name], -5, 5)
            memory[name] += gradient**2
            w[name] = w[name] - 0.1 * gradient / np.sqrt(memory[name] + 1e-8)
        h, place = states[-1], place + CHUNK
        smoothed = 0.999 * smoothed + 0.001 * loss
        history.append(smoothed)
    return np.array(history)


@pytest.mark.usefixtures("float64")
def test_smoothed_loss_agrees_for_1000_iterations():
    config, _ = load_config("configs/char_lm.py:min_char_rnn")
    raw = text(4_990)  # starts over five times
    vocabulary = Vocabulary.of(raw, "characters", 512)
    symbols = vocabulary.encode(raw)
    trainer = Trainer(CharLM(config, vocabulary, cut(symbols, 0, 0)), config)
    state = trainer.initialise()
    ours = parameters.flatten(trainer.network(state.parameters))
    names = {
        "xh": "stack.layers.0.w",
        "hh": "stack.layers.0.u",
        "bh": "stack.layers.0.b",
        "hy": "readout.w",
        "by": "readout.b",
    }
    weights = {short: np.array(ours[name]) for short, name in names.items()}
    assert all(value.dtype == np.float64 for value in weights.values())
    assert 0.009 < weights["hh"].std() < 0.011
    assert not weights["bh"].any()

    nats = []
    for _ in range(10):
        state, measured = trainer.run(state, 1000)
        nats.append(np.array(measured["nats"]))
    smoothed, history = -np.log(1.0 / len(vocabulary)), []
    for value in np.concatenate(nats):
        smoothed = 0.999 * smoothed + 0.001 * value
        history.append(CHUNK * smoothed)

    expected = numpy_smoothed_losses(symbols, len(vocabulary), weights, 1000)
    assert expected[-1] < 0.7 * expected[0]
    np.testing.assert_allclose(history, expected, rtol=1e-9)
