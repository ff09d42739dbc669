"""Weight initialisers by name, and the one helper that cells need to fill a matrix of several gates."""

import jax
import jax.numpy as jnp
from jax.nn import initializers

from seqjax.errors import UserError, did_you_mean
from seqjax.spectra import spectral_radius


def identity(scale: float = 1.0):
    """`scale * I` for square matrices: the IRNN's start (Le et al., 2015, arXiv:1504.00941)."""

    def init(key, shape, dtype=float):
        _need_square("identity", shape)
        return scale * jnp.eye(shape[0], dtype=dtype)

    return init


def sparse(scale: float = 1.0):
    """15 normal weights in each row at places drawn at random, 0 elsewhere, the whole of spectral radius `scale`.

    Row i of the `[hidden, hidden]` matrix is what unit i gives to the units; matrices of 15 or fewer rows are dense.
    With `scale` 0.95 it is the "smart tanh" start of Pascanu, Mikolov & Bengio (2013, arXiv:1211.5063).
    """

    def init(key, shape, dtype=float):
        _need_square("sparse", shape)
        places_key, weights_key = jax.random.split(key)
        places = jnp.broadcast_to(jnp.arange(shape[0]), shape)
        kept = jax.random.permutation(places_key, places, axis=1, independent=True) < 15
        matrix = jnp.where(kept, jax.random.normal(weights_key, shape, dtype), 0)
        return scale / spectral_radius(matrix) * matrix

    return init


def uniform(scale: float = 1.0):
    """U[-scale, scale]."""

    def init(key, shape, dtype=float):
        return jax.random.uniform(key, shape, dtype, -scale, scale)

    return init


def uniform_units(scale: float = 1.0):
    """U[-scale, scale] / sqrt(units), where the units are the larger side of the matrix.

    That is the hidden size for the matrices of a network with fewer inputs and outputs than units, as most are in
    Jozefowicz, Zaremba & Sutskever (2015), whose start it is.
    """

    def init(key, shape, dtype=float):
        return uniform(scale / max(shape) ** 0.5)(key, shape, dtype)

    return init


def _need_square(name, shape):
    if shape[0] != shape[1]:
        raise UserError(f"the {name} initialiser needs a square matrix, not {shape[0]} x {shape[1]}")


def _scaled(init):
    return lambda scale=1.0: lambda key, shape, dtype=float: scale * init(key, shape, dtype)


INITIALISERS = {
    "glorot": _scaled(initializers.glorot_uniform()),
    "identity": identity,
    "normal": _scaled(initializers.normal(1.0)),
    "orthogonal": _scaled(initializers.orthogonal()),
    "sparse": sparse,
    "uniform": uniform,
    "uniform_units": uniform_units,
}


def initialiser(name: str, scale: float = 1.0):
    """`(key, shape, dtype) -> array`; `scale` multiplies what the named distribution draws.

    Raises UserError for an unknown name.
    """
    if name not in INITIALISERS:
        raise UserError(f"unknown initialiser {name!r}; {did_you_mean(name, INITIALISERS)}")
    return INITIALISERS[name](scale)


def per_gate(init, gates: int):
    """An initialiser of `[rows, gates * columns]` that draws each gate's `[rows, columns]` block by itself.

    Without it the fan-out (and the orthogonality) of a packed matrix would be those of all gates together.
    """

    def packed(key, shape, dtype=float):
        rows, columns = shape
        blocks = [init(k, (rows, columns // gates), dtype) for k in jax.random.split(key, gates)]
        return jnp.concatenate(blocks, axis=1)

    return packed
