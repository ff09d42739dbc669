"""The vanilla recurrent network."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from seqjax.errors import UserError, did_you_mean
from seqjax.initialisers import initialiser

ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "linear": lambda a: a}

SLOPES = {  # of the activation, as a function of its value
    "tanh": lambda h: 1 - h**2,
    "relu": lambda h: (h > 0).astype(h.dtype),
    "sigmoid": lambda h: h * (1 - h),
    "linear": jnp.ones_like,
}


class RNN(nnx.Module):
    r"""Elman network: the state is one vector, and the output is the state.

        h' = activation(W x + U h + b)

    `activation` is "tanh", "relu", "sigmoid" or "linear". ReLU with `recurrent_init=identity()` is
    the IRNN of Le et al. (2015, arXiv:1504.00941).

    Reference: Elman (1990), Cognitive Science 14(2).
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        rngs: nnx.Rngs,
        kernel_init=initialiser("glorot"),
        recurrent_init=initialiser("orthogonal"),
        activation: str = "tanh",
    ):
        if activation not in ACTIVATIONS:
            raise UserError(f"unknown activation {activation!r} for rnn; {did_you_mean(activation, ACTIVATIONS)}")
        self.activation = activation
        self.w = nnx.Param(kernel_init(rngs.params(), (inputs, hidden)))
        self.u = nnx.Param(recurrent_init(rngs.params(), (hidden, hidden)))
        self.b = nnx.Param(jnp.zeros(hidden))

    def initial_state(self) -> Float[Array, "hidden"]:
        return jnp.zeros(self.u.shape[0], self.u.dtype)

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch hidden"]:
        return x @ self.w[...] + self.b[...]

    def step(
        self, h: Float[Array, "hidden"], z: Float[Array, "hidden"]
    ) -> tuple[Float[Array, "hidden"], Float[Array, "hidden"]]:
        h = ACTIVATIONS[self.activation](z + h @ self.u[...])
        return h, h

    def pull_back(
        self, d: Float[Array, "*batch hidden"], h: Float[Array, "*batch hidden"]
    ) -> Float[Array, "*batch hidden"]:
        """`d dh'/dh` of the step that ended in state `h`: the gradient `d` there, taken back to the state before it.

        The activation's slope is that at the value `h`, so with `d` and `h` held constant only U is differentiated, as
        in the regulariser of Pascanu, Mikolov & Bengio (2013, arXiv:1211.5063).
        """
        return (d * SLOPES[self.activation](h)) @ self.u[...].T

    def __call__(self, h, x):
        return self.step(h, self.project(x))
