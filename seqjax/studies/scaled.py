"""A vanilla network whose recurrent matrix stretches every vector alike: below, at and above the critical value.

An orthogonal matrix times a, or the identity times a, has the spectral radius a and every singular value a. With no
nonlinearity dh_T/dh_t has therefore the largest singular value a^(T-t). A nonlinearity whose slope is at most gamma
makes that (gamma a)^(T-t) at most: under the critical value a = 1/gamma the gradient must vanish, above it, it may
explode.

Reference: Pascanu, Mikolov & Bengio (2013), arXiv:1211.5063, section 2.1.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float64

from seqjax.analysis import pascanu_bound, products, singular_values, step_jacobians
from seqjax.cells.rnn import RNN
from seqjax.initialisers import initialiser
from seqjax.studies.settings import Settings, adding
from seqjax.tasks import Adding

FACTORS = (0.9, 1.0, 1.1)  # of the critical value
RECURRENT = {"linear": "orthogonal", "tanh": "orthogonal", "relu": "identity", "sigmoid": "orthogonal"}


@dataclasses.dataclass(frozen=True)
class ScaledStudy:
    """Of one activation, for each scale a of the recurrent matrix."""

    activation: str
    recurrent: str  # the matrix that is scaled
    critical: float  # 1/gamma
    scales: Float64[np.ndarray, "scales"]
    largest: Float64[np.ndarray, "scales seeds lags+1"]  # singular value of dh_T/dh_t
    bound: Float64[np.ndarray, "scales lags+1"]  # (gamma a)^lag


def measure(settings: Settings) -> list[ScaledStudy]:
    """Every activation on sequences of the adding problem, at initialisation."""
    task = Adding(adding(settings, "rnn"))
    with jax.enable_x64(True):
        keys = jax.vmap(jax.random.key)(jnp.arange(settings.seeds))
        return [_measure(activation, task, settings, keys) for activation in RECURRENT]


def _measure(activation, task, settings, keys):
    recurrent, critical = RECURRENT[activation], pascanu_bound(activation)
    scales = critical * np.array(FACTORS)
    cell = RNN(task.inputs, settings.hidden, rngs=nnx.Rngs(0), activation=activation)

    @jax.jit
    @jax.vmap
    def jacobians(w, u, xs):
        weighted = jax.tree.map(lambda leaf: leaf, cell)
        weighted.w, weighted.u, weighted.b = nnx.Param(w), nnx.Param(u), nnx.Param(jnp.zeros(settings.hidden))
        return step_jacobians(weighted, xs)

    shape = (settings.hidden, settings.hidden)
    ws = jnp.stack([initialiser("glorot")(jax.random.fold_in(key, 0), (task.inputs, shape[0])) for key in keys])
    us = jnp.stack([initialiser(recurrent)(jax.random.fold_in(key, 1), shape) for key in keys])
    xs = jnp.stack([task.example(jax.random.fold_in(key, 2)).inputs for key in keys])
    largest = [
        [singular_values(products(steps))[::-1, 0] for steps in np.asarray(jacobians(ws, scale * us, xs))]
        for scale in scales
    ]
    lags = np.arange(settings.length + 1)
    bound = (scales / critical)[:, None] ** lags
    return ScaledStudy(activation, recurrent, critical, scales, np.array(largest), bound)
