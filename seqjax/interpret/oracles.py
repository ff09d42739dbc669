"""Errors by what could have removed them, and what another network did remove.

After Karpathy, Johnson & Fei-Fei (2016), Visualizing and understanding recurrent networks, arXiv:1506.02078, section
4.4. An error is a symbol to which the network gives a probability under 1/2. Oracles are asked in a fixed order, and
each takes away the errors that it could explain; what an oracle is said to explain is what those before it left. With
another order the shares would be others. The oracles, with our choices where the paper leaves one:

- "n-gram": an n-gram model, of any order up to 9, gives the symbol more than 1/2.
- "memory 100", "500", "1000", "5000": the symbol is in a word, not its first symbol, and the whole word occurs, alone
  or inside a longer one, within so many symbols before the word's beginning. A word is a run of letters, digits,
  underscores and combining marks; it must match in case. Only the measured text is looked at, so words at its very
  beginning have less to be found in.
- "rare word 0" to "rare word 5": the symbol, the first one too, is in a word that stands at most so often, as a whole
  word, in the training text.
- "after blank or quote", "after line break": the symbol follows one; the network had to choose the next word. The
  paper has one oracle for both.
- "punctuation": the symbol is a bracket, a quote or a punctuation mark.
- "given 0.4 to 0.5", "0.3 to 0.4" and so on: so much the network gave the symbol; a boost of 0.1, 0.2 and so on would
  have made it right. The last of them, "given under 0.1", is what no oracle explains.
"""

import collections
import dataclasses
from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float, Int

from seqjax.interpret.kinds import CLASSES, classes, in_word

LONGEST_ORDER = 9
MEMORIES = (100, 500, 1000, 5000)
RARITIES = (0, 1, 2, 3, 4, 5)
BOOSTS = (0.4, 0.3, 0.2, 0.1)
CATEGORIES = (
    "n-gram",
    *(f"memory {length}" for length in MEMORIES),
    *(f"rare word {times}" for times in RARITIES),
    "after blank or quote",
    "after line break",
    "punctuation",
    *(f"given {least} to {least + 0.1:.1g}" for least in BOOSTS),
    f"given under {BOOSTS[-1]}",
)
BLOCK, RESAMPLES = 500, 2000


def explanations(text: str, training: str, ngrams: Float[np.ndarray, "orders time"]) -> list[Bool[np.ndarray, "time"]]:
    """For each category but those of what was given, which symbols it could explain, errors or not.

    `ngrams` are the probabilities of n-gram models of orders up to `LONGEST_ORDER`.
    """
    spans = word_spans(text)
    distances, counts = _last_seen(text, spans), _in_training(text, training, spans)
    inside = in_word(text)
    first = ~np.append(False, inside[:-1])
    distance, count = np.full(len(text), np.inf), np.full(len(text), np.inf)
    for (start, end), seen, times in zip(spans, distances, counts, strict=True):
        distance[start:end], count[start:end] = seen, times
    before = np.concatenate([[-1], classes(text)[:-1]])
    blank, quote, line, *marks = map(CLASSES.index, ("blank", "quote", "line break", "bracket", "quote", "punctuation"))
    return [
        (ngrams > 0.5).any(0),
        *(inside & ~first & (distance <= length) for length in MEMORIES),
        *(count <= times for times in RARITIES),
        np.isin(before, (blank, quote)),
        before == line,
        np.isin(classes(text), marks),
    ]


def categories(probability: Float[np.ndarray, "time"], explained: Iterable[Bool[np.ndarray, "time"]]):
    """`Int[time]`: the place in `CATEGORIES` of the first oracle that explains each error; -1 where there is none.

    Every error has exactly one, so that shares sum to 1. `explained` is what `explanations` gives; a symbol whose
    probability is NaN is no error.
    """
    boosted = [probability >= least for least in BOOSTS]
    oracles = np.stack([*explained, *boosted, np.ones(len(probability), bool)])
    return np.where(probability < 0.5, oracles.argmax(0), -1)


def word_spans(text: str) -> list[tuple[int, int]]:
    """The start and the end of every word."""
    edges = np.diff(in_word(text).astype(int), prepend=0, append=0)
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))


def _last_seen(text: str, spans) -> list[int | float]:
    """How many symbols before its start each word began last, wholly before it; infinity where memory ends sooner."""
    distances = []
    for start, end in spans:
        found = text.rfind(text[start:end], max(0, start - max(MEMORIES)), start)
        distances.append(start - found if found >= 0 else np.inf)
    return distances


def _in_training(text: str, training: str, spans) -> list[int]:
    counts = collections.Counter(training[start:end] for start, end in word_spans(training))
    return [counts[text[start:end]] for start, end in spans]


@dataclasses.dataclass(frozen=True)
class Change:
    """Errors of two networks on one text, by category; all `[categories]`, intervals `[2, categories]`."""

    kept: Int[np.ndarray, "categories"]  # errors of both, in the category they have of the first
    removed: Int[np.ndarray, "categories"]  # of the first only
    added: Int[np.ndarray, "categories"]  # of the second only, in the category they have of the second
    interval: Float[np.ndarray, "2 categories"]  # 95%, of removed - added


def change(first: Int[np.ndarray, "time"], second: Int[np.ndarray, "time"]) -> Change:
    """What became of the errors of the first network; arguments are `categories` of both on the same text.

    Intervals are bootstrapped: blocks of `BLOCK` symbols are drawn with replacement, which keeps errors that come
    together together. A category whose interval holds 0 may not have changed. The draws are the same every time.
    """
    size = len(CATEGORIES)

    def counted(chosen, by):
        return np.bincount(by[chosen], minlength=size)

    removed, added = (first >= 0) & (second < 0), (first < 0) & (second >= 0)
    net = np.zeros((-(-len(first) // BLOCK), size))
    block = np.arange(len(first)) // BLOCK
    np.add.at(net, (block[removed], first[removed]), 1)
    np.add.at(net, (block[added], second[added]), -1)
    draws = np.random.default_rng(0).multinomial(len(net), np.full(len(net), 1 / len(net)), RESAMPLES) @ net
    interval = np.percentile(draws, (2.5, 97.5), axis=0)
    kept = counted((first >= 0) & (second >= 0), first)
    return Change(kept, counted(removed, first), counted(added, second), interval)
