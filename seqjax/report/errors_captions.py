"""What one sees in the figures of errors by kind, said with the numbers of these data."""

import numpy as np

from seqjax.interpret.breakdown import Breakdown, beside
from seqjax.interpret.kinds import CLASSES, DOUBLING_NAMES
from seqjax.interpret.oracles import CATEGORIES
from seqjax.report.errors_figures import LEAST
from seqjax.report.text import counted


def loss_by_class(breakdown: Breakdown) -> str:
    means = breakdown.by_class
    most = int(np.argmax(means.share[0]))
    worst = int(np.nanargmax(means.mean[0]))
    return (
        f"{_subject(breakdown)} loses {means.share[0, most]:.0%} of its loss on {_plural(CLASSES[most])}, which are "
        f"{means.count[most] / means.count.sum():.0%} of the text; a symbol costs most where it is a "
        f"{CLASSES[worst]}: {means.mean[0, worst]:.2f} nats. Grey lines are 95% intervals of the mean, with symbols "
        "taken as independent; an apostrophe counts as a quote."
    )


def loss_by_place(breakdown: Breakdown) -> str:
    word = breakdown.by_place["word start"].mean[0]
    return (
        f"The first symbol of a word costs {_network(breakdown)} {word[0]:.2f} nats, the third {word[2]:.2f}. A word "
        "is a run of letters, digits and underscores; what stands after a bracket or a quotation mark is followed "
        f"until the next one opens. Bands are 95% intervals of the mean; places with fewer than {LEAST} symbols are "
        "left out."
    )


def loss_on_closing(breakdown: Breakdown) -> str:
    parts = []
    for mark, means in breakdown.closing.items():
        drawn = np.flatnonzero(means.count >= LEAST)
        if len(drawn):
            ends = dict.fromkeys((drawn[0], drawn[-1]))
            costs = [f"{means.mean[0, place]:.2f} nats at a distance of {DOUBLING_NAMES[place]}" for place in ends]
            count = counted(int(means.count[drawn].sum()), f"closing {mark}")
            parts.append(f"{mark.capitalize()}s: {' and '.join(costs)} ({count}).")
    costs = f"What a closing one costs {_network(breakdown)}. {' '.join(parts)} " if parts else ""
    return (
        f"{costs}The distance is in symbols, in bins that double. An n-gram model that does not reach back to the "
        "opening one can still know that text so long is usually closed. Bands are 95% intervals of the mean; bins "
        f"with fewer than {LEAST} symbols are left out."
    )


def beside_ngrams(breakdown: Breakdown) -> str:
    best, rows = breakdown.best, beside(breakdown, 0)
    return (
        f"Least loss of all orders: {breakdown.best_name}, {breakdown.ngrams[best].mean():.3f} nats; "
        f"{_network(breakdown)} has {breakdown.nats[0].mean():.3f}, and gives {rows[best].better:.0%} of the symbols "
        f"more than that model does. Better than every order at once it is on {rows[-1].better:.0%} of them."
    )


def beyond_ngrams(breakdown: Breakdown) -> str:
    parts = []
    for number, name in enumerate(breakdown.names):
        gained = breakdown.beyond(number)
        present = np.where(breakdown.by_class.count > 0, gained, np.nan)
        most, least = int(np.nanargmax(present)), int(np.nanargmin(present))
        parts.append(
            f"{name} is {abs(gained.sum()):.3f} nats per symbol {'ahead' if gained.sum() >= 0 else 'behind'} in all; "
            f"it fares best on {_plural(CLASSES[most])} ({gained[most]:+.3f}) and worst on {_plural(CLASSES[least])} "
            f"({gained[least]:+.3f})."
        )
    return f"{' '.join(parts)} Bars add up to the difference of the mean losses."


def error_categories(breakdown: Breakdown) -> str:
    errors = breakdown.errors(0)
    most = int(errors.argmax())
    return (
        f"{_subject(breakdown)} gives {errors.sum() / breakdown.nats.shape[-1]:.0%} of the symbols less than 1/2; "
        f"{errors[most] / max(1, errors.sum()):.0%} of these errors fall to {CATEGORIES[most]!r}. Every error is "
        "counted once, and the shares of each network add up to 1."
    )


def errors_between(breakdown: Breakdown) -> str:
    change, (first, second) = breakdown.change, breakdown.names
    net = change.removed - change.added
    sure = int((change.interval[0] > 0).sum())
    return (
        f"{second} removed {change.removed.sum():,} of the {breakdown.errors(0).sum():,} errors of {first} and added "
        f"{change.added.sum():,}: {net.sum():,} fewer. At 95% there are fewer in {sure} of the {len(CATEGORIES)} "
        "categories; intervals are bootstrapped over blocks of the text. An added error stands in the category that it "
        f"has for the second network. Categories in which the first has under {LEAST} errors are not drawn."
    )


def _network(breakdown: Breakdown) -> str:
    return breakdown.names[0] if len(breakdown.names) > 1 else "the network"


def _subject(breakdown: Breakdown) -> str:
    """The network at the beginning of a sentence; the name of a run stays as it is."""
    return breakdown.names[0] if len(breakdown.names) > 1 else "The network"


def _plural(name: str) -> str:
    return {"punctuation": name, "other": "other symbols"}.get(name, f"{name}s")
