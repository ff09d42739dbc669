"""All that is said about the errors of one or two networks on a text."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Integer

from seqjax.interpret import features, kinds, ngrams, oracles
from seqjax.interpret.kinds import CLASSES, Means

REACH = (5, 10, 20)  # orders whose reach is shown beside the networks'


@dataclasses.dataclass(frozen=True)
class Breakdown:
    """Losses are in nats; the first symbol of the text, which nothing predicts, is left out of everything."""

    names: tuple[str, ...]  # of the networks
    language: str  # that the text seems to be in, and quotation marks are read by
    orders: tuple[int, ...]  # of the n-gram models
    nats: Float[np.ndarray, "networks time"]
    ngrams: Float[np.ndarray, "orders time"]
    by_class: Means  # models: the networks, then the best n-gram model
    by_place: dict[str, Means]  # the same models, by structural character
    closing: dict[str, Means]  # models: the networks, then the orders of `reach`
    reach: tuple[int, ...]
    categories: Int[np.ndarray, "networks time"]
    change: oracles.Change | None  # between two networks

    @property
    def best(self) -> int:
        """The place of the n-gram model with the least loss."""
        return int(self.ngrams.mean(-1).argmin())

    @property
    def best_name(self) -> str:
        return f"{self.orders[self.best]}-gram"

    def errors(self, network: int) -> Int[np.ndarray, "categories"]:
        """How many errors a network makes of each category."""
        of = self.categories[network]
        return np.bincount(of[of >= 0], minlength=len(oracles.CATEGORIES))

    def beyond(self, network: int) -> Float[np.ndarray, "classes"]:
        """By class, the loss of the best n-gram model less the network's, in nats per symbol of the whole text: the
        sum over classes is the difference of their means.
        """
        of = self.by_class
        gained = np.nan_to_num(of.mean[-1] - of.mean[network]) * of.count
        return gained / of.count.sum()


def break_down(
    names: Sequence[str],
    nats: Float[np.ndarray, "networks time"],
    symbols: Integer[np.ndarray, "time"],
    training: Integer[np.ndarray, "training"],
    vocabulary,
    orders: int,
) -> Breakdown:
    """Compare one or two networks with n-gram models of orders 1 to `orders`, made of the training text.

    `nats` are the networks' surprises at `symbols`, as `surprise` gives them.
    """
    text = kinds.text_of(vocabulary, symbols)
    language = features.guess_language(text)
    every = tuple(range(1, orders + 1))
    probability = ngrams.probabilities(training, symbols, every, len(vocabulary))[:, 1:]
    nats, grams = np.asarray(nats)[:, 1:], -np.log(probability)
    best = grams[grams.mean(-1).argmin()]
    beside_best = np.concatenate([nats, best[None]])
    reach = tuple(order for order in REACH if order <= orders)
    beside_reach = np.concatenate([nats, grams[[order - 1 for order in reach]]])
    explained = oracles.explanations(
        text,
        kinds.text_of(vocabulary, training),
        np.pad(probability[: oracles.LONGEST_ORDER], ((0, 0), (1, 0))),
    )
    found = np.stack([oracles.categories(np.exp(-row), [of[1:] for of in explained]) for row in nats])
    return Breakdown(
        names=tuple(names),
        language=language,
        orders=every,
        nats=nats,
        ngrams=grams,
        by_class=kinds.means(beside_best, kinds.classes(text)[1:], len(CLASSES)),
        by_place={
            name: kinds.means(beside_best, place[1:], longest)
            for name, (longest, place) in kinds.places(text, language).items()
        },
        closing=_closing(text, language, beside_reach),
        reach=reach,
        categories=found,
        change=oracles.change(*found) if len(found) == 2 else None,
    )


def _closing(text: str, language: str, nats) -> dict[str, Means]:
    found, result = kinds.closings(text, language), {}
    for name, (places, distances) in (("bracket", found.brackets), ("quote", found.quotes)):
        labels = np.full(len(text), -1)
        labels[places] = kinds.doublings(distances)
        result[name] = kinds.means(nats, labels[1:], len(kinds.DOUBLING_NAMES))
    return result


@dataclasses.dataclass(frozen=True)
class Beside:
    """A network beside an n-gram model, over all symbols."""

    name: str
    nats: float
    errors: float  # the fraction of symbols that the n-gram model gives under 1/2
    better: float  # the fraction of symbols to which the network gives more
    correlation: float  # Pearson's, of the two losses; NaN where one does not vary
    only_network: float  # the fraction of symbols that only the network gives at least 1/2
    only_ngram: float


def beside(breakdown: Breakdown, network: int) -> list[Beside]:
    """A row for every order, and one for the best of all orders, chosen anew for each symbol: no model can do that."""
    models = [(f"{order}-gram", row) for order, row in zip(breakdown.orders, breakdown.ngrams, strict=True)]
    models.append(("best of all for each symbol", breakdown.ngrams.min(0)))
    return [_beside(name, row, breakdown.nats[network]) for name, row in models]


def _beside(name: str, model, network) -> Beside:
    model_right, network_right = model <= np.log(2), network <= np.log(2)
    varied = model.std() > 0 and network.std() > 0
    return Beside(
        name=name,
        nats=float(model.mean()),
        errors=float(1 - model_right.mean()),
        better=float((network < model).mean()),
        correlation=float(np.corrcoef(model, network)[0, 1]) if varied else float("nan"),
        only_network=float((network_right & ~model_right).mean()),
        only_ngram=float((model_right & ~network_right).mean()),
    )
