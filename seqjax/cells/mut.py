"""The three best architectures found by the search of Jozefowicz, Zaremba & Sutskever (2015).

All three share `h' = C * z + h * (1 - z)`: z admits the candidate, the opposite of the GRU's z.

MUT1 and MUT2 use the raw input x beside products with it, so x must be as wide as the state. Where `inputs` differs
from `hidden`, x is first multiplied by a learned `[inputs, hidden]` matrix `p`, which counts as parameters of the cell;
the equations then hold with `x p` in the place of x.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from seqjax.initialisers import initialiser, per_gate


def _widening(kernel_init, rngs: nnx.Rngs, inputs: int, hidden: int) -> nnx.Param | None:
    return None if inputs == hidden else nnx.Param(kernel_init(rngs.params(), (inputs, hidden)))


class MUT1(nnx.Module):
    r"""MUT1: the update gate sees the input alone, and the candidate takes tanh(x) unweighted.

        z  = sigmoid(W_z x + b_z)
        r  = sigmoid(W_r x + U_r h + b_r)
        C  = tanh(U_h (r * h) + tanh(x) + b_h)
        h' = C * z + h * (1 - z)

    With `inputs != hidden`, x stands for `x p` (a learned widening, counted among the parameters).

    Reference: Jozefowicz, Zaremba & Sutskever (2015), ICML, section 4.
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
        self.p = _widening(kernel_init, rngs, inputs, hidden)
        self.w = nnx.Param(per_gate(kernel_init, 2)(rngs.params(), (hidden, 2 * hidden)))
        self.u_r = nnx.Param(recurrent_init(rngs.params(), (hidden, hidden)))
        self.u_h = nnx.Param(recurrent_init(rngs.params(), (hidden, hidden)))
        self.b = nnx.Param(jnp.zeros(3 * hidden))

    def initial_state(self) -> Float[Array, "hidden"]:
        return jnp.zeros(self.u_h.shape[0], self.u_h.dtype)

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch gates"]:
        x = x if self.p is None else x @ self.p[...]
        return jnp.concatenate([x @ self.w[...], jnp.tanh(x)], axis=-1) + self.b[...]

    def step(
        self, h: Float[Array, "hidden"], z: Float[Array, "3*hidden"]
    ) -> tuple[Float[Array, "hidden"], Float[Array, "hidden"]]:
        z, _, candidate = self._gates_and_candidate(h, z)
        h = candidate * z + h * (1 - z)
        return h, h

    def gates(self, h: Float[Array, "hidden"], z: Float[Array, "3*hidden"]) -> dict[str, Float[Array, "hidden"]]:
        z, r, _ = self._gates_and_candidate(h, z)
        return {"update": z, "reset": r}

    def _gates_and_candidate(self, h, z):
        z, r, x = jnp.split(z, 3, axis=-1)
        z = jax.nn.sigmoid(z)
        r = jax.nn.sigmoid(r + h @ self.u_r[...])
        return z, r, jnp.tanh((r * h) @ self.u_h[...] + x)

    def __call__(self, h, x):
        return self.step(h, self.project(x))


class MUT2(nnx.Module):
    r"""MUT2: the reset gate takes x unweighted.

        z  = sigmoid(W_z x + U_z h + b_z)
        r  = sigmoid(x + U_r h + b_r)
        C  = tanh(U_h (r * h) + W_h x + b_h)
        h' = C * z + h * (1 - z)

    With `inputs != hidden`, x stands for `x p` (a learned widening, counted among the parameters).

    Reference: Jozefowicz, Zaremba & Sutskever (2015), ICML, section 4.
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
        self.p = _widening(kernel_init, rngs, inputs, hidden)
        self.w = nnx.Param(per_gate(kernel_init, 2)(rngs.params(), (hidden, 2 * hidden)))
        self.u_zr = nnx.Param(per_gate(recurrent_init, 2)(rngs.params(), (hidden, 2 * hidden)))
        self.u_h = nnx.Param(recurrent_init(rngs.params(), (hidden, hidden)))
        self.b = nnx.Param(jnp.zeros(3 * hidden))

    def initial_state(self) -> Float[Array, "hidden"]:
        return jnp.zeros(self.u_h.shape[0], self.u_h.dtype)

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch gates"]:
        x = x if self.p is None else x @ self.p[...]
        z, candidate = jnp.split(x @ self.w[...], 2, axis=-1)
        return jnp.concatenate([z, x, candidate], axis=-1) + self.b[...]

    def step(
        self, h: Float[Array, "hidden"], z: Float[Array, "3*hidden"]
    ) -> tuple[Float[Array, "hidden"], Float[Array, "hidden"]]:
        z, _, candidate = self._gates_and_candidate(h, z)
        h = candidate * z + h * (1 - z)
        return h, h

    def gates(self, h: Float[Array, "hidden"], z: Float[Array, "3*hidden"]) -> dict[str, Float[Array, "hidden"]]:
        z, r, _ = self._gates_and_candidate(h, z)
        return {"update": z, "reset": r}

    def _gates_and_candidate(self, h, z):
        zr, x = jnp.split(z, [2 * h.shape[-1]], axis=-1)
        z, r = jnp.split(jax.nn.sigmoid(zr + h @ self.u_zr[...]), 2, axis=-1)
        return z, r, jnp.tanh((r * h) @ self.u_h[...] + x)

    def __call__(self, h, x):
        return self.step(h, self.project(x))


class MUT3(nnx.Module):
    r"""MUT3: the update gate sees tanh(h).

        z  = sigmoid(W_z x + U_z tanh(h) + b_z)
        r  = sigmoid(W_r x + U_r h + b_r)
        C  = tanh(U_h (r * h) + W_h x + b_h)
        h' = C * z + h * (1 - z)

    Reference: Jozefowicz, Zaremba & Sutskever (2015), ICML, section 4.
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
        self.u_z = nnx.Param(recurrent_init(rngs.params(), (hidden, hidden)))
        self.u_r = nnx.Param(recurrent_init(rngs.params(), (hidden, hidden)))
        self.u_h = nnx.Param(recurrent_init(rngs.params(), (hidden, hidden)))
        self.b = nnx.Param(jnp.zeros(3 * hidden))

    def initial_state(self) -> Float[Array, "hidden"]:
        return jnp.zeros(self.u_h.shape[0], self.u_h.dtype)

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch gates"]:
        return x @ self.w[...] + self.b[...]

    def step(
        self, h: Float[Array, "hidden"], z: Float[Array, "3*hidden"]
    ) -> tuple[Float[Array, "hidden"], Float[Array, "hidden"]]:
        z, _, candidate = self._gates_and_candidate(h, z)
        h = candidate * z + h * (1 - z)
        return h, h

    def gates(self, h: Float[Array, "hidden"], z: Float[Array, "3*hidden"]) -> dict[str, Float[Array, "hidden"]]:
        z, r, _ = self._gates_and_candidate(h, z)
        return {"update": z, "reset": r}

    def _gates_and_candidate(self, h, z):
        z, r, x = jnp.split(z, 3, axis=-1)
        z = jax.nn.sigmoid(z + jnp.tanh(h) @ self.u_z[...])
        r = jax.nn.sigmoid(r + h @ self.u_r[...])
        return z, r, jnp.tanh((r * h) @ self.u_h[...] + x)

    def __call__(self, h, x):
        return self.step(h, self.project(x))
