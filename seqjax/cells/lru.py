"""The linear recurrent unit."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Complex, Float

from seqjax.errors import UserError
from seqjax.initialisers import initialiser, per_gate


class LRU(nnx.Module):
    r"""Linear recurrent unit: complex units that each turn and shrink by a number of their own.

        lambda = exp(-exp(nu_log) + i exp(theta_log))
        h'     = lambda * h + exp(gamma_log) * (B x)
        y      = Re(C h') + D x

    The state h is complex, held as a pair (real, imaginary) of real arrays, and all parameters are real: `b` is Re B
    and Im B side by side, `c` is Re C above Im C. |lambda| < 1 whatever the parameters. D is a vector that multiplies x
    unit by unit where `inputs` is `hidden`, as in the paper, and a matrix otherwise.

    Everything is linear from the inputs to y: the paper puts a gated layer with a skip connection after each unit, and
    without one a stack of them is no more than one linear filter.

    At the start lambda is uniform on the part of the ring `r_min <= |lambda| <= r_max` with a phase in
    [0, `max_phase`], and gamma is sqrt(1 - |lambda|^2), with which white inputs lead to states of the same size for
    every |lambda|. `kernel_init` draws C, D where it is a matrix, and B, whose two parts are divided by sqrt(2) so that
    |B|^2 is on average what it gives to a real matrix: with "glorot" these are the paper's variances for
    `inputs == hidden`. No matrix leads from state to state: `recurrent_init` draws nothing.

    Reference: Orvieto et al. (2023), arXiv:2303.06349.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        rngs: nnx.Rngs,
        kernel_init=initialiser("glorot"),
        recurrent_init=initialiser("orthogonal"),
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 6.28,
    ):
        if not 0 <= r_min <= r_max <= 1:
            raise UserError(f"lru needs 0 <= r_min <= r_max <= 1, not r_min {r_min} and r_max {r_max}")
        if not max_phase > 0:
            raise UserError(f"max_phase is an angle over 0, not {max_phase}")
        smallest, eps = jnp.finfo(float).tiny, jnp.finfo(float).eps
        # Uniform on a ring means that the square of the radius is uniform. At radius 0 and 1 a logarithm is infinite.
        square = jax.random.uniform(rngs.params(), (hidden,), minval=r_min**2, maxval=r_max**2)
        decay = -jnp.log(jnp.clip(square, smallest, 1 - eps)) / 2
        phase = max_phase * jax.random.uniform(rngs.params(), (hidden,), minval=smallest)
        self.nu_log = nnx.Param(jnp.log(decay))
        self.theta_log = nnx.Param(jnp.log(phase))
        self.gamma_log = nnx.Param(jnp.log(-jnp.expm1(-2 * decay)) / 2)
        self.b = nnx.Param(per_gate(kernel_init, 2)(rngs.params(), (inputs, 2 * hidden)) / math.sqrt(2))
        self.c = nnx.Param(
            jnp.concatenate(
                [kernel_init(rngs.params(), (hidden, hidden)), kernel_init(rngs.params(), (hidden, hidden))]
            )
        )
        if inputs == hidden:
            self.d = nnx.Param(jax.random.normal(rngs.params(), (hidden,)))
        else:
            self.d = nnx.Param(kernel_init(rngs.params(), (inputs, hidden)))

    def initial_state(self) -> tuple[Float[Array, "hidden"], Float[Array, "hidden"]]:
        zeros = jnp.zeros(self.nu_log.shape[0], self.nu_log.dtype)
        return zeros, zeros

    def project(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch projected"]:
        b = self.b[...] * jnp.tile(jnp.exp(self.gamma_log[...]), 2)
        d = self.d[...]
        return jnp.concatenate([x @ b, x * d if d.ndim == 1 else x @ d], axis=-1)

    def affine(
        self, z: Float[Array, "*batch projected"]
    ) -> tuple[Complex[Array, "hidden"], Complex[Array, "*batch hidden"]]:
        real, imaginary, _ = jnp.split(z, 3, axis=-1)
        nu, theta = jnp.exp(_wide(self.nu_log[...])), jnp.exp(_wide(self.theta_log[...]))
        return jnp.exp(jax.lax.complex(-nu, theta)), jax.lax.complex(_wide(real), _wide(imaginary))

    def output(
        self,
        state: tuple[Float[Array, "*batch hidden"], Float[Array, "*batch hidden"]],
        z: Float[Array, "*batch projected"],
    ) -> Float[Array, "*batch hidden"]:
        real, imaginary = state
        return jnp.concatenate([real, -imaginary], axis=-1) @ self.c[...] + jnp.split(z, 3, axis=-1)[2]

    def step(
        self, state: tuple[Float[Array, "hidden"], Float[Array, "hidden"]], z: Float[Array, "3*hidden"]
    ) -> tuple[tuple[Float[Array, "hidden"], Float[Array, "hidden"]], Float[Array, "hidden"]]:
        a, b = self.affine(z)
        h = a * jax.lax.complex(*map(_wide, state)) + b
        state = h.real.astype(z.dtype), h.imag.astype(z.dtype)
        return state, self.output(state, z)

    def __call__(self, state, x):
        return self.step(state, self.project(x))


def _wide(part):
    """Complex numbers have parts of at least 32 bits."""
    return part.astype(jnp.float32) if jnp.finfo(part.dtype).bits < 32 else part
