"""Gated recurrent units: two cells that differ in where the reset gate acts."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from seqjax.initialisers import initialiser, per_gate


class GRU(nnx.Module):
    r"""Gated recurrent unit, reset before the product.

        r, z = sigmoid(W_rz x + U_rz h + b_rz)
        n    = tanh(W_n x + U_n (r * h) + b_n)
        h'   = z * h + (1 - z) * n

    The letter z means the opposite in MUT1-3, where it admits the new candidate.

    Reference: Cho et al. (2014), arXiv:1406.1078.
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
        self.w = nnx.Param(per_gate(kernel_init, 3)(rngs.params(), (inputs, 3 * hidden)))
        self.u_rz = nnx.Param(per_gate(recurrent_init, 2)(rngs.params(), (hidden, 2 * hidden)))
        self.u_n = nnx.Param(recurrent_init(rngs.params(), (hidden, hidden)))
        self.b = nnx.Param(jnp.zeros(3 * hidden))

    def initial_state(self) -> Float[Array, "hidden"]:
        return jnp.zeros(self.u_n.shape[0], self.u_n.dtype)

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch gates"]:
        return x @ self.w[...] + self.b[...]

    def step(
        self, h: Float[Array, "hidden"], z: Float[Array, "3*hidden"]
    ) -> tuple[Float[Array, "hidden"], Float[Array, "hidden"]]:
        _, z, n = self._gates_and_candidate(h, z)
        h = z * h + (1 - z) * n
        return h, h

    def gates(self, h: Float[Array, "hidden"], z: Float[Array, "3*hidden"]) -> dict[str, Float[Array, "hidden"]]:
        r, z, _ = self._gates_and_candidate(h, z)
        return {"reset": r, "update": z}

    def _gates_and_candidate(self, h, z):
        rz, n = jnp.split(z, [2 * h.shape[-1]], axis=-1)
        r, z = jnp.split(jax.nn.sigmoid(rz + h @ self.u_rz[...]), 2, axis=-1)
        return r, z, jnp.tanh(n + (r * h) @ self.u_n[...])

    def __call__(self, h, x):
        return self.step(h, self.project(x))


class GRUResetAfter(nnx.Module):
    r"""Gated recurrent unit, reset after the product: the form of cuDNN, PyTorch and Flax.

        r, z = sigmoid(W_rz x + U_rz h + b_rz)
        n    = tanh(W_n x + b_n + r * (U_n h + b'_n))
        h'   = z * h + (1 - z) * n

    All products with h are one matrix product, where `GRU` needs two in a row.

    Reference: Cho et al. (2014), arXiv:1406.1078v1; Appleyard et al. (2016), arXiv:1604.01946.
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
        self.w = nnx.Param(per_gate(kernel_init, 3)(rngs.params(), (inputs, 3 * hidden)))
        self.u = nnx.Param(per_gate(recurrent_init, 3)(rngs.params(), (hidden, 3 * hidden)))
        self.b = nnx.Param(jnp.zeros(3 * hidden))
        self.b_n = nnx.Param(jnp.zeros(hidden))

    def initial_state(self) -> Float[Array, "hidden"]:
        return jnp.zeros(self.u.shape[0], self.u.dtype)

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch gates"]:
        return x @ self.w[...] + self.b[...]

    def step(
        self, h: Float[Array, "hidden"], z: Float[Array, "3*hidden"]
    ) -> tuple[Float[Array, "hidden"], Float[Array, "hidden"]]:
        _, z, n = self._gates_and_candidate(h, z)
        h = z * h + (1 - z) * n
        return h, h

    def gates(self, h: Float[Array, "hidden"], z: Float[Array, "3*hidden"]) -> dict[str, Float[Array, "hidden"]]:
        r, z, _ = self._gates_and_candidate(h, z)
        return {"reset": r, "update": z}

    def _gates_and_candidate(self, h, z):
        gates = 2 * h.shape[-1]
        uh = h @ self.u[...]
        r, update = jnp.split(jax.nn.sigmoid(z[:gates] + uh[:gates]), 2, axis=-1)
        return r, update, jnp.tanh(z[gates:] + r * (uh[gates:] + self.b_n[...]))

    def __call__(self, h, x):
        return self.step(h, self.project(x))
