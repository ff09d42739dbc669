"""How surprising a text is to a network, symbol by symbol, read in order from its beginning."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer

from seqjax.errors import UserError
from seqjax.tasks.cross_entropy import cross_entropy

WINDOW = 2048  # symbols read in one call


def surprise(network, symbols: Integer[np.ndarray, "time"]) -> Float[np.ndarray, "time"]:
    """The nats of each symbol given all before it; NaN for the first, which nothing predicts.

    The text is read in one lane and the state carried from window to window, so that memory does not grow with it.
    Raises UserError for a text of fewer than 2 symbols.
    """
    if len(symbols) < 2:
        raise UserError(f"a text of {len(symbols)} symbols has nothing to predict; it needs at least 2")
    state, read = network.stack.initial_state(), []
    window = min(WINDOW, len(symbols) - 1)
    padded = np.pad(np.asarray(symbols, np.int32), (0, -(len(symbols) - 1) % window))
    for start in range(0, len(padded) - 1, window):
        state, nats = _read(network, state, padded[start : start + window + 1])
        read.append(np.asarray(nats))
    return np.concatenate([[np.nan], np.concatenate(read)[: len(symbols) - 1]]).astype(np.float64)


@jax.jit
def _read(network, state, symbols):
    """The state after all symbols but the last, and the nats of all but the first."""
    state, logits = network(symbols[:-1], state)
    return state, cross_entropy(logits, jnp.asarray(symbols[1:]))
