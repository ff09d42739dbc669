"""N-gram models against Chen & Goodman's equations, written out with dictionaries."""

import collections
import itertools

import numpy as np
import pytest

from seqjax.interpret.ngrams import probabilities

VOCAB = 4


def discounts(counts: dict) -> list[float]:
    of = collections.Counter(counts.values())
    if not all(of[n] for n in (1, 2, 3, 4)):
        return [0, 0.5, 1, 1.5]
    y = of[1] / (of[1] + 2 * of[2])
    made = [0, *(n - (n + 1) * y * of[n + 1] / of[n] for n in (1, 2, 3))]
    return made if min(made) >= 0 else [0, 0.5, 1, 1.5]


def grams(train, n: int) -> list[tuple]:
    return [tuple(train[i : i + n]) for i in range(len(train) - n + 1)]


def direct(train, context: tuple, symbol: int, highest: bool = True) -> float:
    """p(symbol | context), by the recursion as it stands in the paper."""
    n = len(context) + 1
    if highest:
        counts = collections.Counter(grams(train, n))
    else:
        counts = collections.Counter(gram[1:] for gram in set(grams(train, n + 1)))
    d = discounts({gram: count for gram, count in counts.items() if count})
    of_context = {gram: count for gram, count in counts.items() if gram[:-1] == context}
    shorter = direct(train, context[1:], symbol, False) if context else 1 / VOCAB
    total = sum(of_context.values())
    if not total:
        return shorter
    gained = sum(d[min(count, 3)] for count in of_context.values())
    own = counts[(*context, symbol)]
    return (max(own - d[min(own, 3)], 0) + gained * shorter) / total


def random_text(seed: int, length: int) -> np.ndarray:
    """Symbols that depend on the one before, so that contexts come again."""
    random, text = np.random.default_rng(seed), [0]
    for _ in range(length - 1):
        text.append((text[-1] + random.choice(3, p=[0.6, 0.3, 0.1])) % VOCAB)
    return np.array(text)


@pytest.mark.parametrize("length", [3, 40, 300])
def test_probabilities_are_those_of_the_equations(length):
    train, text = random_text(0, length), random_text(1, 25)
    orders = (1, 2, 3, 5, 8)
    found = probabilities(train, text, orders, VOCAB)
    train, text = train.tolist(), text.tolist()
    for row, order in zip(found, orders, strict=True):
        for place, symbol in enumerate(text):
            context = tuple(text[max(0, place - order + 1) : place])
            expected = direct(train, context, symbol, len(context) == order - 1)
            assert row[place] == pytest.approx(expected, rel=1e-12), (order, place)


def test_discounts_are_estimated_where_there_are_enough_ngrams():
    """Else the comparison with the equations would only be one of the fallback."""
    counts = collections.Counter(grams(random_text(0, 300).tolist(), 5))
    assert discounts(counts) != [0, 0.5, 1, 1.5]


@pytest.mark.parametrize("context", [(), (0,), (0, 0, 1, 1), (3, 1, 3, 1), (0, 1, 2, 3)])
def test_distributions_sum_to_one_after_seen_and_unseen_contexts(context):
    train = random_text(0, 200)
    train = train[train != 3]  # symbol 3 is in no n-gram
    texts = [np.array([*context, symbol]) for symbol in range(VOCAB)]
    last = np.array([probabilities(train, text, range(1, 6), VOCAB)[:, -1] for text in texts])
    np.testing.assert_allclose(last.sum(0), 1, rtol=1e-12)
    assert (last > 0).all()


def test_a_text_seen_before_is_nearly_certain_at_high_orders():
    train = np.random.default_rng(0).integers(0, VOCAB, 2000)
    found = -np.log(probabilities(train, train[500:800], (1, 20), VOCAB)).mean(1)
    assert found[0] == pytest.approx(np.log(VOCAB), abs=0.02)
    assert found[1] < found[0] / 2


def test_orders_are_answered_one_by_one():
    train, text = random_text(0, 200), random_text(1, 30)
    every = probabilities(train, text, range(1, 7), VOCAB)
    for order in itertools.chain(range(1, 7)):
        np.testing.assert_array_equal(probabilities(train, text, (order,), VOCAB)[0], every[order - 1])


def test_on_shakespeare_the_loss_falls_with_the_order_and_levels(data_directory):
    """Seven symbols are about as far as counting helps on 1 MB: beyond, nothing is gained and nothing lost."""
    raw = np.frombuffer((data_directory / "tinyshakespeare" / "input.txt").read_bytes(), np.uint8)
    symbols = np.unique(raw, return_inverse=True)[1]
    cut = round(0.9 * len(symbols))
    found = probabilities(symbols[:cut], symbols[cut:], range(1, 11), 65)
    nats = -np.log(found).mean(1)
    assert (np.diff(nats[:7]) < 0).all()
    assert abs(nats[6:] - nats[6]).max() < 0.01
    assert 3.2 < nats[0] < 3.4
    assert 1.45 < nats[6] < 1.52
