"""Minimal gated units: their gates see the input alone, so the recurrence is linear in the state.

Both are the equations of the paper's main text, in which the candidate is an affine function of the input and may be
negative. The authors' program passes it through `g(a) = a + 0.5 for a >= 0, else sigmoid(a)` instead, which keeps every
state positive so that the scan over time can be made of logarithms. The scan here multiplies numbers in (0, 1), adds,
and needs no logarithms (see `seqjax.linear_recurrence`). What surrounds the units in the paper is no part of the cells:
the widening of the state, the projection back to the input's width, and normalisation, convolution and MLP beside them.

No matrix multiplies the state: `recurrent_init` is taken because every cell takes it, and draws nothing.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from seqjax.initialisers import initialiser, per_gate


class MinGRU(nnx.Module):
    r"""Minimal GRU: no reset gate, and an update gate and a candidate that do not see the state.

        z  = sigmoid(W_z x + b_z)
        n  = W_n x + b_n
        h' = (1 - z) * h + z * n

    The update gate z admits the candidate, the opposite of the `GRU`'s z, and the candidate has no tanh.

    Reference: Feng et al. (2024), arXiv:2410.01201.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        rngs: nnx.Rngs,
        kernel_init=initialiser("glorot"),
        recurrent_init=initialiser("orthogonal"),
    ):
        self.w = nnx.Param(per_gate(kernel_init, 2)(rngs.params(), (inputs, 2 * hidden)))
        self.b = nnx.Param(jnp.zeros(2 * hidden))

    def initial_state(self) -> Float[Array, "hidden"]:
        return jnp.zeros(self.b.shape[0] // 2, self.b.dtype)

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch gates"]:
        return x @ self.w[...] + self.b[...]

    def affine(self, z: Float[Array, "*batch gates"]) -> tuple[Float[Array, "*batch hidden"], ...]:
        z, n = jnp.split(z, 2, axis=-1)
        z = jax.nn.sigmoid(z)
        return 1 - z, z * n

    def output(
        self, h: Float[Array, "*batch hidden"], z: Float[Array, "*batch gates"]
    ) -> Float[Array, "*batch hidden"]:
        return h

    def step(
        self, h: Float[Array, "hidden"], z: Float[Array, "2*hidden"]
    ) -> tuple[Float[Array, "hidden"], Float[Array, "hidden"]]:
        a, b = self.affine(z)
        h = a * h + b
        return h, self.output(h, z)

    def gates(self, h: Float[Array, "hidden"], z: Float[Array, "2*hidden"]) -> dict[str, Float[Array, "hidden"]]:
        return {"update": jax.nn.sigmoid(jnp.split(z, 2, axis=-1)[0])}

    def __call__(self, h, x):
        return self.step(h, self.project(x))


class MinLSTM(nnx.Module):
    r"""Minimal LSTM: no output gate, and a forget and an input gate that do not see the state and add up to 1.

        f, i = sigmoid(W_fi x + b_fi)
        n    = W_n x + b_n
        h'   = f / (f + i) * h + i / (f + i) * n

    Without the division, an option in the authors' program, the state could grow as long as f + i is over 1. With it
    the share of the old state is a `MinGRU`'s 1 - z that two matrices decide together. `gates` gives the shares
    f / (f + i) and i / (f + i), which are what acts on the state.

    `forget_bias` is what b_f starts at; the other biases start at 0.

    Reference: Feng et al. (2024), arXiv:2410.01201.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        rngs: nnx.Rngs,
        kernel_init=initialiser("glorot"),
        recurrent_init=initialiser("orthogonal"),
        forget_bias: float = 0.0,
    ):
        self.w = nnx.Param(per_gate(kernel_init, 3)(rngs.params(), (inputs, 3 * hidden)))
        self.b = nnx.Param(jnp.zeros(3 * hidden).at[:hidden].set(forget_bias))

    def initial_state(self) -> Float[Array, "hidden"]:
        return jnp.zeros(self.b.shape[0] // 3, self.b.dtype)

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch gates"]:
        return x @ self.w[...] + self.b[...]

    def affine(self, z: Float[Array, "*batch gates"]) -> tuple[Float[Array, "*batch hidden"], ...]:
        f, i, n = self._shares_and_candidate(z)
        return f, i * n

    def output(
        self, h: Float[Array, "*batch hidden"], z: Float[Array, "*batch gates"]
    ) -> Float[Array, "*batch hidden"]:
        return h

    def step(
        self, h: Float[Array, "hidden"], z: Float[Array, "3*hidden"]
    ) -> tuple[Float[Array, "hidden"], Float[Array, "hidden"]]:
        a, b = self.affine(z)
        h = a * h + b
        return h, self.output(h, z)

    def gates(self, h: Float[Array, "hidden"], z: Float[Array, "3*hidden"]) -> dict[str, Float[Array, "hidden"]]:
        f, i, _ = self._shares_and_candidate(z)
        return {"forget": f, "input": i}

    def _shares_and_candidate(self, z):
        f, i, n = jnp.split(z, 3, axis=-1)
        # f / (f + i) as a sigmoid: both gates can be too small for their sum to divide by.
        odds = jax.nn.log_sigmoid(f) - jax.nn.log_sigmoid(i)
        return jax.nn.sigmoid(odds), jax.nn.sigmoid(-odds), n

    def __call__(self, h, x):
        return self.step(h, self.project(x))
