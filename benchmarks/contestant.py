"""What is timed: one pass of somebody's recurrent layer, ready to be called."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Contestant:
    """One way, with one setting, to do the work of a row."""

    peer: str  # who does it: seqjax, PyTorch, ...
    setting: str  # how: a number of threads, or how the batch is divided
    call: Callable[[], Any]  # one whole pass; it returns when all results are computed
    read: Callable[[Any], dict[str, np.ndarray]]  # what `call` returned, in the names and layouts of our cell
    prepare: Callable[[], None] = lambda: None  # done before each turn, not timed
    lacks: tuple[str, ...] = ()  # gradients that this peer does not compute, because its layer has no such parameter

    @property
    def name(self) -> str:
        return f"{self.peer}, {self.setting}"
