"""N-gram models of symbols: what can be known from the few symbols before.

Interpolated Kneser-Ney smoothing with the modified discounts of Chen & Goodman (1999), an empirical study of smoothing
techniques, Computer Speech & Language 13. An n-gram that was counted `c` times after a context gives up a discount
`D(c)`, and what a context has gained that way is shared out by the model that is one symbol shorter:

    p(w | h) = (c(h w) - D(c(h w))) / c(h) + g(h) p'(w | h')      g(h) = sum_w D(c(h w)) / c(h),  c(h) = sum_w c(h w)

`h'` is `h` without its first symbol. In the model of the wanted order `c` is how often an n-gram occurs; in all shorter
ones, `p'`, it is after how many different symbols it occurs. Under the shortest lies the uniform distribution.

N-grams are numbered exactly, by their context's number and their last symbol, so that there are no collisions.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Integer

FALLBACK = np.array([0.0, 0.5, 1.0, 1.5])  # where there are too few n-grams to estimate discounts from


@dataclasses.dataclass(frozen=True)
class _Grams:
    """The distinct n-grams of the training text, numbered, and where they stand."""

    contexts: Int[np.ndarray, "distinct"]  # of each, the number of its first n - 1 symbols
    counts: Int[np.ndarray, "distinct"]
    train: Int[np.ndarray, "places"]  # the number of the n-gram that starts at each place
    text: Int[np.ndarray, "places_of_text"]  # -1 for one that the training text does not hold


def probabilities(
    train: Integer[np.ndarray, "training"], text: Integer[np.ndarray, "time"], orders: Sequence[int], vocab: int
) -> Float[np.ndarray, "orders time"]:
    """The probability of each symbol of `text` given the `n - 1` before it, for every `n` of `orders`.

    A symbol with fewer symbols before it in the text is given what the shorter model says, as after a context that
    the training text does not hold. `vocab` is how many symbols there are. Time and memory grow linearly with
    the largest order and with the training text: for 5 million symbols a second or two an order, and under 1 GB.
    """
    train, text = np.asarray(train, np.int64), np.asarray(text, np.int64)
    found = {}
    shorter = np.full(len(text), 1 / vocab)
    last = _Grams(np.zeros(1, int), np.array([len(train)]), np.zeros(len(train) + 1, int), np.zeros(len(text) + 1, int))
    before = None
    for order in range(1, max(orders) + 1):
        grams = _longer(last, train[order - 1 :], text[order - 1 :], vocab)
        if order > 1:
            shorter = _interpolated(last, _preceding(grams, last), before, shorter)
        if order in orders:
            found[order] = _interpolated(grams, grams.counts, last, shorter)
        before, last = last, grams
    return np.stack([found[order] for order in orders])


def _longer(contexts: _Grams, train, text, vocab: int) -> _Grams:
    """The n-grams of which `contexts` are the first n - 1 symbols; `train` and `text` start with their last ones."""
    places = len(train), len(text)
    keys = contexts.train[: places[0]] * vocab + train
    distinct, numbers, counts = np.unique(keys, return_inverse=True, return_counts=True)
    wanted = np.where(contexts.text[: places[1]] < 0, -1, contexts.text[: places[1]] * vocab + text)
    if not len(distinct):  # the training text is too short for any
        return _Grams(distinct, counts, numbers, np.full(places[1], -1))
    index = np.searchsorted(distinct, wanted).clip(max=len(distinct) - 1)
    return _Grams(distinct // vocab, counts, numbers, np.where(distinct[index] == wanted, index, -1))


def _preceding(longer: _Grams, grams: _Grams) -> Int[np.ndarray, "distinct"]:
    """After how many different symbols each of `grams` occurs: so many of `longer` end with it."""
    ends = np.empty(len(longer.counts), int)
    ends[longer.train] = grams.train[1 : len(longer.train) + 1]
    return np.bincount(ends, minlength=len(grams.counts))


def _interpolated(grams: _Grams, counts, contexts: _Grams, shorter: Float[np.ndarray, "time"]):
    """The probability of each symbol of the text under `counts` of `grams`, over the `shorter` model's."""
    taken = _discounts(counts)[np.minimum(counts, 3)]
    kinds = len(contexts.counts)
    totals = np.bincount(grams.contexts, counts, kinds)
    gained = np.bincount(grams.contexts, taken, kinds)
    first = len(shorter) - len(grams.text)  # earlier symbols have no whole context
    context = contexts.text[: len(grams.text)]
    seen = np.flatnonzero(context >= 0)
    seen = seen[totals[context[seen]] > 0]
    gram, context = grams.text[seen], context[seen]
    own = np.where(gram < 0, 0.0, (counts - taken)[gram])
    result = shorter.copy()
    result[first + seen] = (own + gained[context] * shorter[first + seen]) / totals[context]
    return result


def _discounts(counts: Int[np.ndarray, "distinct"]) -> Float[np.ndarray, "4"]:
    """`D(0)` to `D(3)`, the last for all larger counts, from how many n-grams were counted once, twice, ..."""
    ones, twos, threes, fours = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].astype(float)
    if not min(ones, twos, threes, fours):
        return FALLBACK
    y = ones / (ones + 2 * twos)
    made = np.array([0, 1 - 2 * y * twos / ones, 2 - 3 * y * threes / twos, 3 - 4 * y * fours / threes])
    return made if (made >= 0).all() else FALLBACK
