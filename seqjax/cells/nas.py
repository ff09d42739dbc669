"""The cell that an architecture search found."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from seqjax.initialisers import initialiser, per_gate

Hidden = Float[Array, "hidden"]
State = tuple[Hidden, Hidden]


class NASCell(nnx.Module):
    r"""NASCell: a tree of eight leaves, found by a controller that wrote cells and was rewarded for what they reached.

        a_k = W_k x,  m_k = U_k h,  k = 0 ... 7
        l_k = sigmoid(a_k + m_k) for k = 0, 2, 5, 7,  tanh(a_k + m_k) for k = 4, 6
        l_1 = relu(a_1 + m_1)
        l_3 = relu(a_3 * m_3)
        c'  = tanh(tanh(l_0 * l_1) + c) * tanh(l_2 + l_3)
        h'  = tanh(c' * tanh(tanh(l_4 * l_5) + sigmoid(l_6 + l_7)))

    The state is `(c, h)`, the output `h'`. Against the LSTMs: eight products with x and with h where they have four, of
    which one pair is multiplied and not added; no biases; a memory that passes through a tanh in every step and stays
    in (-1, 1); and no gates by name, though tanh(l_2 + l_3), in (0, 1), does the work of one.

    Reference: Zoph & Le (2017), arXiv:1611.01578; the graph is that of TensorFlow Addons' NASCell.
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
        self.w = nnx.Param(per_gate(kernel_init, 8)(rngs.params(), (inputs, 8 * hidden)))
        self.u = nnx.Param(per_gate(recurrent_init, 8)(rngs.params(), (hidden, 8 * hidden)))

    def initial_state(self) -> State:
        zeros = jnp.zeros(self.u.shape[0], self.u.dtype)
        return zeros, zeros

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch blocks"]:
        return x @ self.w[...]

    def step(self, state: State, z: Float[Array, "8*hidden"]) -> tuple[State, Hidden]:
        c, h = state
        sigmoid, tanh, relu = jax.nn.sigmoid, jnp.tanh, jax.nn.relu
        a = jnp.split(z, 8, axis=-1)
        m = jnp.split(h @ self.u[...], 8, axis=-1)
        l0, l2, l5, l7 = (sigmoid(a[k] + m[k]) for k in (0, 2, 5, 7))
        l4, l6 = (tanh(a[k] + m[k]) for k in (4, 6))
        l1 = relu(a[1] + m[1])
        l3 = relu(a[3] * m[3])
        c = tanh(tanh(l0 * l1) + c) * tanh(l2 + l3)
        h = tanh(c * tanh(tanh(l4 * l5) + sigmoid(l6 + l7)))
        return (c, h), h

    def __call__(self, state, x):
        return self.step(state, self.project(x))
