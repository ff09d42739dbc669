"""The LSTM of Jozefowicz, Zaremba & Sutskever (2015, ICML, section 2), and their four changes to it.

It is not the `lstm`: what multiplies tanh(c') is a tanh, not a sigmoid, so that it may turn the sign, and every bias
starts at 0. The letters are the paper's: the input gate is the sigmoid j, and the tanh i is the candidate it admits.

A gate that is left out is 1 and has no weights. `gates` gives the sigmoids alone: o lies in (-1, 1).
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from seqjax.initialisers import initialiser, per_gate

GLOROT, ORTHOGONAL = initialiser("glorot"), initialiser("orthogonal")
Hidden = Float[Array, "hidden"]
State = tuple[Hidden, Hidden]


class JozefowiczLSTM(nnx.Module):
    r"""Long short-term memory whose output is multiplied by a tanh.

        i, o = tanh(W_io x + U_io h + b_io)
        j, f = sigmoid(W_jf x + U_jf h + b_jf)
        c'   = c * f + i * j
        h'   = tanh(c') * o

    The state is `(c, h)`, the output `h'`. `forget_bias` is what b_f starts at; the other biases start at 0. Against
    `LSTM`, o is a tanh.

    Reference: Jozefowicz, Zaremba & Sutskever (2015), ICML, section 2.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        rngs: nnx.Rngs,
        kernel_init=GLOROT,
        recurrent_init=ORTHOGONAL,
        forget_bias: float = 0.0,
    ):
        self.w = nnx.Param(per_gate(kernel_init, 4)(rngs.params(), (inputs, 4 * hidden)))
        self.u = nnx.Param(per_gate(recurrent_init, 4)(rngs.params(), (hidden, 4 * hidden)))
        self.b = nnx.Param(jnp.zeros(4 * hidden).at[2 * hidden : 3 * hidden].set(forget_bias))

    def initial_state(self) -> State:
        zeros = jnp.zeros(self.u.shape[0], self.u.dtype)
        return zeros, zeros

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch gates"]:
        return x @ self.w[...] + self.b[...]

    def step(self, state: State, z: Float[Array, "4*hidden"]) -> tuple[State, Hidden]:
        c, h = state
        i, j, f, o = self._gates_and_candidate(h, z)
        c = c * f + i * j
        h = jnp.tanh(c) * o
        return (c, h), h

    def gates(self, state: State, z: Float[Array, "4*hidden"]) -> dict[str, Hidden]:
        _, j, f, _ = self._gates_and_candidate(state[1], z)
        return {"input": j, "forget": f}

    def _gates_and_candidate(self, h, z):
        i, j, f, o = jnp.split(z + h @ self.u[...], 4, axis=-1)
        return jnp.tanh(i), jax.nn.sigmoid(j), jax.nn.sigmoid(f), jnp.tanh(o)

    def __call__(self, state, x):
        return self.step(state, self.project(x))


