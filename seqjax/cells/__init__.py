"""The recurrences. A cell is a class in a file of this folder and one line in CELLS; everything else follows."""

import inspect

from seqjax.cells.gru import GRU, GRUResetAfter
from seqjax.cells.lru import LRU
from seqjax.cells.lstm import LSTM
from seqjax.cells.min_gru import MinGRU, MinLSTM
from seqjax.cells.mut import MUT1, MUT2, MUT3
from seqjax.cells.rnn import RNN
from seqjax.errors import UserError, did_you_mean

CELLS = {
    "rnn": RNN,
    "lstm": LSTM,
    "gru": GRU,
    "gru_reset_after": GRUResetAfter,
    "mut1": MUT1,
    "mut2": MUT2,
    "mut3": MUT3,
    "min_gru": MinGRU,
    "min_lstm": MinLSTM,
    "lru": LRU,
}

_COMMON = {"self", "inputs", "hidden", "rngs", "kernel_init", "recurrent_init"}


def find_cell(name: str) -> type:
    """The class registered under `name`. Raises UserError, with the nearest right name, for an unknown one."""
    if name not in CELLS:
        raise UserError(f"unknown cell {name!r}; {did_you_mean(name, CELLS)}")
    return CELLS[name]


def cell_options(name: str) -> dict:
    """The options that are the cell's own, with their defaults: the keyword arguments other cells do not share."""
    parameters = inspect.signature(find_cell(name).__init__).parameters
    return {option: p.default for option, p in parameters.items() if option not in _COMMON}
