"""Long short-term memory."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from seqjax.errors import UserError
from seqjax.initialisers import initialiser, per_gate


class LSTM(nnx.Module):
    r"""Long short-term memory with a forget gate, without peepholes.

        i, f, o = sigmoid(W_ifo x + U_ifo h + b_ifo)
        g       = tanh(W_g x + U_g h + b_g)
        c'      = f * c + i * g
        h'      = o * tanh(c')

    The state is `(c, h)`, the output `h'`. `forget_bias` is what b_f starts at; the other biases start at 0.

    With `chrono` over 0, the longest dependency expected in steps, the units start with time constants spread up to
    it, in place of `forget_bias`: b_f is drawn as log U[1, chrono - 1], and b_i is -b_f.

    Reference: Hochreiter & Schmidhuber (1997), Neural Computation 9(8); forget gate: Gers et al. (2000); chrono:
    Tallec & Ollivier (2018), arXiv:1804.11188.
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
        chrono: int = 0,
    ):
        if chrono and chrono < 3:
            raise UserError(f"chrono is the longest dependency in steps, at least 3, not {chrono}")
        self.w = nnx.Param(per_gate(kernel_init, 4)(rngs.params(), (inputs, 4 * hidden)))
        self.u = nnx.Param(per_gate(recurrent_init, 4)(rngs.params(), (hidden, 4 * hidden)))
        b = jnp.zeros(4 * hidden).at[hidden : 2 * hidden].set(forget_bias)
        if chrono:
            b_f = jnp.log(jax.random.uniform(rngs.params(), (hidden,), minval=1, maxval=chrono - 1))
            b = b.at[: 2 * hidden].set(jnp.concatenate([-b_f, b_f]))
        self.b = nnx.Param(b)

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
