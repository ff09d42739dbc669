"""seqjax: recurrent sequence modelling in JAX and Flax.

    seqjax.load("runs/NAME")    a trained model with its config and vocabulary
    seqjax.CELLS                the recurrent cells by name
    seqjax.unroll               runs a cell over time

Names are imported when they are first used: the cores and devices of a training process are settled before JAX is.
"""

import importlib
import importlib.metadata

__version__ = "0.1.0"

_HOMES = {
    "CELLS": "seqjax.cells",
    "unroll": "seqjax.recurrence",
    "load": "seqjax.loading",
}

if importlib.metadata.version("jax") == "0.10.2":
    raise ImportError(
        "jax 0.10.2 computes wrong numbers on CPU without saying so (jax issues 39103 and 39352); "
        "install another version, for example: pip install jax==0.10.1 jaxlib==0.10.1"
    )


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'seqjax' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_HOMES])
