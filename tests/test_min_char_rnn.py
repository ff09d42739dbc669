"""The min_char_rnn preset is Karpathy's program step by step: checked against NumPy written from its recipe."""

import dataclasses

import jax
import numpy as np
import pytest

from seqjax.config import load_config
from seqjax.tasks.char_lm import CharLM, cut
from seqjax.tasks.vocabulary import Vocabulary
from seqjax.training.step import Trainer

CHUNK = 25
NAMES = {
    "xh": "stack.layers.0.w",
    "hh": "stack.layers.0.u",
    "bh": "stack.layers.0.b",
    "hy": "readout.w",
    "by": "readout.b",
}
SHORT = {name: short for short, name in NAMES.items()}


def text(symbols: int) -> bytes:
    """Words drawn from a small lexicon: text with something to learn."""
    random = np.random.default_rng(0)
    words = ["the ", "cat ", "sat ", "on ", "a ", "mat.\n", "and ", "then ", "ran; ", "Dogs ", "bark!\n"]
    return "".join(random.choice(words, symbols)).encode()[:symbols]


def numpy_iterations(symbols, w):
    """float64: summed cross-entropy, gradient elements clipped to [-5, 5], Adagrad, state carried over chunks.

    Yields `(loss, w, memory, h)` after each iteration.
    """
    memory = {name: np.zeros_like(value) for name, value in w.items()}
    place, h = 0, np.zeros(w["hh"].shape[0])
    while True:
        if place + CHUNK + 1 >= len(symbols):
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
        w, memory = dict(w), dict(memory)
        for name in w:
            gradient = np.clip(d[name], -5, 5)
            memory[name] = memory[name] + gradient**2
            w[name] = w[name] - 0.1 * gradient / np.sqrt(memory[name] + 1e-8)
        h, place = states[-1], place + CHUNK
        yield loss, w, memory, h


def smooth(losses, vocab):
    smoothed, history = -np.log(1.0 / vocab) * CHUNK, []
    for loss in losses:
        smoothed = 0.999 * smoothed + 0.001 * loss
        history.append(smoothed)
    return np.array(history)


def preset(steps_per_dispatch):
    config, _ = load_config("configs/char_lm.py:min_char_rnn")
    config.train.steps_per_dispatch = steps_per_dispatch
    raw = text(4_990)  # starts over five times in 1,000 iterations
    vocabulary = Vocabulary.of(raw, "characters", 512)
    symbols = vocabulary.encode(raw)
    trainer = Trainer(CharLM(config, vocabulary, cut(symbols, 0.0, 0.0)), config)
    return trainer, trainer.initialise(), symbols, len(vocabulary)


def ours(w):
    return {NAMES[short]: value for short, value in w.items()}


@pytest.mark.usefixtures("float64")
def test_each_of_1000_iterations_is_the_programs_own():
    """From the same weights, memory and hidden state, every iteration ends in the same ones.

    Left to themselves two float64 programs drift apart: with Adagrad's first steps a difference in the last bit grows
    a million times within thirty iterations. So ours goes on from where the other is.
    """
    trainer, state, symbols, vocab = preset(steps_per_dispatch=1)
    weights = {short: np.array(state.parameters[name]) for short, name in NAMES.items()}
    assert all(value.dtype == np.float64 for value in weights.values())
    assert 0.009 < weights["hh"].std() < 0.011
    assert not weights["bh"].any()
    template = jax.tree.structure(state.optimiser)

    nats, losses = [], []
    for iteration, (loss, w, memory, h) in zip(range(1000), numpy_iterations(symbols, weights), strict=False):
        state, measured = trainer.run(state, 1000)
        nats.append(float(measured["nats"][0]) * CHUNK)
        losses.append(loss)
        if iteration % 50 == 49:
            for name, value in ours(w).items():
                np.testing.assert_allclose(state.parameters[name], value, rtol=1e-9, atol=1e-12)
        accumulators = jax.tree.unflatten(template, [memory[SHORT[name]] for name in sorted(SHORT)])
        state = trainer.place(dataclasses.replace(state, parameters=ours(w), optimiser=accumulators, carry=(h[None],)))
    np.testing.assert_allclose(smooth(nats, vocab), smooth(losses, vocab), rtol=1e-12)
    assert smooth(losses, vocab)[-1] < 0.7 * smooth(losses, vocab)[0]


@pytest.mark.usefixtures("float64")
def test_smoothed_loss_by_itself():
    """To rounding as long as rounding has not grown; then no farther off than the program is from itself.

    The program, started from weights that differ in their last bit, ends up to 3.5% away: that is its chaos, and ours
    may differ by twice the most that eight such runs do.
    """
    trainer, state, symbols, vocab = preset(steps_per_dispatch=100)
    weights = {short: np.array(state.parameters[name]) for short, name in NAMES.items()}
    nats = []
    for _ in range(10):
        state, measured = trainer.run(state, 1000)
        nats.append(np.array(measured["nats"]) * CHUNK)
    history = smooth(np.concatenate(nats), vocab)
    expected = numpy_history(symbols, weights, vocab)
    np.testing.assert_allclose(history[:10], expected[:10], rtol=1e-9)
    spread = [
        np.abs(numpy_history(symbols, last_bits_changed(weights, seed), vocab) / expected - 1).max()
        for seed in range(8)
    ]
    assert 1e-3 < max(spread) < 0.1
    np.testing.assert_allclose(history, expected, rtol=2 * max(spread))


def numpy_history(symbols, weights, vocab):
    return smooth([loss for _, (loss, *_) in zip(range(1000), numpy_iterations(symbols, weights), strict=False)], vocab)


def last_bits_changed(weights, seed):
    draw = np.random.RandomState(seed)
    return {name: w * (1 + np.finfo(w.dtype).eps * draw.choice([-1, 0, 1], w.shape)) for name, w in weights.items()}
