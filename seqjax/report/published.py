"""Numbers from the literature, to stand beside those of a search. In the measures of our tasks: less is better."""

import dataclasses

from seqjax.report.runs import Run


@dataclasses.dataclass(frozen=True)
class Published:
    """A score as our task measures it, and where it was printed."""

    score: float
    source: str


CELLS = (
    "rnn",
    "lstm_j",
    "lstm_j_no_forget",
    "lstm_j_no_input",
    "lstm_j_no_output",
    "lstm_j_bias",
    "gru",
    "mut1",
    "mut2",
    "mut3",
)
JOZEFOWICZ = "Jozefowicz et al. (2015)"

# Jozefowicz, Zaremba & Sutskever (2015), best of some 220 settings a cell, in the order of CELLS. Table 1 prints
# accuracies of the next symbol, Table 2 negative log-likelihoods in nats a step, Table 3 nats a word of the test data.
TABLE_1 = {
    ("arithmetic", ""): (0.29493, 0.89228, 0.29292, 0.75109, 0.86747, 0.90163, 0.89565, 0.92135, 0.89735, 0.90728),
    ("xml", ""): (0.32050, 0.42470, 0.23356, 0.41371, 0.42117, 0.44434, 0.45963, 0.47483, 0.47324, 0.46478),
}
TABLE_2 = {
    ("music", "nottingham"): (3.612, 3.492, 3.732, 3.426, 3.406, 3.419, 3.410, 3.254, 3.372, 3.337),
    ("music", "piano_midi"): (6.809, 6.866, 6.813, 6.856, 6.870, 6.820, 6.876, 6.792, 6.852, 6.840),
}
TABLE_3_5M = (4.811, 4.699, 4.785, 4.755, 4.708, 4.698, 4.684, 4.699, 4.707, 4.692)
TABLE_3_20M = (4.582, 4.399, 4.606, 4.444, 4.411, 4.380, 4.519, 4.550, 4.503, 4.494)
# Chung, Gulcehre, Cho & Bengio (2014), arXiv:1412.3555, Table 2: nats a step of the test pieces, tanh, LSTM and GRU.
CHUNG = {"rnn": 9.10, "lstm": 8.67, "gru": 8.54}
# Zaremba, Sutskever & Vinyals (2014), arXiv:1409.2329: test perplexity about 115 with 2 x 200 units, without dropout.
ZAREMBA_SMALL = Published(4.745, "Zaremba et al. (2014), small LSTM: about 4.745 nats a word of the test data")


def _of_cells(values, source: str) -> dict[str, Published]:
    return {cell: Published(value, f"{JOZEFOWICZ}, {source}") for cell, value in zip(CELLS, values, strict=True)}


# By task, source of its data and cell.
PUBLISHED = {
    (*task, cell): printed
    for table, of, source in (
        (TABLE_1, lambda accuracy: round(1 - accuracy, 5), "Table 1: 1 - accuracy"),
        (TABLE_2, lambda nats: nats, "Table 2, without dropout: nats a step"),
    )
    for task, values in table.items()
    for cell, printed in _of_cells(map(of, values), source).items()
} | {
    ("music", "jsb", cell): Published(nats, "Chung et al. (2014), Table 2: nats a step") for cell, nats in CHUNG.items()
}
PTB_WORDS = "Table 3: nats a word of the test data"
PTB_WORDS_5M = _of_cells(TABLE_3_5M, f"{PTB_WORDS}, 5M parameters, without dropout")
PTB_WORDS_20M = _of_cells(TABLE_3_20M, f"{PTB_WORDS}, 20M parameters, the best dropout of 0, 0.1, 0.3 and 0.5")


def published(run: Run) -> Published | None:
    """What was printed for this run's task, data and cell, of words for networks of its size; None where nothing is."""
    data = run.config.get("data", {})
    if data.get("source") == "ptb":
        return _of_ptb_words(run) if data.get("symbols") == "words" else None
    return PUBLISHED.get((run.config["task"]["name"], data.get("source", ""), run.cell))


def _of_ptb_words(run: Run) -> Published | None:
    if 16e6 <= run.parameters <= 24e6:
        return PTB_WORDS_20M.get(run.cell)
    if run.settings.get("model.dropout"):
        return None
    if (run.cell, run.layers, run.hidden) == ("lstm", 2, 200):
        return ZAREMBA_SMALL
    return PTB_WORDS_5M.get(run.cell) if 4e6 <= run.parameters <= 6e6 else None
