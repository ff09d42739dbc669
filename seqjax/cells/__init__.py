"""The recurrences. A cell is a class in a file of this folder and one line in CELLS; everything else follows."""

import inspect

from seqjax.cells.gru import GRU, GRUResetAfter
from seqjax.cells.lru import LRU
from seqjax.cells.lstm import LSTM
from seqjax.cells.lstm_jozefowicz import (
    JozefowiczLSTM,
    JozefowiczLSTMBias,
    JozefowiczLSTMNoForget,
    JozefowiczLSTMNoInput,
    JozefowiczLSTMNoOutput,
)
from seqjax.cells.lstm_peephole import PeepholeLSTM, PeepholeLSTMCIFG, PeepholeLSTMFGR
from seqjax.cells.lstm_peephole_without import (
    PeepholeLSTMNFG,
    PeepholeLSTMNIAF,
    PeepholeLSTMNIG,
    PeepholeLSTMNOAF,
    PeepholeLSTMNOG,
    PeepholeLSTMNP,
)
from seqjax.cells.min_gru import MinGRU, MinLSTM
from seqjax.cells.mut import MUT1, MUT2, MUT3
from seqjax.cells.nas import NASCell
from seqjax.cells.rnn import RNN
from seqjax.errors import UserError, did_you_mean

# Cells that are another with one thing changed. They are cells like any other; a study of all shows the other alone.
VARIANTS = {
    "lstm_j_no_forget": JozefowiczLSTMNoForget,
    "lstm_j_no_input": JozefowiczLSTMNoInput,
    "lstm_j_no_output": JozefowiczLSTMNoOutput,
    "lstm_j_bias": JozefowiczLSTMBias,
    "lstm_peephole_nig": PeepholeLSTMNIG,
    "lstm_peephole_nfg": PeepholeLSTMNFG,
    "lstm_peephole_nog": PeepholeLSTMNOG,
    "lstm_peephole_niaf": PeepholeLSTMNIAF,
    "lstm_peephole_noaf": PeepholeLSTMNOAF,
    "lstm_peephole_cifg": PeepholeLSTMCIFG,
    "lstm_peephole_np": PeepholeLSTMNP,
    "lstm_peephole_fgr": PeepholeLSTMFGR,
}

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
    "lstm_j": JozefowiczLSTM,
    "lstm_peephole": PeepholeLSTM,
    "nas": NASCell,
    **VARIANTS,
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
