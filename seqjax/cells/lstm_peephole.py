"""The LSTM with peepholes, and two of the variants of Greff et al. (2015): coupled gates, and full gate recurrence.

Against the `lstm`, the gates see the memory too, each unit's gates its own: i and f the memory c before the step, o the
memory c' after it, through a vector of weights a gate. The letters are the paper's: z is the block input. All biases
start at 0, that of the forget gate too. `kernel_init` draws each vector of peepholes as a matrix of one row, so that
"normal" with a scale of 0.1 is the paper's start.

Each of the paper's eight variants changes one thing. The six that leave something out are in `lstm_peephole_without`.

Reference: Greff et al. (2015), arXiv:1503.04069; peepholes: Gers & Schmidhuber (2000).
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from seqjax.initialisers import initialiser, per_gate

GLOROT, ORTHOGONAL = initialiser("glorot"), initialiser("orthogonal")
Hidden = Float[Array, "hidden"]
State = tuple[Hidden, Hidden]
StateAndGates = tuple[Hidden, Hidden, Hidden, Hidden, Hidden]


class PeepholeLSTM(nnx.Module):
    r"""Long short-term memory with peepholes, which the eight variants start from.

        z  = tanh(W_z x + U_z h + b_z)
        i  = sigmoid(W_i x + U_i h + p_i * c + b_i)
        f  = sigmoid(W_f x + U_f h + p_f * c + b_f)
        c' = i * z + f * c
        o  = sigmoid(W_o x + U_o h + p_o * c' + b_o)
        h' = o * tanh(c')

    The state is `(c, h)`, the output `h'`. Without the three vectors p it is `LSTM`.

    Reference: Greff et al. (2015), arXiv:1503.04069.
    """

    def __init__(self, inputs: int, hidden: int, *, rngs: nnx.Rngs, kernel_init=GLOROT, recurrent_init=ORTHOGONAL):
        self.w = nnx.Param(per_gate(kernel_init, 4)(rngs.params(), (inputs, 4 * hidden)))
        self.u = nnx.Param(per_gate(recurrent_init, 4)(rngs.params(), (hidden, 4 * hidden)))
        self.p = nnx.Param(per_gate(kernel_init, 3)(rngs.params(), (1, 3 * hidden))[0])
        self.b = nnx.Param(jnp.zeros(4 * hidden))

    def initial_state(self) -> State:
        zeros = jnp.zeros(self.u.shape[0], self.u.dtype)
        return zeros, zeros

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch gates"]:
        return x @ self.w[...] + self.b[...]

    def step(self, state: State, z: Float[Array, "4*hidden"]) -> tuple[State, Hidden]:
        c, _, _, o = self._memory_and_gates(state, z)
        h = o * jnp.tanh(c)
        return (c, h), h

    def gates(self, state: State, z: Float[Array, "4*hidden"]) -> dict[str, Hidden]:
        _, i, f, o = self._memory_and_gates(state, z)
        return {"input": i, "forget": f, "output": o}

    def _memory_and_gates(self, state, z):
        c, h = state
        z, i, f, o = jnp.split(z + h @ self.u[...], 4, axis=-1)
        p_i, p_f, p_o = jnp.split(self.p[...], 3)
        i = jax.nn.sigmoid(i + p_i * c)
        f = jax.nn.sigmoid(f + p_f * c)
        c = i * jnp.tanh(z) + f * c
        return c, i, f, jax.nn.sigmoid(o + p_o * c)

    def __call__(self, state, x):
        return self.step(state, self.project(x))


class PeepholeLSTMCIFG(nnx.Module):
    r"""CIFG: `PeepholeLSTM` with coupled input and forget gates, so that what is admitted takes the place of the old.

        z  = tanh(W_z x + U_z h + b_z)
        i  = sigmoid(W_i x + U_i h + p_i * c + b_i)
        c' = i * z + (1 - i) * c
        o  = sigmoid(W_o x + U_o h + p_o * c' + b_o)
        h' = o * tanh(c')

    The forget gate 1 - i has no weights; `gates` gives it beside i. A `GRU` couples its two shares in the same way.

    Reference: Greff et al. (2015), arXiv:1503.04069.
    """

    def __init__(self, inputs: int, hidden: int, *, rngs: nnx.Rngs, kernel_init=GLOROT, recurrent_init=ORTHOGONAL):
        self.w = nnx.Param(per_gate(kernel_init, 3)(rngs.params(), (inputs, 3 * hidden)))
        self.u = nnx.Param(per_gate(recurrent_init, 3)(rngs.params(), (hidden, 3 * hidden)))
        self.p = nnx.Param(per_gate(kernel_init, 2)(rngs.params(), (1, 2 * hidden))[0])
        self.b = nnx.Param(jnp.zeros(3 * hidden))

    def initial_state(self) -> State:
        zeros = jnp.zeros(self.u.shape[0], self.u.dtype)
        return zeros, zeros

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch gates"]:
        return x @ self.w[...] + self.b[...]

    def step(self, state: State, z: Float[Array, "3*hidden"]) -> tuple[State, Hidden]:
        c, _, o = self._memory_and_gates(state, z)
        h = o * jnp.tanh(c)
        return (c, h), h

    def gates(self, state: State, z: Float[Array, "3*hidden"]) -> dict[str, Hidden]:
        _, i, o = self._memory_and_gates(state, z)
        return {"input": i, "forget": 1 - i, "output": o}

    def _memory_and_gates(self, state, z):
        c, h = state
        z, i, o = jnp.split(z + h @ self.u[...], 3, axis=-1)
        p_i, p_o = jnp.split(self.p[...], 2)
        i = jax.nn.sigmoid(i + p_i * c)
        c = i * jnp.tanh(z) + (1 - i) * c
        return c, i, jax.nn.sigmoid(o + p_o * c)

    def __call__(self, state, x):
        return self.step(state, self.project(x))


class PeepholeLSTMFGR(nnx.Module):
    r"""FGR: `PeepholeLSTM` with full gate recurrence: every gate sees all three gates of the step before.

        z  = tanh(W_z x + U_z h + b_z)
        i' = sigmoid(W_i x + U_i h + p_i * c  + R_ii i + R_fi f + R_oi o + b_i)
        f' = sigmoid(W_f x + U_f h + p_f * c  + R_if i + R_ff f + R_of o + b_f)
        c' = i' * z + f' * c
        o' = sigmoid(W_o x + U_o h + p_o * c' + R_io i + R_fo f + R_oo o + b_o)
        h' = o' * tanh(c')

    The state is `(c, h, i, f, o)`: the gates are kept, and start at 0. That makes nine matrices of `[hidden, hidden]`
    more than `PeepholeLSTM` has; `r_i` holds R_ii, R_if and R_io side by side, and `r_f` and `r_o` the others.

    Reference: Greff et al. (2015), arXiv:1503.04069.
    """

    def __init__(self, inputs: int, hidden: int, *, rngs: nnx.Rngs, kernel_init=GLOROT, recurrent_init=ORTHOGONAL):
        self.w = nnx.Param(per_gate(kernel_init, 4)(rngs.params(), (inputs, 4 * hidden)))
        self.u = nnx.Param(per_gate(recurrent_init, 4)(rngs.params(), (hidden, 4 * hidden)))
        self.r_i = nnx.Param(per_gate(recurrent_init, 3)(rngs.params(), (hidden, 3 * hidden)))
        self.r_f = nnx.Param(per_gate(recurrent_init, 3)(rngs.params(), (hidden, 3 * hidden)))
        self.r_o = nnx.Param(per_gate(recurrent_init, 3)(rngs.params(), (hidden, 3 * hidden)))
        self.p = nnx.Param(per_gate(kernel_init, 3)(rngs.params(), (1, 3 * hidden))[0])
        self.b = nnx.Param(jnp.zeros(4 * hidden))

    def initial_state(self) -> StateAndGates:
        zeros = jnp.zeros(self.u.shape[0], self.u.dtype)
        return zeros, zeros, zeros, zeros, zeros

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch gates"]:
        return x @ self.w[...] + self.b[...]

    def step(self, state: StateAndGates, z: Float[Array, "4*hidden"]) -> tuple[StateAndGates, Hidden]:
        c, i, f, o = self._memory_and_gates(state, z)
        h = o * jnp.tanh(c)
        return (c, h, i, f, o), h

    def gates(self, state: StateAndGates, z: Float[Array, "4*hidden"]) -> dict[str, Hidden]:
        _, i, f, o = self._memory_and_gates(state, z)
        return {"input": i, "forget": f, "output": o}

    def _memory_and_gates(self, state, z):
        c, h, *gates = state
        r = jnp.concatenate([self.r_i[...], self.r_f[...], self.r_o[...]])
        z, *ifo = jnp.split(z + h @ self.u[...], 4, axis=-1)
        i, f, o = jnp.split(jnp.concatenate(ifo) + jnp.concatenate(gates) @ r, 3, axis=-1)
        p_i, p_f, p_o = jnp.split(self.p[...], 3)
        i = jax.nn.sigmoid(i + p_i * c)
        f = jax.nn.sigmoid(f + p_f * c)
        c = i * jnp.tanh(z) + f * c
        return c, i, f, jax.nn.sigmoid(o + p_o * c)

    def __call__(self, state, x):
        return self.step(state, self.project(x))
