"""Pascanu's regulariser: a penalty on Jacobians that shrink or stretch the gradient on its way back through time.

    Omega = mean over steps k and examples of (|d_k dh_k/dh_{k-1}|^2 / |d_k|^2 - 1)^2,   d_k = dL/dh_k

The states and d are constants in it: only the weights that multiply the state are differentiated. Where |d_k|^2 is
under 1e-20 nothing is left to preserve, and the term is left out of the mean. The mean is over the terms that remain,
as in the authors' program; the paper's text has a sum, and norms without squares.

Reference: Pascanu, Mikolov & Bengio (2013), arXiv:1211.5063, section 3.3 and supplement.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from seqjax.analysis.taps import Seen
from seqjax.config import at_least, one_of

VANISHED = 1e-20  # of |d|^2


def check(config: ConfigDict) -> None:
    """Raise UserError for an unknown name or a weight out of range in `regulariser`."""
    one_of(config, "regulariser.name", ("none", "pascanu"))
    at_least(config, "regulariser.weight", 0)


def omega(network, seen: tuple[Seen, ...], total=lambda count: count) -> Float[Array, ""]:
    """The penalty, summed over layers, for what the taps of a pass over a batch saw.

    Of a batch that is divided among devices, the part of the lanes that are here: `total` adds up a number over all
    devices, and the parts add up to the penalty.
    """
    return sum(_omega_of_layer(*layer, total) for layer in zip(network.stack.layers, seen, strict=True))


def _omega_of_layer(cell, seen: Seen, total) -> Float[Array, ""]:
    before = _squared_norm(_pull_back(cell, seen))
    after = _squared_norm(seen.gradients)
    there = after >= VANISHED
    terms = jnp.where(there, (before / jnp.where(there, after, 1) - 1) ** 2, 0)
    return terms.sum() / jnp.maximum(total(there.sum()), 1)


def _pull_back(cell, seen: Seen):
    """`d dh'/dh` at every step.

    The vanilla network says itself how, with the slopes of its activation as constants: the paper's form. A gated cell,
    which the paper has not, is differentiated whole.
    """
    if hasattr(cell, "pull_back"):
        return cell.pull_back(seen.gradients, seen.states)

    def one(before, z, d):
        return jax.vjp(lambda state: cell.step(state, z)[0], before)[1](d)[0]

    axes = jax.tree.leaves(seen.gradients)[0].ndim - 1
    mapped = functools.reduce(lambda f, _: jax.vmap(f), range(axes), one)
    return mapped(seen.before, seen.z, seen.gradients)


def _squared_norm(state) -> Float[Array, "time *batch"]:
    return sum((leaf**2).sum(-1) for leaf in jax.tree.leaves(state))
