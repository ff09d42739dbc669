"""Networks for the shapes of recurrent computation: an embedding, a stack of cells, a readout.

    one to one              a vector in, a vector out: one step of the recurrence
    one to many             a vector in, a sequence out
    many to one             a sequence in, a vector out
    many to many, aligned   a sequence in, an output at each of its steps

Inputs are vectors (`embed=None`) or symbols, through one of the embeddings; those of one to many are vectors.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Integer, PyTree

from seqjax.errors import UserError
from seqjax.initialisers import initialiser
from seqjax.models.stack import dropout, fold_in
from seqjax.products import product
from seqjax.recurrence import UnitVectors


class OneHot(nnx.Module):
    """Symbols as unit vectors; it has no parameters, the cell's own input weights do the work."""

    def __init__(self, vocab: int):
        self.vocab = vocab
        self.width = vocab

    def __call__(self, symbols: Integer[Array | np.ndarray, "*shape"]) -> UnitVectors:
        return UnitVectors(jnp.asarray(symbols), self.vocab)


class Embedding(nnx.Module):
    """Symbols as learned vectors, drawn from N(0, 1 / width).

    With `dropped` the network drops them too where it has a dropout rate, so that all connections but the recurrent
    ones are dropped (Zaremba, Sutskever & Vinyals, 2014, arXiv:1409.2329).
    """

    def __init__(self, vocab: int, width: int, *, rngs: nnx.Rngs, dropped: bool = False):
        self.width = width
        self.dropped = dropped
        self.table = nnx.Param(jax.random.normal(rngs.params(), (vocab, width)) / jnp.sqrt(width))

    def __call__(self, symbols: Integer[Array | np.ndarray, "*shape"]) -> Float[Array, "*shape width"]:
        return jnp.asarray(self.table[...])[symbols]


def _embedded(embed, xs, dropout_rate, keys):
    """The inputs of the stack."""
    if embed is None:
        return xs
    xs = embed(xs)
    if dropout_rate is not None and isinstance(embed, Embedding) and embed.dropped:
        xs = dropout(xs, dropout_rate, fold_in(keys, 0))  # the stack folds in 1 and more
    return xs


class Readout(nnx.Module):
    """`y = h W + b`, the lecture's `W_hy h`."""

    def __init__(self, hidden: int, outputs: int, *, rngs: nnx.Rngs, kernel_init=initialiser("glorot")):
        self.w = nnx.Param(kernel_init(rngs.params(), (hidden, outputs)))
        self.b = nnx.Param(jnp.zeros(outputs))

    def __call__(self, h: Float[Array, "*batch hidden"], embed=None) -> Float[Array, "*batch outputs"]:
        return product(h, self.w[...]) + self.b[...]


class TiedReadout(nnx.Module):
    """`y = h E^T + b` with E the embedding's own table (Press & Wolf, 2017, arXiv:1608.05859).

    Raises UserError where the embedding is not learned or is not as wide as the stack's output.
    """

    def __init__(self, hidden: int, embed):
        if not isinstance(embed, Embedding):
            raise UserError("tied weights need a learned embedding: set model.embedding to the hidden size")
        if embed.width != hidden:
            raise UserError(
                f"tied weights need an embedding as wide as the hidden state: {embed.width} is not {hidden}"
            )
        self.b = nnx.Param(jnp.zeros(embed.table.shape[0]))

    def __call__(self, h: Float[Array, "*batch hidden"], embed) -> Float[Array, "*batch vocab"]:
        return product(h, embed.table[...].T) + self.b[...]


class ManyToMany(nnx.Module):
    """An output at each step of the sequence; the network of language models and of tagging."""

    def __init__(self, stack, readout, embed=None):
        self.embed = embed
        self.stack = stack
        self.readout = readout

    def __call__(
        self,
        xs: Integer[Array | np.ndarray, "time *batch"] | Float[Array, "time *batch inputs"],
        state: PyTree | None = None,
        *,
        dropout_rate=None,
        keys=None,
        **options,
    ) -> tuple[PyTree, Float[Array, "time *batch outputs"]]:
        """The state after the last step and the outputs; `options` are those of the stack's `unroll`.

        With `dropout_rate`, the outputs of every layer (and an embedding that says so) are dropped at that rate, `keys`
        being one key an example.
        """
        xs = _embedded(self.embed, xs, dropout_rate, keys)
        if state is not None:  # a bidirectional stack takes none
            options["state"] = state
        state, ys = self.stack.unroll(xs, dropout_rate=dropout_rate, keys=keys, **options)
        if dropout_rate is not None:
            ys = dropout(ys, dropout_rate, keys)
        return state, self.readout(ys, self.embed)


class ManyToOne(nnx.Module):
    """One output for the whole sequence, read after its last valid step: classification, sentiment."""

    def __init__(self, stack, readout, embed=None):
        self.embed = embed
        self.stack = stack
        self.readout = readout

    def __call__(
        self,
        xs: Integer[Array | np.ndarray, "time *batch"] | Float[Array, "time *batch inputs"],
        *,
        lengths: Integer[Array, "*batch"] | None = None,
        dropout_rate=None,
        keys=None,
        **options,
    ) -> Float[Array, "*batch outputs"]:
        """The outputs; `options` are those of the stack's `unroll`."""
        xs = _embedded(self.embed, xs, dropout_rate, keys)
        _, ys = self.stack.unroll(xs, lengths=lengths, dropout_rate=dropout_rate, keys=keys, **options)
        h = self.stack.last(ys, lengths)
        if dropout_rate is not None:
            h = dropout(h[None], dropout_rate, keys)[0]
        return self.readout(h, self.embed)


class OneToOne(nnx.Module):
    """One step of the recurrence from the initial state: a feed-forward network with gates."""

    def __init__(self, stack, readout, embed=None):
        self.embed = embed
        self.stack = stack
        self.readout = readout

    def __call__(
        self, x: Integer[Array | np.ndarray, "*batch"] | Float[Array, "*batch inputs"]
    ) -> Float[Array, "*batch outputs"]:
        """The output for one input."""
        xs = x[None] if self.embed is None else self.embed(x[None])
        _, ys = self.stack.unroll(xs)
        return self.readout(ys[0], self.embed)


class OneToMany(nnx.Module):
    """A sequence from one vector: it enters at the first step, and then each output is the next step's input.

    `feedback` maps an output to the width of the inputs. With `targets` the true outputs are fed back instead
    (teacher forcing).
    """

    def __init__(self, stack, readout, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        self.stack = stack
        self.readout = readout
        self.feedback = Readout(outputs, inputs, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "*batch inputs"],
        time: int,
        targets: Float[Array, "time *batch outputs"] | None = None,
    ) -> Float[Array, "time *batch outputs"]:
        """`time` outputs; only the first `time - 1` of `targets` are read."""
        if targets is not None:
            xs = jnp.concatenate([x[None], self.feedback(targets[: time - 1])])
            return self.readout(self.stack.unroll(xs)[1])

        def step(carry, _):
            state, x = carry
            state, ys = self.stack.unroll(x[None], state)
            y = self.readout(ys[0])
            return (state, self.feedback(y)), y

        return jax.lax.scan(step, (self.stack.initial_state(x.shape[:-1]), x), length=time)[1]
