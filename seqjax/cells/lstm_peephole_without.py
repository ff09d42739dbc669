"""The six variants of Greff et al. (2015) that leave one thing out of the LSTM with peepholes.

A gate that is left out is 1 and has no weights; an activation that is left out is the identity. All else is as in
`lstm_peephole`: the letters, biases that start at 0, and peepholes drawn by `kernel_init` as a matrix of one row.

Reference: Greff et al. (2015), arXiv:1503.04069.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from seqjax.initialisers import initialiser, per_gate

GLOROT, ORTHOGONAL = initialiser("glorot"), initialiser("orthogonal")
Hidden = Float[Array, "hidden"]
State = tuple[Hidden, Hidden]


class PeepholeLSTMNIG(nnx.Module):
    r"""NIG: `PeepholeLSTM` without an input gate, so that every block input is admitted whole.

        z  = tanh(W_z x + U_z h + b_z)
        f  = sigmoid(W_f x + U_f h + p_f * c + b_f)
        c' = z + f * c
        o  = sigmoid(W_o x + U_o h + p_o * c' + b_o)
        h' = o * tanh(c')

    `JozefowiczLSTMNoInput` drops the same gate of another LSTM.

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
        _, f, o = self._memory_and_gates(state, z)
        return {"forget": f, "output": o}

    def _memory_and_gates(self, state, z):
        c, h = state
        z, f, o = jnp.split(z + h @ self.u[...], 3, axis=-1)
        p_f, p_o = jnp.split(self.p[...], 2)
        f = jax.nn.sigmoid(f + p_f * c)
        c = jnp.tanh(z) + f * c
        return c, f, jax.nn.sigmoid(o + p_o * c)

    def __call__(self, state, x):
        return self.step(state, self.project(x))


class PeepholeLSTMNFG(nnx.Module):
    r"""NFG: `PeepholeLSTM` without a forget gate, so that the memory only adds up.

        z  = tanh(W_z x + U_z h + b_z)
        i  = sigmoid(W_i x + U_i h + p_i * c + b_i)
        c' = i * z + c
        o  = sigmoid(W_o x + U_o h + p_o * c' + b_o)
        h' = o * tanh(c')

    `JozefowiczLSTMNoForget` drops the same gate of another LSTM.

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
        return {"input": i, "output": o}

    def _memory_and_gates(self, state, z):
        c, h = state
        z, i, o = jnp.split(z + h @ self.u[...], 3, axis=-1)
        p_i, p_o = jnp.split(self.p[...], 2)
        i = jax.nn.sigmoid(i + p_i * c)
        c = i * jnp.tanh(z) + c
        return c, i, jax.nn.sigmoid(o + p_o * c)

    def __call__(self, state, x):
        return self.step(state, self.project(x))


class PeepholeLSTMNOG(nnx.Module):
    r"""NOG: `PeepholeLSTM` without an output gate, so that the output is the memory's tanh.

        z  = tanh(W_z x + U_z h + b_z)
        i  = sigmoid(W_i x + U_i h + p_i * c + b_i)
        f  = sigmoid(W_f x + U_f h + p_f * c + b_f)
        c' = i * z + f * c
        h' = tanh(c')

    Without the two vectors p it is `JozefowiczLSTMNoOutput`.

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
        c, _, _ = self._memory_and_gates(state, z)
        h = jnp.tanh(c)
        return (c, h), h

    def gates(self, state: State, z: Float[Array, "3*hidden"]) -> dict[str, Hidden]:
        _, i, f = self._memory_and_gates(state, z)
        return {"input": i, "forget": f}

    def _memory_and_gates(self, state, z):
        c, h = state
        z, i, f = jnp.split(z + h @ self.u[...], 3, axis=-1)
        p_i, p_f = jnp.split(self.p[...], 2)
        i = jax.nn.sigmoid(i + p_i * c)
        f = jax.nn.sigmoid(f + p_f * c)
        return i * jnp.tanh(z) + f * c, i, f

    def __call__(self, state, x):
        return self.step(state, self.project(x))


class PeepholeLSTMNIAF(nnx.Module):
    r"""NIAF: `PeepholeLSTM` without an input activation function, so that the block input is not squashed.

        z  = W_z x + U_z h + b_z
        i  = sigmoid(W_i x + U_i h + p_i * c + b_i)
        f  = sigmoid(W_f x + U_f h + p_f * c + b_f)
        c' = i * z + f * c
        o  = sigmoid(W_o x + U_o h + p_o * c' + b_o)
        h' = o * tanh(c')

    Of the two activations `PeepholeLSTMNOAF` drops the other.

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
        c = i * z + f * c
        return c, i, f, jax.nn.sigmoid(o + p_o * c)

    def __call__(self, state, x):
        return self.step(state, self.project(x))


class PeepholeLSTMNOAF(nnx.Module):
    r"""NOAF: `PeepholeLSTM` without an output activation function, so that the output may be as large as the memory.

        z  = tanh(W_z x + U_z h + b_z)
        i  = sigmoid(W_i x + U_i h + p_i * c + b_i)
        f  = sigmoid(W_f x + U_f h + p_f * c + b_f)
        c' = i * z + f * c
        o  = sigmoid(W_o x + U_o h + p_o * c' + b_o)
        h' = o * c'

    Of the two activations `PeepholeLSTMNIAF` drops the other.

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
        h = o * c
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


class PeepholeLSTMNP(nnx.Module):
    r"""NP: `PeepholeLSTM` without peepholes.

        z       = tanh(W_z x + U_z h + b_z)
        i, f, o = sigmoid(W_ifo x + U_ifo h + b_ifo)
        c'      = i * z + f * c
        h'      = o * tanh(c')

    These are the equations of `LSTM`, whose forget gate starts with a bias of 1; here it starts at 0.

    Reference: Greff et al. (2015), arXiv:1503.04069.
    """

    def __init__(self, inputs: int, hidden: int, *, rngs: nnx.Rngs, kernel_init=GLOROT, recurrent_init=ORTHOGONAL):
        self.w = nnx.Param(per_gate(kernel_init, 4)(rngs.params(), (inputs, 4 * hidden)))
        self.u = nnx.Param(per_gate(recurrent_init, 4)(rngs.params(), (hidden, 4 * hidden)))
        self.b = nnx.Param(jnp.zeros(4 * hidden))

    def initial_state(self) -> State:
        zeros = jnp.zeros(self.u.shape[0], self.u.dtype)
        return zeros, zeros

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch gates"]:
        return x @ self.w[...] + self.b[...]

    def step(self, state: State, z: Float[Array, "4*hidden"]) -> tuple[State, Hidden]:
        c, h = state
        z, i, f, o = self._block_input_and_gates(h, z)
        c = i * z + f * c
        h = o * jnp.tanh(c)
        return (c, h), h

    def gates(self, state: State, z: Float[Array, "4*hidden"]) -> dict[str, Hidden]:
        _, i, f, o = self._block_input_and_gates(state[1], z)
        return {"input": i, "forget": f, "output": o}

    def _block_input_and_gates(self, h, z):
        z, i, f, o = jnp.split(z + h @ self.u[...], 4, axis=-1)
        return jnp.tanh(z), jax.nn.sigmoid(i), jax.nn.sigmoid(f), jax.nn.sigmoid(o)

    def __call__(self, state, x):
        return self.step(state, self.project(x))