class JozefowiczLSTMBias(JozefowiczLSTM):
    """LSTM-b: `JozefowiczLSTM` with the bias of the forget gate starting at 1. No other cell, but another start.

    `LSTM` starts with the same bias; its o is a sigmoid.

    Reference: Jozefowicz, Zaremba & Sutskever (2015), ICML, section 2.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        rngs: nnx.Rngs,
        kernel_init=GLOROT,
        recurrent_init=ORTHOGONAL,
        forget_bias: float = 1.0,
    ):
        initialisers = {"kernel_init": kernel_init, "recurrent_init": recurrent_init}
        super().__init__(inputs, hidden, rngs=rngs, forget_bias=forget_bias, **initialisers)


class JozefowiczLSTMNoForget(nnx.Module):
    r"""LSTM-f: `JozefowiczLSTM` without a forget gate, so that the memory only adds up.

        i, o = tanh(W_io x + U_io h + b_io)
        j    = sigmoid(W_j x + U_j h + b_j)
        c'   = c + i * j
        h'   = tanh(c') * o

    The state is `(c, h)`, the output `h'`. `PeepholeLSTMNFG` drops the same gate of another LSTM.

    Reference: Jozefowicz, Zaremba & Sutskever (2015), ICML, section 2.
    """

    def __init__(self, inputs: int, hidden: int, *, rngs: nnx.Rngs, kernel_init=GLOROT, recurrent_init=ORTHOGONAL):
        self.w = nnx.Param(per_gate(kernel_init, 3)(rngs.params(), (inputs, 3 * hidden)))
        self.u = nnx.Param(per_gate(recurrent_init, 3)(rngs.params(), (hidden, 3 * hidden)))
        self.b = nnx.Param(jnp.zeros(3 * hidden))

    def initial_state(self) -> State:
        zeros = jnp.zeros(self.u.shape[0], self.u.dtype)
        return zeros, zeros

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch gates"]:
        return x @ self.w[...] + self.b[...]

    def step(self, state: State, z: Float[Array, "3*hidden"]) -> tuple[State, Hidden]:
        c, h = state
        i, j, o = self._gate_and_candidate(h, z)
        c = c + i * j
        h = jnp.tanh(c) * o
        return (c, h), h

    def gates(self, state: State, z: Float[Array, "3*hidden"]) -> dict[str, Hidden]:
        return {"input": self._gate_and_candidate(state[1], z)[1]}

    def _gate_and_candidate(self, h, z):
        i, j, o = jnp.split(z + h @ self.u[...], 3, axis=-1)
        return jnp.tanh(i), jax.nn.sigmoid(j), jnp.tanh(o)

    def __call__(self, state, x):
        return self.step(state, self.project(x))


class JozefowiczLSTMNoInput(nnx.Module):
    r"""LSTM-i: `JozefowiczLSTM` without an input gate, so that every candidate is admitted whole.

        i, o = tanh(W_io x + U_io h + b_io)
        f    = sigmoid(W_f x + U_f h + b_f)
        c'   = c * f + i
        h'   = tanh(c') * o

    That the input gate is the sigmoid j, and not the tanh i, is our reading. The state is `(c, h)`, the output `h'`.
    `PeepholeLSTMNIG` drops the same gate of another LSTM.

    Reference: Jozefowicz, Zaremba & Sutskever (2015), ICML, section 2.
    """

    def __init__(self, inputs: int, hidden: int, *, rngs: nnx.Rngs, kernel_init=GLOROT, recurrent_init=ORTHOGONAL):
        self.w = nnx.Param(per_gate(kernel_init, 3)(rngs.params(), (inputs, 3 * hidden)))
        self.u = nnx.Param(per_gate(recurrent_init, 3)(rngs.params(), (hidden, 3 * hidden)))
        self.b = nnx.Param(jnp.zeros(3 * hidden))

    def initial_state(self) -> State:
        zeros = jnp.zeros(self.u.shape[0], self.u.dtype)
        return zeros, zeros

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch gates"]:
        return x @ self.w[...] + self.b[...]

    def step(self, state: State, z: Float[Array, "3*hidden"]) -> tuple[State, Hidden]:
        c, h = state
        i, f, o = self._gate_and_candidate(h, z)
        c = c * f + i
        h = jnp.tanh(c) * o
        return (c, h), h

    def gates(self, state: State, z: Float[Array, "3*hidden"]) -> dict[str, Hidden]:
        return {"forget": self._gate_and_candidate(state[1], z)[1]}

    def _gate_and_candidate(self, h, z):
        i, f, o = jnp.split(z + h @ self.u[...], 3, axis=-1)
        return jnp.tanh(i), jax.nn.sigmoid(f), jnp.tanh(o)

    def __call__(self, state, x):
        return self.step(state, self.project(x))


class JozefowiczLSTMNoOutput(nnx.Module):
    r"""LSTM-o: `JozefowiczLSTM` without o, so that the output is the memory's tanh.

        i    = tanh(W_i x + U_i h + b_i)
        j, f = sigmoid(W_jf x + U_jf h + b_jf)
        c'   = c * f + i * j
        h'   = tanh(c')

    The state is `(c, h)`, the output `h'`. Without o nothing is left of what tells it from an `LSTM` without an output
    gate. `PeepholeLSTMNOG` is that with peepholes.

    Reference: Jozefowicz, Zaremba & Sutskever (2015), ICML, section 2.
    """

    def __init__(self, inputs: int, hidden: int, *, rngs: nnx.Rngs, kernel_init=GLOROT, recurrent_init=ORTHOGONAL):
        self.w = nnx.Param(per_gate(kernel_init, 3)(rngs.params(), (inputs, 3 * hidden)))
        self.u = nnx.Param(per_gate(recurrent_init, 3)(rngs.params(), (hidden, 3 * hidden)))
        self.b = nnx.Param(jnp.zeros(3 * hidden))

    def initial_state(self) -> State:
        zeros = jnp.zeros(self.u.shape[0], self.u.dtype)
        return zeros, zeros

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch gates"]:
        return x @ self.w[...] + self.b[...]

    def step(self, state: State, z: Float[Array, "3*hidden"]) -> tuple[State, Hidden]:
        c, h = state
        i, j, f = self._gates_and_candidate(h, z)
        c = c * f + i * j
        h = jnp.tanh(c)
        return (c, h), h

    def gates(self, state: State, z: Float[Array, "3*hidden"]) -> dict[str, Hidden]:
        _, j, f = self._gates_and_candidate(state[1], z)
        return {"input": j, "forget": f}

    def _gates_and_candidate(self, h, z):
        i, j, f = jnp.split(z + h @ self.u[...], 3, axis=-1)
        return jnp.tanh(i), jax.nn.sigmoid(j), jax.nn.sigmoid(f)

    def __call__(self, state, x):
        return self.step(state, self.project(x))
