"""Long short-term memory."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from seqjax.initialisers import initialiser, per_gate


class LSTM(nnx.Module):
    r"""Long short-term memory with a forget gate, without peepholes.

        i, f, o = sigmoid(W_ifo x + U_ifo h + b_ifo)
        g       = tanh(W_g x + U_g h + b_g)
        c'      = f * c + i * g
        h'      = o * tanh(c')

    The state is `(c, h)`, the output `h'`. `forget_bias` is what b_f starts at; the other biases start at 0.

    Reference: Hochreiter & Schmidhuber (1997), Neural Computation 9(8); forget gate: Gers et al. (2000).
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        rngs: nnx.Rngs,
        kernel_init=initialiser("glorot"),
        recurrent_init=initialiser("orthogonal"),
        forget_bias: float = 1.0,
    ):
        self.w = nnx.Param(per_gate(kernel_init, 4)(rngs.params(), (inputs, 4 * hidden)))
        self.u = nnx.Param(per_gate(recurrent_init, 4)(rngs.params(), (hidden, 4 * hidden)))
        self.b = nnx.Param(jnp.zeros(4 * hidden).at[hidden : 2 * hidden].set(forget_bias))

    def initial_state(self) -> tuple[Float[Array, "hidden"], Float[Array, "hidden"]]:
        zeros = jnp.zeros(self.u.shape[0], self.u.dtype)
        return zeros, zeros

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch gates"]:
        return x @ self.w[...] + self.b[...]

    def step(
        self, state: tuple[Float[Array, "hidden"], Float[Array, "hidden"]], z: Float[Array, "4*hidden"]
    ) -> tuple[tuple[Float[Array, "hidden"], Float[Array, "hidden"]], Float[Array, "hidden"]]:
        c, h = state
        i, f, g, o = self._gates_and_candidate(h, z)
        c = f * c + i * g
        h = o * jnp.tanh(c)
        return (c, h), h

    def gates(
        self, state: tuple[Float[Array, "hidden"], Float[Array, "hidden"]], z: Float[Array, "4*hidden"]
    ) -> dict[str, Float[Array, "hidden"]]:
        i, f, _, o = self._gates_and_candidate(state[1], z)
        return {"input": i, "forget": f, "output": o}

    def _gates_and_candidate(self, h, z):
        i, f, g, o = jnp.split(z + h @ self.u[...], 4, axis=-1)
        return jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)

    def __call__(self, state, x):
        return self.step(state, self.project(x))
