"""One colour and one marker for each cell, the same in every figure; safe for colour-blind eyes.

Okabe and Ito's colours for the classic cells, without black and yellow, which vanish on a dark or on a white page; Paul
Tol's for cells to come.
"""

import collections

CELLS = {
    "lstm": ("#0072b2", "o"),
    "gru": ("#d55e00", "s"),
    "rnn": ("#009e73", "^"),
    "mut1": ("#cc79a7", "D"),
    "mut2": ("#e69f00", "v"),
    "mut3": ("#56b4e9", "P"),
}
OTHERS = [
    ("#aa4499", "X"),
    ("#999933", "<"),
    ("#cc6677", ">"),
    ("#44aa99", "p"),
    ("#8f7ee6", "h"),
    ("#888888", "*"),
    ("#a6761d", "d"),
]
LINES = ("-", (0, (5, 1.6)), (0, (1, 1.4)), (0, (6, 1.6, 1, 1.6)))
LIGHTEST = 0.5  # how far a shade goes towards white


def cell_styles(cells) -> dict[str, tuple[str, str]]:
    """`{cell: (colour, marker)}`; cells that are not classic take the other colours by name."""
    others = sorted({*cells} - {*CELLS})
    return CELLS | {cell: OTHERS[n % len(OTHERS)] for n, cell in enumerate(others)}


def group_styles(groups) -> list[tuple[str, object, str]]:
    """`(colour, line, marker)` of each group. Groups of one cell differ in the line's pattern, then in shade."""
    styles = cell_styles([group.first.cell for group in groups])
    of_cell = collections.Counter(group.first.cell for group in groups)
    seen, chosen = collections.Counter(), []
    for group in groups:
        cell = group.first.cell
        colour, marker = styles[cell]
        levels = -(-of_cell[cell] // len(LINES))
        level, line = divmod(seen[cell], len(LINES))
        chosen.append((_shade(colour, level / max(1, levels - 1)), LINES[line], marker))
        seen[cell] += 1
    return chosen


def _shade(colour: str, amount: float) -> str:
    """The colour itself for 0, lighter as `amount` goes to 1."""
    return between(colour, "#ffffff", LIGHTEST * amount)


def between(colour: str, other: str, amount: float) -> str:
    """The colour itself for 0, the other for 1."""
    channels = [[int(one[n : n + 2], 16) for n in (1, 3, 5)] for one in (colour, other)]
    return "#" + "".join(f"{round(c + amount * (o - c)):02x}" for c, o in zip(*channels, strict=True))
